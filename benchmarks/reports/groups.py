"""All columns of a report, by the question that they answer."""

from ..results import Report
from .answer_columns import ACCURACY, AGREEMENT, DIFFERENCE, LOST, P_VALUE, WON, answer_columns
from .columns import Column, Group
from .cost_columns import (
    FILES,
    LATENCY,
    LIMITS,
    MEMORY,
    RATIO,
    SIZE,
    TIMING,
    detail_columns,
    instruction_columns,
    throughput_columns,
)

CHOICE = (SIZE, ACCURACY, DIFFERENCE, LOST, WON, P_VALUE, *AGREEMENT, LATENCY, RATIO, MEMORY)
"""What one chooses a variant by."""


def groups(report: Report) -> tuple[Group, ...]:
    """Returns the columns for people that have a figure in at least one row, by question."""
    all_groups = (
        Group("Choice", CHOICE),
        Group("Answers", answer_columns(report)),
        Group("Timing", TIMING),
        Group("Throughput (threads × workers)", throughput_columns(report)),
        Group("Cost and limit", LIMITS),
        Group("Instructions (not time)", instruction_columns(report)),
    )
    found = (Group(group.title, _with_figures(group.columns, report)) for group in all_groups)
    return tuple(group for group in found if group.columns)


def _with_figures(columns: tuple[Column, ...], report: Report) -> tuple[Column, ...]:
    return tuple(column for column in columns if any(column.value(row) is not None for row in report.rows))


def all_columns(report: Report) -> tuple[Column, ...]:
    """Returns every column that has a figure in at least one row, once."""
    shown = [column for group in groups(report) for column in group.columns]
    return tuple(dict.fromkeys((*FILES, *shown, *_with_figures(detail_columns(report), report))))
