"""Columns on what variants answer."""

from __future__ import annotations

from collections.abc import Callable

from ..accuracy import Accuracy
from ..latency import Interval
from ..results import Agreement, Answers, Report, Row
from .columns import Column, Value, count, fixed, measured, probability, scaled


def _answers(get: Callable[[Answers], Value]) -> Callable[[Row], Value]:
    return measured(lambda found: get(found.answers) if found.answers else None)


def _agreement(get: Callable[[Agreement], Value]) -> Callable[[Row], Value]:
    return measured(lambda found: get(found.agreement) if found.agreement else None)


def _accuracy_interval(row: Row) -> Interval | None:
    if row.measurement is None or row.measurement.answers is None:
        return None
    interval = row.measurement.answers.accuracy.interval
    return Interval(100 * interval.low, 100 * interval.high)


def _difference_interval(row: Row, accuracy: Accuracy | None) -> Interval | None:
    """Returns the interval of a difference to the reference; of the reference's to itself there is none."""
    if row.measurement is None or accuracy is None or row.measurement.latency.ratio_interval == Interval(1.0, 1.0):
        return None
    return accuracy.difference_interval


def _own_accuracy(row: Row) -> Accuracy | None:
    return row.measurement.answers.accuracy if row.measurement and row.measurement.answers else None


ACCURACY = Column(
    "accuracy",
    "%",
    "share of test images answered rightly, with Wilson's interval",
    _answers(lambda found: 100 * found.accuracy.accuracy),
    fixed(2),
    _accuracy_interval,
)
DIFFERENCE = Column(
    "diff.",
    "points",
    "accuracy less the reference's, in percentage points, with the interval of paired images",
    _answers(lambda found: found.accuracy.difference_points),
    fixed(2, "+"),
    lambda row: _difference_interval(row, _own_accuracy(row)),
)
LOST = Column(
    "lost",
    "",
    "images that only the reference answers rightly",
    _answers(lambda found: float(found.accuracy.lost)),
    count,
)
WON = Column(
    "won",
    "",
    "images that only this variant answers rightly",
    _answers(lambda found: float(found.accuracy.won)),
    count,
)
P_VALUE = Column(
    "p",
    "",
    "exact probability, by McNemar's test, of so uneven a count of lost and won images if both were equally likely",
    _answers(lambda found: found.accuracy.p_value),
    probability,
)
AGREEMENT = (
    Column(
        "top-1",
        "%",
        "top-1 agreement: share of inputs with the same largest output as the reference's",
        _agreement(lambda found: scaled(found.top1_agreement, 100)),
        fixed(2),
    ),
    Column(
        "max diff.",
        "",
        "largest difference of an output from the reference's",
        _agreement(lambda found: found.max_abs_difference),
        lambda value: f"{value:.3g}",
    ),
    Column(
        "SNR",
        "dB",
        "signal-to-noise ratio of the outputs, the reference's being the signal",
        _agreement(lambda found: found.snr_db),
        fixed(1),
    ),
)


def _robust(alteration: str, strength: str) -> Column:
    def find(row: Row) -> Accuracy | None:
        answers = row.measurement.answers if row.measurement else None
        entries = answers.robustness if answers else ()
        return next((entry.accuracy for entry in entries if entry.alteration == alteration), None)

    return Column(
        alteration,
        "points",
        f"accuracy less the reference's on {alteration} copies of test images: {strength}",
        lambda row: accuracy.difference_points if (accuracy := find(row)) else None,
        fixed(2, "+"),
        lambda row: _difference_interval(row, find(row)),
    )


def answer_columns(report: Report) -> tuple[Column, ...]:
    """Returns the columns on answers to images with labels, with one for each alteration in the report."""
    measured = [row.measurement.answers for row in report.rows if row.measurement and row.measurement.answers]
    alterations = {entry.alteration: entry.strength for answers in measured for entry in answers.robustness}
    return (
        Column("images", "", "test images asked", _answers(lambda found: float(found.accuracy.images)), count),
        Column(
            "agree",
            "%",
            "top-1 agreement: share of images given the reference's class",
            _answers(lambda found: 100 * found.accuracy.top1_agreement),
            fixed(2),
        ),
        Column(
            "ECE",
            "%",
            "expected calibration error: how far confidence is from accuracy, on average",
            _answers(lambda found: scaled(found.calibration_error, 100)),
            fixed(2),
        ),
        *(_robust(*alteration) for alteration in alterations.items()),
    )
