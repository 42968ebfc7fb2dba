"""What is not certain about a choice: figures have intervals, samples, and machines that were not quiet."""

from collections.abc import Iterator, Sequence

from ..latency import Interval
from ..results import Row
from .candidates import Place

_ROUNDING = 1e-9  # of percentage points


def doubts(place: Place, rows: Sequence[Row], order: Sequence[str], max_drop: float | None) -> Iterator[str]:
    """Yields what a reader should know beside the choice, a line each.

    Args:
        place: What was chosen for.
        rows: The variants that no limit excludes, the chosen one first.
        order: Titles of what they were compared by, the first of them preferred.
        max_drop: The most accuracy to lose, in percentage points; None where that was left open.
    """
    yield from _about_accuracy(place, rows[0], max_drop)
    if place.board is not None:
        yield from _about_board(place, rows[0])
    elif "p50" in order or "p90" in order or "p99" in order:
        control = next((entry for entry in place.device.controls if entry.bundle == place.bundle.name), None)
        if control is not None and not control.quiet:
            yield f"{place.name} was too noisy while it was measured: see the A/A control in the report"
    if len(rows) > 1:
        yield from _about_next(rows[0], rows[1], order[0])


def _about_accuracy(place: Place, row: Row, max_drop: float | None) -> Iterator[str]:
    if row.measurement is None or row.measurement.answers is None:
        return
    accuracy = row.measurement.answers.accuracy
    worst = -accuracy.difference_interval.low
    if max_drop is not None and worst > max_drop + _ROUNDING and row.variant != place.reference:
        yield (
            f"its drop of {0.0 - accuracy.difference_points:.2f} points may be up to {worst:.2f} by its 95 % interval; "
            f"more test images would tell whether that is more than {max_drop:g}"
        )
    if accuracy.images < place.bundle.images:
        yield f"its accuracy comes from {accuracy.images:,} of {place.bundle.images:,} test images"


def _about_board(place: Place, row: Row) -> Iterator[str]:
    yield f"instructions are counted, not timed; accuracy was measured on {place.device.name}"
    count = place.count(row)
    if count is not None and count.top1_agreement is not None and count.top1_agreement < 1:
        yield (
            f"on {place.name} it gave {100 * count.top1_agreement:.1f} % of {count.images:,} images the class that it "
            f"gave them on {place.device.name}"
        )


def _about_next(row: Row, other: Row, title: str) -> Iterator[str]:
    """Says where the one preferred next may be as good in what decides."""
    intervals = [_interval(entry, title) for entry in (row, other)]
    if (
        intervals[0]
        and intervals[1]
        and intervals[0].high >= intervals[1].low
        and intervals[1].high >= intervals[0].low
    ):
        yield f"its {title} is not told apart from that of {other.variant}: their 95 % intervals overlap"


def _interval(row: Row, title: str) -> Interval | None:
    """The interval beside the reference, of what was paired with it; None where there is none."""
    if row.measurement is None:
        return None
    if title == "p50":
        return row.measurement.latency.ratio_interval
    if title == "drop" and row.measurement.answers:
        return row.measurement.answers.accuracy.difference_interval
    return None
