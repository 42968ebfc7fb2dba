"""What the benchmark's figures are worth, measured with its own code: `make measure-bench BUNDLE=demo/bundle`.

`python tests/measure/benchmarks.py BUNDLE [--part control|planted|agreement|time] [--seconds S] [--count N]`

- control: experiments of two trials of one int8 file, each as `liteport bench` takes latencies: 6 launches, processes
  anew in each, turns in random order. How often does the ratio's interval leave 1 out, and how wide is it?
- planted: the same beside a trial whose inference is followed by a spin of 3 % of it. How often is it told from 1?
- agreement: four variants as `liteport bench` measures them; the engine alone, in turns with them; and, in the same
  minutes on the same core, what runs on its own: a bare loop, and the engines' own tools. What are their p50s' ratios?
- time: `liteport bench` with its default settings on the eight variants, phase by phase.

Only times are taken, on whatever machine this is: nothing here is a test. The load stands beside them.
"""

import argparse
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from trials import CORE, Bench, take

from liteport.benchmarks import benchmark
from liteport.benchmarks.environment import describe_environment
from liteport.benchmarks.findings import BOUND
from liteport.benchmarks.latency import Launches, Ratio, paired_ratio, percentiles
from liteport.benchmarks.results import Settings
from liteport.benchmarks.suite import LAUNCHES
from liteport.terminal import print_table

PLANTED = 0.03
SHARES = (1.0, 0.5, 0.25, 0.125)
AGREED = 0.05
COMPARED = ("tflite-int8", "tflite-float32", "onnx-int8", "onnx-float32")
ALONE = {"tflite": ("loop", "litert"), "onnx": ("loop", "onnxruntime")}
TITLES = {
    "loop": "a bare loop on its own",
    "onnxruntime": "onnxruntime's benchmark_helper.inference_ort",
    "litert": "LiteRT's benchmark_litert_model.py",
}
ALONE_S = 0.5
EIGHT = (
    *("tflite-float32", "tflite-float16", "tflite-dynamic", "tflite-int8", "tflite-int16x8"),
    *("onnx-float32", "onnx-float16", "onnx-int8"),
)
LIMIT_S = 240


def control(bench: Bench, seconds: float, count: int) -> list[str]:
    """A/A: the same file twice."""
    pairs = []
    for settings in _experiments("control", seconds, count):
        trial = bench.trial("tflite-int8", settings)
        pairs.append((take([trial], settings)[0].launches, trial.launches))
        _tell(*pairs[-1])
    rows = []
    for share in SHARES:
        ratios = [_ratio_of_share(pair, share) for pair in pairs]
        alarms = sum(not ratio.interval.low <= 1 <= ratio.interval.high for ratio in ratios)
        widths = [ratio.interval.half_width for ratio in ratios]
        wide = sum(width > BOUND for width in widths)
        median, largest = (f"± {100 * width:.2f} %" for width in (statistics.median(widths), max(widths)))
        rows.append([f"{share * seconds:.4g}", f"{alarms} of {count}", median, largest, f"{wide} of {count}"])
    columns = ("timed (s)", "false alarms", "half-width, median", "largest", f"over {BOUND:.0%}")
    print_table("A/A: the same int8 file twice", columns, rows)
    _, alarmed, _, largest, _ = rows[0]
    return [
        f"control: {alarmed} intervals of {seconds:g} s leave 1 out; largest half-width {largest}, bound {BOUND:.0%}"
    ]


