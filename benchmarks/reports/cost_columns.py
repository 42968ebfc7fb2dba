"""Columns on time, memory and what can be counted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median

from ..latency import Interval
from ..results import InstructionCount, Limit, Measurement, Report, Row, Throughput
from .columns import Column, Value, count, fixed, measured, number, ratio, scaled


def _limit(get: Callable[[Limit], Value]) -> Callable[[Row], Value]:
    return measured(lambda found: get(found.limit) if found.limit else None)


def _ratio_interval(row: Row) -> Interval | None:
    return row.measurement.latency.ratio_interval if row.measurement else None


SIZE = Column(
    "size",
    "kB",
    "size of the model file, in 1,000 bytes",
    lambda row: row.size_bytes / 1e3,
    number,
)
LATENCY = Column(
    "p50",
    "µs",
    "latency that half of the inferences stay within, the median",
    measured(lambda found: found.latency.percentiles.p50_ns / 1e3),
    number,
)
RATIO = Column(
    "ratio",
    "",
    "latency over the reference's, the median of paired rounds, with a bootstrap interval",
    measured(lambda found: found.latency.ratio),
    ratio,
    _ratio_interval,
)
MEMORY = Column(
    "memory",
    "MB",
    "peak resident memory of a process that runs this variant alone, in 1,000,000 bytes",
    measured(lambda found: found.memory.peak_bytes / 1e6),
    fixed(1),
)


def _time(title: str, unit: str, meaning: str, get: Callable[[Measurement], float | None]) -> Column:
    factor = {"ms": 1e-6, "µs": 1e-3}[unit]
    return Column(title, unit, meaning, measured(lambda found: scaled(get(found), factor)), number)


TIMING = (
    _time("load", "ms", "the call of load, the engine's import included: median", lambda m: median(m.stages.load_ns)),
    _time("first", "ms", "the first inference after it: median", lambda m: median(m.stages.first_ns)),
    _time("pre", "µs", "preprocessing, raw pixels to the file's input: median", lambda m: m.stages.preprocess_ns),
    _time("invoke", "µs", "the engine's own work: median", lambda m: m.stages.invoke_ns),
    _time(
        "post", "µs", "postprocessing, the file's output to probabilities: median", lambda m: m.stages.postprocess_ns
    ),
    _time("min", "µs", "the shortest inference", lambda m: m.latency.minimum_ns),
    LATENCY,
    _time("p90", "µs", "latency that nine in ten stay within", lambda m: m.latency.percentiles.p90_ns),
    _time("p99", "µs", "latency that 99 in 100 stay within", lambda m: m.latency.percentiles.p99_ns),
    Column(
        "CV",
        "%",
        "coefficient of variation of the latencies: standard deviation over mean",
        measured(lambda found: 100 * found.latency.variation),
        fixed(1),
    ),
    Column(
        "switches",
        "",
        "how often the system took the processor away while timing",
        measured(lambda found: found.latency.involuntary_switches),
        count,
    ),
)
"""Every stage's time."""


def _rate(threads: int, workers: int, batch: int) -> Column:
    def find(row: Row) -> Throughput | None:
        entries = row.measurement.throughput if row.measurement else ()
        key = threads, workers, batch
        return next((entry for entry in entries if (entry.threads, entry.workers, entry.batch) == key), None)

    return Column(
        f"{threads} × {workers}",
        "images/s",
        f"images a second in batches of {batch}, {threads} thread{'s' * (threads > 1)} in each of {workers} "
        f"engine{'s' * (workers > 1)} side by side",
        lambda row: entry.images_per_second if (entry := find(row)) else None,
        count,
        heading=f"throughput, {threads} threads × {workers} workers (images/s)",
    )


def throughput_columns(report: Report) -> tuple[Column, ...]:
    """Returns a column for each number of threads and workers in the report."""
    entries = {
        (entry.threads, entry.workers, entry.batch)
        for row in report.rows
        if row.measurement
        for entry in row.measurement.throughput
    }
    return tuple(_rate(*entry) for entry in sorted(entries))


