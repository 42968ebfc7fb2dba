"""What timings say: percentiles, when a warm-up may end, and ratios with what is known of their error.

Pure functions on nanoseconds. A *launch* is one process of each variant, a *round* holds one turn of every variant, a
turn is several timed inferences. Launches matter: a process keeps the memory layout that it got by chance, and with it
a latency of its own, off by half a percent or more, which no number of rounds in that process averages out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from math import exp, sqrt

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError, require

from .steadiness import median_of

RESAMPLES = 2000
_AT_ONCE = 100  # resamples: a few megabytes, whatever the number of rounds
_UPPER = 0.975  # leaves a 95 % interval

Rounds = Sequence[Sequence[int]]
"""Timed inferences in nanoseconds: a sequence a round, in the order in which they were taken."""

Launches = Sequence[Rounds]
"""The rounds of each launch."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A 95 % confidence interval, in the unit of what it is of."""

    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of its width."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Percentiles:
    """Latency of one inference that half, nine in ten, and 99 in 100 of the timed inferences stayed within."""

    p50_ns: float
    p90_ns: float
    p99_ns: float


@dataclass(frozen=True)
class Summary:
    """All timed inferences of a variant in a few figures.

    Attributes:
        percentiles: Over all launches.
        minimum_ns: The shortest.
        variation: Coefficient of variation: standard deviation (of the samples, divisor N) over mean.
    """

    percentiles: Percentiles
    minimum_ns: int
    variation: float


@dataclass(frozen=True)
class Ratio:
    """How many times another's latency something takes.

    Attributes:
        value: The estimate.
        interval: Its confidence interval.
    """

    value: float
    interval: Interval


def summarize(launches: Launches) -> Summary:
    """Describes all timed inferences, of whichever launch and round.

    Raises:
        ValueError: If there are none.
    """
    samples = _samples(launches)
    return Summary(_percentiles(samples), int(samples.min()), float(samples.std() / samples.mean()))


def percentiles(launches: Launches) -> Percentiles:
    """Returns p50, p90 and p99 of all timed inferences, interpolated linearly between neighbours.

    The definition is numpy's default: type 7 of Hyndman and Fan, "Sample Quantiles in Statistical Packages",
    The American Statistician 50 (1996).

    Raises:
        ValueError: If there are none.
    """
    return _percentiles(_samples(launches))


def median_ratio(rounds: Rounds, reference: Rounds) -> float:
    """Returns how many times the reference's latency a variant takes: the median over rounds of their medians' ratio.

    What slows the machine for a while slows both turns of a round, and so leaves their ratio.

    Raises:
        ValueError: If the two have not the same number of rounds.
    """
    return median_of([median_of(turn) / median_of(other) for turn, other in zip(rounds, reference, strict=True)])


def paired_ratio(launches: Launches, reference: Launches, *, seed: int) -> Ratio:
    """Compares two variants that took turns: `median_ratio` over the rounds of all launches, with its interval.

    The interval is `value` times exp(±t s). Here s is the standard error of the ratio's logarithm by a hierarchical
    bootstrap (launches are drawn with replacement, then rounds within each drawn launch; A. Davison and D. Hinkley,
    "Bootstrap Methods and their Application", 1997, section 3.8), times √(n / (n - 1)) since resamples of n launches
    scatter by that much too little, and t is Student's 97.5 % point with n - 1 degrees of freedom. Both corrections
    for small n are those of T. Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician
    69 (2015); percentiles of the resamples would not do, as they never leave the range of the launches seen. Why
    launches are repeated: T. Kalibera and R. Jones, "Rigorous Benchmarking in Reasonable Time", ISMM 2013.

    With a single launch only its rounds are drawn, n being their number. The interval then leaves out what another
    launch would have changed, and is several times too narrow: two processes of one and the same file differ more.

    Args:
        launches: The variant's.
        reference: The reference's, taken in the same launches and rounds.
        seed: Of the resamples.

    Raises:
        ValueError: If the two have not the same launches and rounds, or a round is empty or took no time.
        InvalidInputError: If there is but one round.
        MissingDependencyError: If SciPy is not installed.
    """
    pairs = zip(_medians(launches), _medians(reference), strict=True)
    ratios = [_divided(own, other) for own, other in pairs]
    value = float(np.median(np.concatenate(ratios)))
    return _with_interval(value, [ratios], np.random.default_rng(seed))