def planted(bench: Bench, seconds: float, count: int) -> list[str]:
    """The same file twice, once with a spin after each inference."""
    usual = _p50(bench, "tflite-int8")
    pairs, spins, truth = [], [], []
    for settings in _experiments("planted", seconds, count):
        spins.append(round(PLANTED * usual))
        plain = bench.trial("tflite-int8", settings)
        slowed = bench.trial("tflite-int8", settings, "slowed", str(spins[-1]))
        take([plain, slowed], settings)
        pairs.append((slowed.launches, plain.launches))
        usual = percentiles(plain.launches).p50_ns  # the next spin's measure: it changes with the machine's load
        truth.append(1 + spins[-1] / usual)
        _tell(*pairs[-1])
    rows = []
    for share in SHARES:
        ratios = [_ratio_of_share(pair, share) for pair in pairs]
        told = sum(ratio.interval.low > 1 for ratio in ratios)
        covered = sum(r.interval.low <= true <= r.interval.high for r, true in zip(ratios, truth, strict=True))
        values = [ratio.value for ratio in ratios]
        median, spread = f"{statistics.median(values):.4f}", f"{min(values):.4f} to {max(values):.4f}"
        rows.append([f"{share * seconds:.4g}", f"{told} of {count}", median, spread, f"{covered} of {count}"])
    columns = ("timed (s)", "told from 1", "ratio, median", "range", "interval covers the truth")
    true = f"{statistics.median(truth):.4f}"
    print_table(f"a spin of {statistics.median(spins):.0f} ns after each inference, in truth {true}", columns, rows)
    return [f"planted: {rows[0][1]} told from 1 within {seconds:g} s, as {rows[0][2]} in the median; in truth {true}"]


def _experiments(part: str, seconds: float, count: int) -> Iterator[Settings]:
    for number in range(count):
        start = time.monotonic()
        print(f"{part} {number + 1} of {count}: ", end="", file=sys.stderr, flush=True)
        yield Settings(duration_s=seconds, launches=LAUNCHES, seed=number, core=CORE)
        took, load = time.monotonic() - start, os.getloadavg()[0]
        print(f", {took:.1f} s in all, load {load:.1f}", file=sys.stderr, flush=True)


def _tell(launches: Launches, reference: Launches) -> None:
    print(_shown(paired_ratio(launches, reference, seed=0)), end="", file=sys.stderr)


def _ratio_of_share(pair: tuple[Launches, Launches], share: float) -> Ratio:
    """What would have been found in less time: from the first rounds of each launch alone."""
    own, other = ([launch[: max(1, round(share * len(launch)))] for launch in launches] for launches in pair)
    return paired_ratio(own, other, seed=0)


def _p50(bench: Bench, variant: str) -> float:
    settings = Settings(duration_s=2, launches=2, core=CORE)
    trial = bench.trial(variant, settings)
    take([trial], settings)
    return percentiles(trial.launches).p50_ns


