"""One trial: a training and an export by the commands that a user would type, in a folder of their own.

trial.json      written last: the trial is done
failure.json    instead: why it is not
run/, bundle/   what `liteport train` and `liteport export` wrote
log.txt         what they printed
"""

import json
import platform
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from liteport.errors import IntegrityError
from liteport.files import replacing
from liteport.runtime import read_bundle
from liteport.runtime.manifest import MANIFEST_FILE
from liteport.runtime.schema import loads, parse

from .children import ChildError, Children
from .setup import Setup, Spec

TRIAL_FILE = "trial.json"
FAILURE_FILE = "failure.json"
LOG_FILE = "log.txt"
RUN, BUNDLE = "run", "bundle"
SCHEMA_VERSION = 1

_Record = TypeVar("_Record", "Trial", "Failure")


@dataclass(frozen=True)
class Trial:
    """A finished trial.

    Attributes:
        design: What was trained.
        seed: With which seed.
        parameters: Of the model.
        epochs: That were run.
        validation_accuracy: Of the float32 model that is kept, as Keras has it, on this seed's validation split.
        test_accuracy: Likewise on the test split.
        train_seconds: Spent on the epochs.
        total_seconds: From the start of the trial, or of its last part where it was cut short, to its end.
        machine: The name of the machine it ran on.
        digests: SHA-256 of each exported variant's file, by its id.
    """

    design: str
    seed: int
    parameters: int
    epochs: int
    validation_accuracy: float
    test_accuracy: float
    train_seconds: float
    total_seconds: float
    machine: str
    digests: dict[str, str]


@dataclass(frozen=True)
class Failure:
    """A trial that did not come to its end; the next comparison in the same folder tries it again.

    Attributes:
        design: What was to be trained.
        seed: With which seed.
        step: "train", "export", or "cluster" where it did not even begin.
        reason: What the command said, or what ended it.
        killed: Whether a signal ended it, so that a training may go on where it was.
    """

    design: str
    seed: int
    step: str
    reason: str
    killed: bool


Outcome = Trial | Failure
Tell = Callable[[str], None]
"""Called with what a trial does now, such as "training"."""


def run_trial(spec: Spec, setup: Setup, folder: Path, data: str, children: Children, tell: Tell) -> Outcome:
    """Runs what a trial still lacks, and records how it ended.

    A training that was killed goes on after its last finished epoch; one that ended by itself, such as by a loss that
    is no number, would do the same again there and so starts anew.

    Args:
        spec: What to train.
        setup: How, and what to export.
        folder: The trial's; it may hold what an earlier try left.
        data: What `liteport train` takes as data here.
        children: Starts the commands.
        tell: Told of each step.

    Raises:
        StoppedError: If `children` was told to stop; then nothing is recorded.
    """
    start = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    for stray in (entry for entry in folder.iterdir() if entry.name.startswith(".")):
        shutil.rmtree(stray) if stray.is_dir() else stray.unlink()  # of a command that was killed
    train = _train_command(spec, setup, folder, data)
    (folder / FAILURE_FILE).unlink(missing_ok=True)
    for step, doing, command in (("train", "training", train), ("export", "exporting", _export_command(setup, folder))):
        tell(doing)
        try:
            if command:
                children.run(command, folder / LOG_FILE)
        except ChildError as error:
            failure = Failure(spec.design, spec.seed, step, str(error), error.killed)
            write_record(failure, folder)
            return failure
    trial = _describe(spec, folder, time.monotonic() - start)
    write_record(trial, folder)
    return trial


def _train_command(spec: Spec, setup: Setup, folder: Path, data: str) -> list[str]:
    """Returns what to start; nothing where the training is finished."""
    run = folder / RUN
    status = _training(run).get("status") if run.exists() else None
    if status == "finished":
        return []
    failure = read_failure(folder)
    if status is not None and (failure is None or failure.killed):
        return ["train", "--resume", str(run)]
    options = [] if setup.epochs is None else ["--epochs", str(setup.epochs)]
    options += [] if setup.recipe is None else ["--recipe", setup.recipe]
    options += ["--force"] if run.exists() else []
    return ["train", "--data", data, "--design", spec.design, "--seed", str(spec.seed), "--out", str(run), *options]


def _export_command(setup: Setup, folder: Path) -> list[str]:
    formats = [word for name in setup.variants for word in ("--format", name)]
    bundle = folder / BUNDLE
    # What these leave out says how far a calibration and a runtime can be trusted, and nothing of the design.
    quick = ["--no-check-calibration", "--no-try-tflite-runtime"]
    force = ["--force"] if bundle.exists() else []
    return ["export", str(folder / RUN), "--out", str(bundle), *formats, *quick, *force]


def _training(run: Path) -> dict[str, Any]:
    path = run / "training.json"
    if not path.is_file():
        return {}
    found = loads(path.read_bytes(), str(path))
    if not isinstance(found, dict):
        raise IntegrityError(f"{path} is damaged; remove {run.parent}, to have the trial run anew")
    return found


def _describe(spec: Spec, folder: Path, seconds: float) -> Trial:
    training = _training(folder / RUN)
    variants = read_bundle(folder / BUNDLE).manifest.variants
    try:
        return Trial(
            design=spec.design,
            seed=spec.seed,
            parameters=training["parameters"],
            epochs=training["epochs_done"],
            validation_accuracy=training["validation"]["accuracy"],
            test_accuracy=training["test"]["accuracy"],
            train_seconds=training["seconds"],
            total_seconds=round(seconds, 1),
            machine=platform.node(),
            digests={variant.id: variant.sha256 for variant in variants},
        )
    except (KeyError, TypeError) as error:
        raise IntegrityError(f"{folder / RUN}: training.json lacks {error}; train with this version") from error


def read_trial(folder: Path) -> Trial | None:
    """Returns what a finished trial recorded; None where it is not finished, or its bundle was removed.

    Raises:
        IntegrityError: If the record is damaged.
    """
    return _read(Trial, folder / TRIAL_FILE) if (folder / BUNDLE / MANIFEST_FILE).is_file() else None


def read_failure(folder: Path) -> Failure | None:
    """Returns how a trial failed; None where it did not.

    Raises:
        IntegrityError: If the record is damaged.
    """
    return _read(Failure, folder / FAILURE_FILE)


def write_record(record: Outcome, folder: Path) -> None:
    """Writes how a trial ended into its folder."""
    with replacing(folder / (TRIAL_FILE if isinstance(record, Trial) else FAILURE_FILE)) as beside:
        text = json.dumps({"schema_version": SCHEMA_VERSION, **asdict(record)}, indent=2, allow_nan=False)
        beside.write_text(text + "\n", encoding="utf-8")


def _read(kind: type[_Record], path: Path) -> _Record | None:
    if not path.is_file():
        return None
    found = loads(path.read_bytes(), str(path))
    version = found.pop("schema_version", None) if isinstance(found, dict) else None
    if version != SCHEMA_VERSION:
        raise IntegrityError(f"{path}: expected schema_version {SCHEMA_VERSION}; remove {path.parent} to run it anew")
    return parse(kind, found, str(path))
