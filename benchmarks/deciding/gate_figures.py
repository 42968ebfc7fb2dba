"""The figures that gates judge, each with its interval."""

from collections.abc import Callable
from dataclasses import dataclass
from math import hypot, inf

from ..accuracy import Accuracy
from ..latency import Interval
from .gate_cases import Case, Figure, NoFigureError, Side
from .gate_latency import latency, latency_ratio
from .quantities import COUNT, PERCENT, POINTS, RATIO, SIZE, TIME, Kind


@dataclass(frozen=True)
class Metric:
    """What a gate can be about.

    Attributes:
        kind: Its units.
        find: Returns the figure of a case, by a seed for what is random; raises NoFigureError where there is none.
        compares: Whether with the baseline or the reference.
        by_board: Whether it is a figure of an emulated board.
        worse: ">" where more is worse, "<" where less is.
        least: Bounds below it make no sense.
        most: Nor do those above.
    """

    kind: Kind
    find: Callable[[Case, int], Figure]
    compares: bool = False
    by_board: bool = False
    worse: str = ">"
    least: float = 0.0
    most: float = inf


def accuracy(case: Case, seed: int) -> Figure:
    """Returns the accuracy in percent, with Wilson's interval."""
    del seed
    found = _accuracy(case.current)
    return Figure(100 * found.accuracy, Interval(100 * found.interval.low, 100 * found.interval.high))


def accuracy_drop(case: Case, seed: int) -> Figure:
    """Returns the accuracy lost, in percentage points.

    Against the reference both have answered the same images, and the interval is that of the paired difference. Of a
    baseline only counts are known, so the interval is the wider one of independent shares: method 10 of R. Newcombe,
    "Interval estimation for the difference between independent proportions", Statistics in Medicine 17 (1998). A file
    that is the same, with as many right answers to the same data, has lost nothing for certain.
    """
    del seed
    own, other = _accuracy(case.current), _accuracy(case.other)
    if not case.has_baseline:
        if case.current.is_reference:
            return Figure(0.0, None, "it is the reference")
        low, high = own.difference_interval.low, own.difference_interval.high
        return Figure(0.0 - own.difference_points, Interval(0.0 - high, 0.0 - low))
    if case.current.bundle.data_digest != case.other.bundle.data_digest:
        raise NoFigureError("the baseline was asked other images: the data's digest differs")
    same_file = case.current.row.sha256 == case.other.row.sha256
    if same_file and (own.correct, own.images) == (other.correct, other.images):
        return Figure(0.0, None, "the same file and data, with as many right answers")
    drop = other.accuracy - own.accuracy
    low = drop - hypot(other.accuracy - other.interval.low, own.interval.high - own.accuracy)
    high = drop + hypot(other.interval.high - other.accuracy, own.accuracy - own.interval.low)
    return Figure(100 * drop, Interval(100 * low, 100 * high))


def size(case: Case, seed: int) -> Figure:
    """Returns the file's size in bytes."""
    del seed
    return Figure(case.current.row.size_bytes, None)


def size_ratio(case: Case, seed: int) -> Figure:
    """Returns the file's size over the other's."""
    del seed
    if not case.other.row.size_bytes:
        raise NoFigureError("the file it is compared with is empty")
    return Figure(case.current.row.size_bytes / case.other.row.size_bytes, None)


def memory(case: Case, seed: int) -> Figure:
    """Returns the peak resident memory in bytes, measured once."""
    del seed
    return Figure(case.current.measurement.memory.peak_bytes, None)


def memory_ratio(case: Case, seed: int) -> Figure:
    """Returns the peak resident memory over the other's, each measured once."""
    del seed
    peak, now, other = case.current.measurement.memory.peak_bytes, case.current, case.other
    ours, theirs = (side.device.environment.architecture for side in (now, other))
    if ours != theirs:
        raise NoFigureError(f"the baseline is of another architecture: {theirs}, here {ours}")
    return Figure(peak / other.measurement.memory.peak_bytes, None)


def instructions(case: Case, seed: int) -> Figure:
    """Returns the instructions of one inference, the interval by their spread."""
    del seed
    value, spread = _instructions(case.current, case.board)
    return Figure(value, Interval(value * (1 - spread), value * (1 + spread)))


def instructions_ratio(case: Case, seed: int) -> Figure:
    """Returns the instructions over the other's, the interval by the spread of both."""
    del seed
    value, spread = _instructions(case.current, case.board)
    other, other_spread = _instructions(case.other, case.board)
    ratio = value / other
    low, high = (1 - spread) / (1 + other_spread), (1 + spread) / (1 - other_spread)
    return Figure(ratio, Interval(ratio * low, ratio * high))


def _accuracy(side: Side) -> Accuracy:
    answers = side.measurement.answers
    if answers is None:
        raise NoFigureError(f"{'the baseline' if side.is_baseline else 'it'} was measured without labels")
    return answers.accuracy


def _instructions(side: Side, board: str | None) -> tuple[int, float]:
    """Returns the count and its spread."""
    count, where = side.count(board), " in the baseline" if side.is_baseline else ""
    if count is None:
        raise NoFigureError(
            f"no instructions were counted{where}; liteport bench --emulate {board or 'pi4'} counts them"
        )
    if count.instructions is None:
        raise NoFigureError(f"it did not run on {board}{where}: {count.failure}", new=side.is_baseline)
    return count.instructions, count.spread or 0.0


METRICS: dict[str, Metric] = {
    # A bound of 1 % or less is a share by mistake, and would never be crossed.
    "accuracy": Metric(PERCENT, accuracy, worse="<", least=1.01, most=100),
    "accuracy_drop": Metric(POINTS, accuracy_drop, compares=True, most=100),
    "latency": Metric(TIME, latency),
    "latency_ratio": Metric(RATIO, latency_ratio, compares=True),
    "size": Metric(SIZE, size),
    "size_ratio": Metric(RATIO, size_ratio, compares=True),
    "memory": Metric(SIZE, memory),
    "memory_ratio": Metric(RATIO, memory_ratio, compares=True),
    "instructions": Metric(COUNT, instructions, by_board=True),
    "instructions_ratio": Metric(RATIO, instructions_ratio, compares=True, by_board=True),
}
"""What gates can be about, by name."""
