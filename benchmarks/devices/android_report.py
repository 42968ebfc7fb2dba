"""What was measured on an Android device, as values, JSON and a table.

It is no `Report`: `benchmark_model` gives no single latencies and no answers, so there are no percentiles beyond its
own, no intervals and no accuracy. Each variant is started several times instead, all taking turns, and the table shows
how far those runs lie apart.
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from .benchmark_model import Timing

SCHEMA_VERSION = 1

COLUMNS = ("variant", "p50 µs", "of its runs", "p95 µs", "min µs", "first µs", "init µs", "peak MiB", "size kB")


@dataclass(frozen=True)
class Phone:
    """An Android device.

    Attributes:
        name: Maker and model.
        chip: The processor's name, as far as the device tells; may be empty.
        android: Version of Android.
        processors: The kinds of programs that it runs, such as "arm64-v8a".
        core_khz: The highest clock of each core, by its number; empty where the device does not tell.
    """

    name: str
    chip: str
    android: str
    processors: tuple[str, ...]
    core_khz: dict[int, int]

    def fastest(self, count: int) -> tuple[int, ...]:
        """Returns the numbers of the fastest cores; none where speeds are not known."""
        ordered = sorted(self.core_khz, key=lambda core: (self.core_khz[core], core), reverse=True)
        return tuple(sorted(ordered[:count]))


@dataclass(frozen=True)
class AndroidRow:
    """One model file.

    Attributes:
        bundle: The bundle's name; empty for a lone file.
        variant: The variant's id, or a lone file's name.
        file: The file's name.
        sha256: Of the file.
        size_bytes: Of the file.
        timings: One a run of the program.
        peak_mib: Most memory seen in use by the program, by a look every 5 ms; None where it failed.
        failure: Why there are no figures; None where there are.
    """

    bundle: str
    variant: str
    file: str
    sha256: str
    size_bytes: int
    timings: tuple[Timing, ...]
    peak_mib: float | None
    failure: str | None


@dataclass(frozen=True)
class AndroidReport:
    """All that was measured on an Android device.

    Attributes:
        created: When, ISO 8601, UTC.
        phone: The device.
        program_sha256: Of `benchmark_model`.
        threads: Threads of the engine.
        cores: The cores that all ran on; empty where the device does not tell which are fast.
        runs: Timed inferences of each run of the program, at least.
        seed: Of the order of turns.
        rows: One a model file.
    """

    created: str
    phone: Phone
    program_sha256: str
    threads: int
    cores: tuple[int, ...]
    runs: int
    seed: int
    rows: tuple[AndroidRow, ...]

    def to_json(self) -> str:
        """Returns the report as a JSON document."""
        fields = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self)}
        return json.dumps(fields, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def title(self) -> str:
        """Returns what was measured where, in a line."""
        chip = f" ({self.phone.chip})" if self.phone.chip else ""
        cores = f", on core{'s'[: len(self.cores) - 1]} {', '.join(map(str, self.cores))}" if self.cores else ""
        threads = f"{self.threads} thread{'s'[: self.threads - 1]}"
        return f"{self.phone.name}{chip}, Android {self.phone.android}, {threads}{cores}, random input"


def android_table(report: AndroidReport) -> list[tuple[str, ...]]:
    """Returns a row of texts for each model, under `COLUMNS`; one that failed has the reason instead of figures.

    A figure is the median over the runs of the program. Where a program is too old to print p50 and p95, they stay
    empty, and the mean is shown as such.
    """
    several = len({row.bundle for row in report.rows}) > 1
    return [_cells(row, f"{row.bundle} {row.variant}".strip() if several else row.variant) for row in report.rows]


def _cells(row: AndroidRow, name: str) -> tuple[str, ...]:
    size = f"{row.size_bytes / 1000:,.1f}"
    if row.failure is not None or row.peak_mib is None:
        return (name, f"failed: {row.failure}")
    medians = [timing.median_us for timing in row.timings if timing.median_us is not None]
    tails = [timing.p95_us for timing in row.timings if timing.p95_us is not None]
    means = [timing.mean_us for timing in row.timings]
    return (
        name,
        _typical(medians) or f"mean {_typical(means)}",
        f"{min(medians or means):,.0f} to {max(medians or means):,.0f}",
        _typical(tails),
        f"{min(timing.minimum_us for timing in row.timings):,.0f}",
        _typical([timing.first_us for timing in row.timings]),
        _typical([timing.init_us for timing in row.timings]),
        f"{row.peak_mib:.1f}",
        size,
    )


def _typical(values: Sequence[float]) -> str:
    return f"{median(values):,.0f}" if values else ""


def to_markdown(report: AndroidReport) -> str:
    """Returns the report as a page of Markdown."""
    rows = [(*cells, *[""] * (len(COLUMNS) - len(cells))) for cells in android_table(report)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in (COLUMNS, ("---",) * len(COLUMNS), *rows))
    runs = max((len(row.timings) for row in report.rows), default=0)
    return (
        f"# Measured on Android\n\n{report.title()}\n\n{table}\n\n"
        f"By TensorFlow Lite's benchmark_model (SHA-256 {report.program_sha256[:12]}…), started {runs} times for each "
        f"variant, all taking turns in random order; each figure is the median over those runs, of {report.runs} timed "
        "inferences or more. It gives whole microseconds, no single latencies and no answers.\n"
    )