LIMITS = (
    Column(
        "gzip",
        "kB",
        "size of the file compressed by gzip, level 9, in 1,000 bytes",
        lambda row: row.compressed_bytes / 1e3,
        number,
    ),
    Column(
        "activations",
        "kB",
        "least memory that holds all activations alive at once, in 1,000 bytes",
        measured(lambda found: scaled(found.memory.activation_bytes, 1e-3)),
        number,
    ),
    Column(
        "MACs",
        "M",
        "multiply-accumulates of one inference, in millions",
        lambda row: row.macs / 1e6 if row.layers else None,
        number,
    ),
    Column(
        "roofline",
        "%",
        "share of what this machine could do at most: the roofline's least time over p50",
        _limit(lambda found: 100 * found.share),
        lambda value: f"{value:.2g}",
    ),
    Column("bound", "", "what most of that least time goes into", _limit(lambda found: found.bound), str),
)
"""Costs that can be counted, and how near a variant comes to the machine's limit."""


def counted(row: Row, board: str) -> InstructionCount | None:
    """Returns the count of a row on an emulated board; None where there is none."""
    return next((entry for entry in row.instructions if entry.board == board and entry.instructions is not None), None)


def instruction_columns(report: Report) -> tuple[Column, ...]:
    """Returns a column for each emulated board in the report."""

    def value(board: str, row: Row) -> Value:
        entry = counted(row, board)
        return entry.instructions / 1e6 if entry and entry.instructions else None

    boards = dict.fromkeys((entry.board, entry.cpu) for row in report.rows for entry in row.instructions)
    return tuple(
        Column(
            board,
            "M",
            f"instructions (not time) executed for one inference on an emulated {cpu}, in millions",
            partial(value, board),
            number,
            heading=f"instructions on {board} (M)",
        )
        for board, cpu in boards
    )


def detail_columns(report: Report) -> tuple[Column, ...]:
    """Returns columns that only the CSV has: what qualifies other figures."""
    details = [
        Column(
            "warm-up", "", "inferences before the first timed one", measured(lambda m: m.latency.warm_up_runs), count
        ),
        Column(
            "steady",
            "",
            "whether warm-ups ended as the latency no longer changed",
            measured(lambda found: "yes" if found.latency.steady else "no"),
            str,
        ),
        _time("floor", "µs", "the least time by the roofline", lambda m: m.limit.floor_ns if m.limit else None),
        Column("reason", "", "why it stays far below the roofline", _limit(lambda found: found.reason), str),
    ]
    for board in dict.fromkeys(entry.board for row in report.rows for entry in row.instructions):
        details += [
            _of_count(board, "spread", "%", lambda entry: scaled(entry.spread, 100)),
            _of_count(board, "top-1 agreement with this machine", "%", lambda entry: scaled(entry.top1_agreement, 100)),
            _of_count(board, "largest difference from this machine", "", lambda entry: entry.max_abs_difference),
        ]
    return tuple(details)


def _of_count(board: str, name: str, unit: str, get: Callable[[InstructionCount], Value]) -> Column:
    def value(row: Row) -> Value:
        entry = counted(row, board)
        return get(entry) if entry else None

    return Column(f"{board} {name}", unit, f"{name} on an emulated {board}", value, number)


def _engine(row: Row) -> str | None:
    return f"{row.measurement.engine.name} {row.measurement.engine.version}" if row.measurement else None


FILES = (
    Column("scheme", "", "how numbers are represented", lambda row: row.scheme or None, str),
    Column("engine", "", "what ran it", _engine, str),
    Column("provider", "", "what does the work inside the engine", measured(lambda found: found.engine.provider), str),
    Column("file", "", "the model file", lambda row: row.file, str),
    Column("SHA-256", "", "of the file", lambda row: row.sha256, str),
)
"""What was run."""
