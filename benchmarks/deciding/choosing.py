"""Which variant to ship: what each limit excludes, the Pareto front, and the best of what is left."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from liteport.errors import InvalidInputError

from ..results import Report
from .candidates import Aspect, Figures, Place, find_place
from .constraints import LIMITS, Amount, Constraint, Exclusion, Wishes, exclusions
from .doubts import doubts


@dataclass(frozen=True)
class Candidate:
    """A variant beside the wishes.

    Attributes:
        variant: Its id, or a lone file's name.
        figures: What it is judged by; None where it was not measured.
        on_front: Whether no other measured variant is at least as good in all aspects and better in one.
        excluded: By what; empty where it is left.
        reason: Why it was chosen, was not preferred, or is excluded.
    """

    variant: str
    figures: Figures | None
    on_front: bool
    excluded: tuple[Exclusion, ...]
    reason: str


@dataclass(frozen=True)
class Choice:
    """The variant to ship, and why not the others.

    Attributes:
        variant: Its id, or a lone file's name; None where none is left.
        device: The device or the emulated board that was chosen for.
        bundle: The bundle that was chosen from.
        prefer: What decided among those left: "latency" (instructions, on a board), "size", "memory" or "accuracy".
        percentile: Of the latency: "p50", "p90" or "p99".
        sentence: The choice and its reason.
        candidates: Every variant: the one chosen, those left as they are preferred, those excluded.
        notes: What is not certain about it.
    """

    variant: str | None
    device: str
    bundle: str
    prefer: str
    percentile: str
    sentence: str
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...]

    @property
    def front(self) -> tuple[str, ...]:
        """The variants on the Pareto front."""
        return tuple(candidate.variant for candidate in self.candidates if candidate.on_front)


def pareto_front(points: Sequence[tuple[float, ...]]) -> list[bool]:
    """Tells which points are on the Pareto front: no other is at least as good in all coordinates and better in one.

    Args:
        points: As many coordinates each; lower is better.

    Raises:
        ValueError: If two points differ in the number of coordinates.
    """

    def beats(other: tuple[float, ...], point: tuple[float, ...]) -> bool:
        return other != point and all(theirs <= ours for theirs, ours in zip(other, point, strict=True))

    return [not any(beats(other, point) for other in points) for point in points]


def choose(
    report: Report,
    *,
    max_drop: Amount | None = None,
    max_latency: Amount | None = None,
    max_size: Amount | None = None,
    max_memory: Amount | None = None,
    max_instructions: Amount | None = None,
    device: str | None = None,
    bundle: str | None = None,
    prefer: str = "latency",
    percentile: str = "p50",
) -> Choice:
    """Chooses the variant to ship.

    What is preferred decides; among equals the next of latency, size, memory and accuracy does.

    Args:
        report: What was measured.
        max_drop: Most accuracy to lose against the reference, in percentage points. Judged on what was measured; a
            note says so where the interval reaches further.
        max_latency: Highest latency: "5ms", or nanoseconds.
        max_size: Largest file: "200kB", or bytes.
        max_memory: Highest peak memory: "60MB", or bytes.
        max_instructions: Most instructions for one inference on the emulated board that `device` names: "3M".
        device: A measured device or an emulated board; None where one device was measured. A board is chosen for by
            instructions in place of latency, and neither latency nor memory is known there.
        bundle: A bundle's name; None where the device has one.
        prefer: "latency", "size", "memory" or "accuracy".
        percentile: "p50", "p90" or "p99", of the latency.

    Raises:
        InvalidInputError: If a name is unknown or must be given, or a limit is no such quantity or not known there.
    """
    wishes = Wishes(max_drop, max_latency, max_size, max_memory, max_instructions, device, bundle, prefer, percentile)
    return choose_by(report, wishes)


def choose_by(report: Report, wishes: Wishes) -> Choice:
    """Chooses the variant to ship, as `choose` does.

    Raises:
        InvalidInputError: If a name is unknown or must be given, or something wished for is not known there.
    """
    place = find_place(report, wishes.device, wishes.bundle, counted=wishes.max_instructions is not None)
    wishes.check_place(emulated=place.board is not None)
    aspects = place.aspects(wishes.percentile)
    if "accuracy" not in aspects and (wishes.max_drop is not None or wishes.prefer == "accuracy"):
        raise InvalidInputError(
            f"the accuracy of {place.bundle.name} is not known, since it was measured without labels; measure it with "
            "--data (data=)"
        )
    constraints = [Constraint(name, aspects[LIMITS[name][0]], limit) for name, limit in wishes.limits().items()]
    first = aspects["instructions" if wishes.prefer == "latency" and place.board is not None else wishes.prefer]
    order = [first, *(aspect for aspect in aspects.values() if aspect is not first)]
    return _choice(place, wishes, order, constraints)


def _judged(
    place: Place, percentile: str, order: Sequence[Aspect], constraints: Sequence[Constraint]
) -> list[Candidate]:
    """Returns all variants: those left as they are preferred, then those excluded."""
    candidates = []
    for row in place.rows:
        failure = place.failure(row)
        figures = None if failure else place.figures(row, percentile)
        excluded = exclusions(figures, constraints) if figures else (Exclusion("failure", None, None, f"{failure}"),)
        candidates.append(Candidate(row.variant, figures, False, excluded, ""))
    measured = [candidate for candidate in candidates if candidate.figures]
    on_front = {
        candidate.variant
        for candidate, best in zip(measured, pareto_front([_point(entry, order) for entry in measured]), strict=True)
        if best
    }
    candidates = [replace(candidate, on_front=candidate.variant in on_front) for candidate in candidates]
    return sorted(candidates, key=lambda entry: (bool(entry.excluded), () if entry.excluded else _point(entry, order)))


def _point(candidate: Candidate, order: Sequence[Aspect]) -> tuple[float, ...]:
    """A variant's figures; one that is not known counts as the worst there can be."""
    assert candidate.figures is not None, "it was measured"
    values = [aspect.of(candidate.figures) for aspect in order]
    return tuple(inf if value is None else value for value in values)


