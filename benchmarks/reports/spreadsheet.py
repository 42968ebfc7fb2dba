"""A report as CSV: a row a variant and device, a column a figure."""

import csv
import io

from ..results import Report
from .columns import Value, named
from .groups import all_columns
from .phrases import clean

_FORMULA = ("=", "+", "-", "@")
_NAMES = ("device", "bundle", "variant", "failure")


def to_csv(report: Report) -> str:
    """Returns the table; figures have nine digits, and an empty field where there is none."""
    columns = all_columns(report)
    header = list(_NAMES)
    for column in columns:
        name = column.heading or named(column)
        header += [name, f"{name} low", f"{name} high"] if column.interval else [name]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    for row in report.rows:
        line = [_text(text) for text in (row.device, row.bundle, row.variant, row.failure or "")]
        for column in columns:
            line.append(_field(column.value(row)))
            if column.interval:
                interval = column.interval_of(row)
                line += [_field(interval.low), _field(interval.high)] if interval else ["", ""]
        writer.writerow(line)
    return buffer.getvalue()


def _field(value: Value) -> str:
    if value is None:
        return ""
    return _text(value) if isinstance(value, str) else f"{value:.9g}"


def _text(text: str) -> str:
    """Returns text that no spreadsheet takes for a formula: one that looks like it gets a quote before it."""
    text = clean(text)
    return f"'{text}" if text.startswith(_FORMULA) else text