def ratio_of_unpaired(launches: Launches, others: Launches, *, seed: int) -> Ratio:
    """Compares two runs that were taken apart, such as today's and a baseline: the ratio of their p50s.

    Each run's error is estimated as in `paired_ratio`, from the medians of its rounds; the two add up as variances,
    and Student's t has the degrees of freedom of the run with fewer launches, which errs on the wide side. The interval
    leaves out what changed between the runs for all variants alike: temperature, clock, neighbours on the machine.

    Args:
        launches: The run in question.
        others: The run that it is compared with.
        seed: Of the resamples.

    Raises:
        ValueError: If a launch or a round is empty, or a round took no time.
        InvalidInputError: If a run has but one round.
        MissingDependencyError: If SciPy is not installed.
    """
    value = percentiles(launches).p50_ns / percentiles(others).p50_ns
    return _with_interval(value, [_medians(launches), _medians(others)], np.random.default_rng(seed))


def _samples(launches: Launches) -> NDArray[np.int64]:
    samples = np.fromiter(chain.from_iterable(chain.from_iterable(launches)), dtype=np.int64)
    if not samples.size:
        raise ValueError("expected timed inferences, got none")
    return samples


def _percentiles(samples: NDArray[np.int64]) -> Percentiles:
    p50, p90, p99 = np.percentile(samples, (50, 90, 99))
    return Percentiles(float(p50), float(p90), float(p99))


def _medians(launches: Launches) -> list[Values]:
    """The median of each round, an array a launch."""
    medians = [np.array([median_of(turn) if turn else 0 for turn in rounds], dtype=np.float64) for rounds in launches]
    if not medians or any(launch.size == 0 or launch.min() <= 0 for launch in medians):
        raise ValueError("expected launches of at least one round, and rounds of inferences that took some time")
    return medians


def _divided(own: Values, other: Values) -> Values:
    if own.shape != other.shape:
        raise ValueError(f"expected a launch's rounds in pairs, got {own.size} and {other.size}")
    return own / other


def _with_interval(value: float, runs: Sequence[Sequence[Values]], rng: np.random.Generator) -> Ratio:
    """Puts the interval around a ratio whose logarithm's error has the runs' errors in it, each on its own."""
    counts = [len(run) if len(run) > 1 else sum(launch.size for launch in run) for run in runs]
    if min(counts) < 2:
        raise InvalidInputError("expected two rounds or more, got one: allow more runs or time, as one tells no error")
    variance = sum(_bootstrap(run, rng).var() * n / (n - 1) for run, n in zip(runs, counts, strict=True))
    t = float(require("scipy.special", "benchmarks").stdtrit(min(counts) - 1, _UPPER))
    factor = exp(t * sqrt(variance))
    return Ratio(value, Interval(value / factor, value * factor))


def _bootstrap(run: Sequence[Values], rng: np.random.Generator) -> Values:
    """Logarithms of the resamples' medians over the first one's, (RESAMPLES,).

    Of each launch as many rounds are drawn as launches have on average; the table is as wide as the longest.
    """
    sizes = np.array([launch.size for launch in run])
    table = np.zeros((len(run), sizes.max()))
    for row, launch in zip(table, run, strict=True):
        row[: launch.size] = launch
    shape = (_AT_ONCE, len(run), max(1, round(sizes.mean())))
    medians = []
    for _ in range(RESAMPLES // _AT_ONCE):
        drawn = rng.integers(len(run), size=(*shape[:2], 1))
        rounds = (rng.random(shape) * sizes[drawn]).astype(np.intp)
        medians.append(np.median(table[drawn, rounds].reshape(_AT_ONCE, -1), axis=1))
    found: Values = np.concatenate(medians)
    logarithms: Values = np.log(found / found[0])  # whose scatter is exactly 0 where nothing scatters
    return logarithms