def _choice(place: Place, wishes: Wishes, order: Sequence[Aspect], constraints: Sequence[Constraint]) -> Choice:
    candidates = _judged(place, wishes.percentile, order, constraints)
    left = [candidate for candidate in candidates if not candidate.excluded]
    chosen = left[0] if left else None
    limits = " and ".join(constraint.text for constraint in constraints)
    notes: tuple[str, ...] = ()
    if chosen is None:
        sentence = _none_left(candidates, limits)
    else:
        sentence = f"ship {chosen.variant}: {_why(chosen, order[0], len(left), limits)}"
        most_drop = next((entry.limit for entry in constraints if entry.name == "max_drop"), None)
        rows = [next(row for row in place.rows if row.variant == entry.variant) for entry in left]
        notes = tuple(doubts(place, rows, [aspect.title for aspect in order], most_drop))
    explained = [replace(entry, reason=_reason(entry, chosen, order)) for entry in candidates]
    variant = chosen.variant if chosen else None
    return Choice(
        variant, place.name, place.bundle.name, wishes.prefer, wishes.percentile, sentence, tuple(explained), notes
    )


def _why(chosen: Candidate, first: Aspect, left: int, limits: str) -> str:
    if left == 1:
        return f"the only variant within {limits}" if limits else "the only variant that was measured"
    among = f"the {left} variants within {limits}" if limits else f"the {left} variants measured"
    return f"the {first.best} ({_shown(chosen, first)}) of {among}"


def _none_left(candidates: Sequence[Candidate], limits: str) -> str:
    if not any(candidate.figures for candidate in candidates):
        return "no variant was measured"
    near = min(
        (entry for entry in candidates if entry.figures),
        key=lambda entry: (len(entry.excluded), max(exclusion.excess for exclusion in entry.excluded)),
    )
    return f"no variant is within {limits}; {near.variant} comes nearest: {', '.join(e.text for e in near.excluded)}"


def _reason(candidate: Candidate, chosen: Candidate | None, order: Sequence[Aspect]) -> str:
    if chosen is None or candidate.excluded:
        return ", ".join(exclusion.text for exclusion in candidate.excluded)
    if candidate is chosen:
        return order[0].best
    pairs = zip(order, _point(candidate, order), _point(chosen, order), strict=True)
    differing = next((entry for entry in pairs if entry[1] != entry[2]), None)
    if differing is None:
        return f"the same in all as {chosen.variant}"
    aspect, *values = differing
    if inf in values:
        return f"{aspect.title} not known"
    return "{} {} against {}".format(aspect.title, *aspect.kind.format_apart(*values))


def _shown(candidate: Candidate, aspect: Aspect) -> str:
    value = aspect.of(candidate.figures) if candidate.figures else None
    return "not known" if value is None else aspect.kind.format(value)
