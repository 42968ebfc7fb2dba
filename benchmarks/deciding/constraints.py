"""What is wished of a variant: limits to keep within, and what of the rest decides."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite

from liteport.errors import InvalidInputError, unknown_name

from .candidates import Aspect, Figures
from .quantities import COUNT, POINTS, SIZE, TIME, Kind

PREFERENCES = ("latency", "size", "memory", "accuracy")
PERCENTILES = ("p50", "p90", "p99")

LIMITS: dict[str, tuple[str, Kind]] = {
    "max_drop": ("accuracy", POINTS),
    "max_latency": ("latency", TIME),
    "max_size": ("size", SIZE),
    "max_memory": ("memory", SIZE),
    "max_instructions": ("instructions", COUNT),
}
"""What each limit is of, and in which units."""

Amount = float | str
"""A limit: a text with a unit, such as "5ms" or "200kB", or a number of points, nanoseconds, bytes or instructions."""


@dataclass(frozen=True)
class Wishes:
    """What to choose by; `choosing.choose` says what each means."""

    max_drop: Amount | None = None
    max_latency: Amount | None = None
    max_size: Amount | None = None
    max_memory: Amount | None = None
    max_instructions: Amount | None = None
    device: str | None = None
    bundle: str | None = None
    prefer: str = "latency"
    percentile: str = "p50"

    def __post_init__(self) -> None:
        names = (("percentile", self.percentile, PERCENTILES), ("preference", self.prefer, PREFERENCES))
        for kind, name, known in names:
            if name not in known:
                raise unknown_name(kind, name, known)
        self.limits()  # a mistake is told now, and not after a minute of measuring

    def limits(self) -> dict[str, float]:
        """Returns the limits that are set, in percentage points, nanoseconds, bytes and instructions.

        Raises:
            InvalidInputError: If one is no such quantity, or not above 0 (a drop may be 0).
        """
        amounts = {name: getattr(self, name) for name in LIMITS}
        return {name: _parsed(name, amount) for name, amount in amounts.items() if amount is not None}

    def check_place(self, *, emulated: bool) -> None:
        """Checks that what is wished for can be known of an emulated board, or of a device.

        Raises:
            InvalidInputError: If it cannot.
        """
        limited = {LIMITS[name][0] for name in self.limits()}
        if not emulated and "instructions" in limited:
            raise InvalidInputError("instructions are counted on emulated boards; name one: --device pi4")
        for name in ("latency", "memory"):
            if emulated and (name in limited or self.prefer == name == "memory"):
                raise InvalidInputError(
                    f"the {name} of an emulated {self.device} is not known; limit its instructions "
                    "(--max-instructions), or choose for a device that was measured"
                )


def _parsed(name: str, amount: Amount) -> float:
    value = LIMITS[name][1].parse(amount, name) if isinstance(amount, str) else float(amount)
    least = "0 or more" if name == "max_drop" else "more than 0"
    if not isfinite(value) or value < 0 or (value == 0 and name != "max_drop"):
        raise InvalidInputError(f"{name} is {amount}; expected {least}")
    return value


@dataclass(frozen=True)
class Constraint:
    """A limit that was set.

    Attributes:
        name: "max_drop", "max_latency", "max_size", "max_memory" or "max_instructions".
        aspect: What it limits.
        limit: The most that is allowed.
    """

    name: str
    aspect: Aspect
    limit: float

    @property
    def text(self) -> str:
        """The limit in words."""
        return f"{self.aspect.title} ≤ {self.aspect.kind.format(self.limit)}"


@dataclass(frozen=True)
class Exclusion:
    """What keeps a variant out.

    Attributes:
        constraint: "max_drop", "max_latency", "max_size", "max_memory" or "max_instructions"; "failure" where it was
            not measured.
        figure: The variant's; None where there is none.
        limit: The most that is allowed; None for a failure.
        text: Both, or the reason, in words.
    """

    constraint: str
    figure: float | None
    limit: float | None
    text: str

    @property
    def excess(self) -> float:
        """How many times the limit the figure is; infinite where there is none to compare."""
        return self.figure / self.limit if self.figure is not None and self.limit else inf


def exclusions(figures: Figures, constraints: Sequence[Constraint]) -> tuple[Exclusion, ...]:
    """Returns what excludes a variant; a figure that is not known cannot be within a limit."""
    excluded = []
    for constraint in constraints:
        value, limit, aspect = constraint.aspect.of(figures), constraint.limit, constraint.aspect
        if value is None:
            excluded.append(Exclusion(constraint.name, None, limit, f"{aspect.title} is not known"))
        elif value > limit:
            text = "{} > {}".format(*aspect.kind.format_apart(value, limit))
            excluded.append(Exclusion(constraint.name, value, limit, f"{aspect.title} {text}"))
    return tuple(excluded)
