"""What a column of figures is, and how figures are written: in the terminal, Markdown, HTML and CSV alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..latency import Interval
from ..results import Measurement, Row

Value = float | str | None


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        title: What it is, short.
        unit: In which unit; empty for a plain number.
        meaning: What it is, in a sentence's part.
        value: The figure, in that unit, or a word; None where there is none.
        text: Writes a figure.
        interval: Its 95 % interval, in the same unit; None where there is none.
        heading: What it is in the CSV, where the title alone would say too little.
    """

    title: str
    unit: str
    meaning: str
    value: Callable[[Row], Value]
    text: Callable[[float], str]
    interval: Callable[[Row], Interval | None] | None = None
    heading: str = ""

    def interval_of(self, row: Row) -> Interval | None:
        """Returns the interval of a row's figure; None where there is none."""
        return self.interval(row) if self.interval is not None else None

    def cell(self, row: Row) -> str:
        """Returns a row's figure as text, without its interval; empty where there is none."""
        value = self.value(row)
        if value is None or isinstance(value, str):
            return value or ""
        return self.text(value)


@dataclass(frozen=True)
class Group:
    """Columns that answer one question.

    Attributes:
        title: The question's subject.
        columns: What answers it.
    """

    title: str
    columns: tuple[Column, ...]

    def has_figures(self, *rows: Row) -> bool:
        """Tells whether there is anything to show of some rows."""
        return any(column.value(row) is not None for row in rows for column in self.columns)


def named(column: Column) -> str:
    """Returns a column's title with its unit."""
    return f"{column.title} ({column.unit})" if column.unit else column.title


def number(value: float) -> str:
    """Writes a figure with three digits or more, as far as they mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def count(value: float) -> str:
    """Writes a whole number."""
    return f"{value:,.0f}"


def ratio(value: float) -> str:
    """Writes a ratio so that one part in a thousand or less is seen."""
    return f"{value:.1f}" if value >= 100 else f"{value:.2f}" if value >= 10 else f"{value:.3f}"


def probability(value: float) -> str:
    """Writes a p-value."""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def fixed(digits: int, sign: str = "") -> Callable[[float], str]:
    """Returns what writes a figure with so many digits after the point."""
    return lambda value: f"{value:{sign}.{digits}f}"


def measured(get: Callable[[Measurement], Value]) -> Callable[[Row], Value]:
    """Returns what gets a figure of a row that was measured; None of another."""
    return lambda row: get(row.measurement) if row.measurement else None


def scaled(value: float | None, factor: float) -> float | None:
    """Returns a figure in another unit; None of none."""
    return None if value is None else value * factor