def agreement(bench: Bench, seconds: float, count: int) -> list[str]:
    """The benchmark's p50 beside that of others: in each of `count` repetitions all of them take a launch."""
    variants = [name for name in COMPARED if name in bench.known]
    settings = Settings(duration_s=seconds, launches=1, core=CORE)
    own = {name: bench.trial(name, settings) for name in variants}
    bare = {name: bench.trial(name, settings, "bare") for name in variants}
    runs = {name: round(ALONE_S * 1e9 / _p50(bench, name)) for name in variants}
    alone: dict[tuple[str, str], list[list[list[int]]]] = {
        (name, way): [] for name in variants for way in ALONE[name.partition("-")[0]]
    }
    for repetition in range(count):
        print(f"agreement {repetition + 1} of {count}, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
        for in_turns in random.sample([True, False], 2):
            if in_turns:
                take([*own.values(), *bare.values()], replace(settings, seed=repetition))
                continue
            for name, way in random.sample(list(alone), len(alone)):
                alone[name, way].append([bench.alone(way, name, runs[name])])
    rows = []
    for name in variants:
        mine = own[name].launches
        rows.append(_compared(name, "the engine alone, in turns", mine, bare[name].launches))
        whole = [[_flat(launch)] for launch in mine]
        rows += [_compared(name, TITLES[way], whole, taken) for (other, way), taken in alone.items() if other == name]
    return _agreed(rows, count)


def _agreed(rows: list[list[str]], count: int) -> list[str]:
    columns = ("variant", "beside", "bench p50 (µs)", "its p50 (µs)", "ratio", "95 % interval")
    print_table(f"p50s of {count} launches each", columns, rows, left=2)
    off = [row for row in rows if abs(float(row[4]) - 1) > AGREED]
    beyond = "".join(f"; not: {name} beside {other}, {ratio}" for name, other, _, _, ratio, _ in off)
    return [f"agreement: {len(rows) - len(off)} of {len(rows)} ratios are within {AGREED:.0%}{beyond}"]


def _flat(launch: Sequence[Sequence[int]]) -> list[int]:
    return [sample for turn in launch for sample in turn]


def _compared(name: str, other: str, mine: Launches, theirs: Launches) -> list[str]:
    ratio = paired_ratio(mine, theirs, seed=0)
    p50s = (f"{percentiles(launches).p50_ns / 1000:.1f}" for launches in (mine, theirs))
    value, _, interval = _shown(ratio).partition(" ")
    return [name, other, *p50s, value, interval]


def time_whole(bench: Bench) -> list[str]:
    """The whole benchmark as `liteport bench` does it, with the report's files."""
    phase, is_over, last = "reading", False, time.monotonic()
    taken: dict[str, float] = {}

    def follow(what: str, done: int, total: int, _: str) -> None:
        nonlocal phase, is_over, last
        now = time.monotonic()
        what = what.partition(" of ")[0]  # "accuracy of" each variant
        belongs = what if is_over else phase  # what comes after a phase's end belongs to the next one
        taken[belongs] = taken.get(belongs, 0.0) + now - last
        phase, is_over, last = what, done >= total, now

    chosen = [name for name in EIGHT if name in bench.known]
    start = last
    report = benchmark(bench.bundle, out=bench.folder / "report", variants=chosen, progress=follow)
    follow("report", 1, 1, "")
    total = last - start
    rows = [[name, f"{spent:.1f}", f"{spent / total:.0%}"] for name, spent in taken.items() if spent > 0.05]
    print_table("the whole benchmark", ("phase", "s", "share"), [*rows, ["all", f"{total:.1f}", ""]])
    images = report.bundles[0].images
    sampled = [
        f"{row.variant} ({answers.accuracy.images:,} images)"
        for row in report.rows
        if row.measurement and (answers := row.measurement.answers) and answers.accuracy.images < images
    ]
    note = f"; from a sample: {', '.join(sampled)}" if sampled else ""
    return [f"time: {total:.0f} s for {len(chosen)} variants and {images:,} images, limit {LIMIT_S} s{note}"]


def _shown(ratio: Ratio) -> str:
    return f"{ratio.value:.4f} [{ratio.interval.low:.4f}, {ratio.interval.high:.4f}]"


REPEATED: dict[str, tuple[Callable[[Bench, float, int], list[str]], float, int]] = {
    "control": (control, 6.0, 20),
    "planted": (planted, 6.0, 10),
    "agreement": (agreement, 3.0, 12),
}
"""What is done over and over: seconds of timing, and how often."""


def _defaults(which: int) -> str:
    return ", ".join(f"{row[1 + which]:g} for {name}" for name, row in REPEATED.items())


def main() -> None:
    """Measures what is named on the command line, or all of it."""
    parser = argparse.ArgumentParser(description="Measure what the benchmark's figures are worth.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--part", action="append", choices=(*REPEATED, "time"))
    parser.add_argument("--seconds", type=float, help=f"of timing in each of them; {_defaults(0)} by default")
    parser.add_argument("--count", type=int, help=f"experiments or repetitions; {_defaults(1)} by default")
    options = parser.parse_args()
    machine = describe_environment()
    print(f"{machine.cpu}, {machine.usable_cores} usable cores, latencies taken on core {CORE}")
    summary = []
    for name in options.part or (*REPEATED, "time"):
        before = os.getloadavg()[0]
        with TemporaryDirectory(prefix="liteport-measure-") as folder:
            bench = Bench(options.bundle, Path(folder))
            if name == "time":
                found = time_whole(bench)
            else:
                part, seconds, count = REPEATED[name]
                found = part(bench, options.seconds or seconds, options.count or count)
        summary += [f"{line}; load {before:.1f} before, {os.getloadavg()[0]:.1f} after" for line in found]
    print(*summary, sep="\n")


if __name__ == "__main__":
    main()
