"""What timings say: percentiles, when a warm-up may end, and a ratio that a shared machine's noise hardly moves.

Pure functions on nanoseconds. A *round* holds one turn of every variant; a turn is several timed inferences.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

STEADY_CHUNKS = 3
STEADY_SPREAD = 0.05

Rounds = Sequence[Sequence[int]]
"""Timed inferences in nanoseconds: a sequence a round, in the order in which they were taken."""


@dataclass(frozen=True)
class Percentiles:
    """Latency of one inference that half, nine in ten, and 99 in 100 of the timed inferences stayed within."""

    p50_ns: float
    p90_ns: float
    p99_ns: float


def percentiles(rounds: Rounds) -> Percentiles:
    """Returns p50, p90 and p99 of all timed inferences, interpolated linearly between neighbours.

    The definition is numpy's default: type 7 of Hyndman and Fan, "Sample Quantiles in Statistical Packages",
    The American Statistician 50 (1996).
    """
    p50, p90, p99 = np.percentile(np.concatenate([np.asarray(turn, dtype=np.int64) for turn in rounds]), (50, 90, 99))
    return Percentiles(float(p50), float(p90), float(p99))


def paired_ratio(rounds: Rounds, reference: Rounds) -> float:
    """Returns how many times the reference's latency a variant takes: the median over rounds of their medians' ratio.

    What slows the machine for a while slows both turns of a round, and so leaves their ratio.

    Raises:
        ValueError: If the two have not the same number of rounds.
    """
    return median(median(turn) / median(other) for turn, other in zip(rounds, reference, strict=True))


def is_steady(medians: Sequence[float]) -> bool:
    """Tells whether a warm-up may end: the last three chunks' medians lie within 5 % of the smallest of them."""
    last = medians[-STEADY_CHUNKS:]
    return len(last) == STEADY_CHUNKS and max(last) <= (1 + STEADY_SPREAD) * min(last)
