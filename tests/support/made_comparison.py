"""A comparison with made-up figures, and a stand-in for what runs the commands of a trial."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from made_report import made_measurement, made_report, made_row

from liteport.benchmarks.comparing.children import ChildError, Children
from liteport.benchmarks.comparing.figures import choose, design_figures
from liteport.benchmarks.comparing.results import Comparison
from liteport.benchmarks.comparing.setup import Setup
from liteport.benchmarks.comparing.trial import Failure, Trial
from liteport.benchmarks.results import Report

SETUP = Setup("mnist", "d" * 64, None, None, ("tflite-float32", "tflite-int8"))


class CopyingChildren(Children):
    """In place of a training and an export it copies a run and a bundle; commands with a word of `bad` fail.

    Attributes:
        ran: The commands.
        bad: What each that holds a word fails with.
    """

    def __init__(self, run: Path, bundle: Path) -> None:
        super().__init__()
        self.ran: list[list[str]] = []
        self.bad: dict[str, ChildError] = {}
        self._run, self._bundle = run, bundle

    def run(self, arguments: Sequence[str], log: Path) -> None:
        self.ran.append(list(arguments))
        for word, error in self.bad.items():
            if any(word in argument for argument in arguments):
                raise error
        if arguments[0] == "train":
            to = arguments[arguments.index("--out" if "--out" in arguments else "--resume") + 1]
            shutil.copytree(self._run, to, dirs_exist_ok=True)
        elif arguments[0] == "export":
            shutil.copytree(self._bundle, arguments[arguments.index("--out") + 1], dirs_exist_ok=True)


def interrupt(run: Path) -> None:
    """Makes a run folder look like one whose training was cut short."""
    record = json.loads((run / "training.json").read_text())
    (run / "training.json").write_text(json.dumps({**record, "status": "interrupted"}))


def made_trial(design: str, seed: int, validation: float) -> Trial:
    return Trial(design, seed, 1234, 5, validation, 0.97, 10.0 + seed, 20.0, "laptop", {"tflite-int8": "0" * 64})


def two_designs(second_p50_ns: int = 45_000) -> Report:
    """A report of two designs, "wide" and "a:b", of which the first has the latencies of `made_report`."""
    report = made_report()
    rows = []
    for name, (float_ns, int8_ns), size in (
        ("wide", (300_000, 90_000), 1_200_000),
        ("a:b", (150_000, second_p50_ns), 20_000),
    ):
        for variant, p50 in (("tflite-float32", float_ns), ("tflite-int8", int8_ns)):
            rows.append(replace(made_row(variant, made_measurement(p50), size=size), bundle=name))
    bundles = tuple(replace(report.bundles[0], name=name, path=name) for name in ("wide", "a:b"))
    return replace(report, bundles=bundles, rows=tuple(rows))


def made_comparison() -> Comparison:
    """Two designs with three seeds each, of which one failed."""
    trials = [made_trial("wide", seed, share) for seed, share in enumerate((0.990, 0.992, 0.994))]
    trials += [made_trial("a:b", seed, share) for seed, share in enumerate((0.980, 0.984))]
    accuracies = {
        (trial.design, trial.seed, variant): trial.validation_accuracy - lost
        for trial in trials
        for variant, lost in (("tflite-float32", 0.001), ("tflite-int8", 0.002))
    }
    designs = design_figures(trials, two_designs(), accuracies, SETUP.variants)
    failure = Failure("a:b", 2, "train", "epoch 1/5: the loss became nan; <try> a lower learning rate", killed=False)
    return Comparison(
        created="2026-01-01T00:00:00+00:00",
        setup=SETUP,
        designs=designs,
        trials=tuple(trials),
        failures=(failure,),
        choice=choose(designs, SETUP.deployed),
        notes=("the machine was quiet",),
    )
