"""When a warm-up may end; what the worker needs of statistics, so that it loads no more than a user of the variant."""

from collections.abc import Sequence

STEADY_CHUNKS = 3
STEADY_SPREAD = 0.05


def median_of(values: Sequence[float]) -> float:
    """Returns the median; the standard library's would bring OpenSSL, and a worker's memory is what is measured."""
    ordered, middle = sorted(values), len(values) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def is_steady(medians: Sequence[float]) -> bool:
    """Tells whether a warm-up may end: the last three chunks' medians lie within 5 % of the smallest of them."""
    last = medians[-STEADY_CHUNKS:]
    return len(last) == STEADY_CHUNKS and max(last) <= (1 + STEADY_SPREAD) * min(last)
