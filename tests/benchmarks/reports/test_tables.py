import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from liteport.benchmarks.reports.columns import count, number, probability, ratio
from liteport.benchmarks.reports.groups import groups
from liteport.benchmarks.reports.markdown import to_markdown
from liteport.benchmarks.reports.tables import legend, plain, rich_tables
from liteport.benchmarks.results import Agreement, Report

Writer = Callable[[float], str]


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (number, 1.234, "1.23"),
        (number, 12.34, "12.3"),
        (number, 1234.5, "1,234"),
        (count, 1234.0, "1,234"),
        (ratio, 0.2844, "0.284"),
        (ratio, 28.16, "28.16"),
        (ratio, 281.6, "281.6"),
        (probability, 0.25, "0.250"),
        (probability, 1e-9, "<0.001"),
    ],
)
def test_figures_are_written_with_digits_that_mean_something(write: Writer, value: float, text: str) -> None:
    assert write(value) == text


def printed(report: Report) -> str:
    console = Console(width=100, highlight=False, markup=False)
    with console.capture() as capture:
        for table in rich_tables(report):
            console.print(table)
    return capture.get()


def test_the_terminal_has_every_figure_in_100_columns(report: Report) -> None:
    text = printed(report)
    assert "…" not in text
    # size, accuracy, difference, lost, won, p, p50, ratio, memory
    (row,) = re.findall(r"tflite-int8 +1,200 .*", text)
    assert " ".join(row.split()) == "tflite-int8 1,200 97.80 ±1.00 -0.20 3 1 0.250 90.0 0.300 ±0.003 48.0"
    (failed,) = re.findall(r"onnx-float32 +4,800 .*", text)
    assert failed.split()[2:] == ["-"] * 8
    for group in groups(report):
        assert f"\n{group.title}" in f"\n{text}"


def test_a_long_name_is_broken_before_a_figure_is_lost(report: Report) -> None:
    rows = (replace(report.rows[1], variant="tflite-int8-" + 12 * "longer-"), *report.rows[::2])
    text = printed(replace(report, rows=rows))
    assert "…" not in text
    assert "0.300 ±0.003" in text


def test_each_device_has_tables_of_its_own(merged: Report) -> None:
    text = printed(merged)
    assert "laptop: Choice" in text
    assert "pi: Choice" in text
    assert "\x1b" not in text
    page = to_markdown(merged)
    assert page.count("\n### pi\n") == page.count("\n### laptop\n") == len(groups(merged))


def test_columns_without_a_figure_are_left_out(report: Report) -> None:
    def unlabelled(found: Agreement) -> Report:
        rows = (
            replace(row, measurement=replace(row.measurement, answers=None, agreement=found))
            for row in report.rows
            if row.measurement
        )
        return replace(report, rows=tuple(rows))

    labelled = [column.title for column in groups(report)[0].columns]
    other = [column.title for column in groups(unlabelled(Agreement(64, "random", None, 0.01, 38.2)))[0].columns]
    assert {"accuracy", "lost", "p"} < set(labelled)
    assert labelled[0] == other[0] == "size"
    assert {"max diff.", "SNR"} < set(other)
    assert not {"accuracy", "lost", "p", "top-1"} & set(other)


def test_every_column_is_explained(report: Report) -> None:
    lines = legend(report)
    assert all(
        any(line.startswith(c.title) and c.meaning in line for line in lines) for g in groups(report) for c in g.columns
    )


def test_markdown_shows_names_as_they_are(merged: Report) -> None:
    text = to_markdown(merged)
    (row,) = re.findall(r"^\| tflite-int8\\<img .*1,200 .*$", text, re.MULTILINE)
    assert row.startswith(r"| tflite-int8\<img src=x onerror=window.broken=1\>\|$x^2$ \[31m | 1,200 | 97.80 ±1.00 |")
    assert plain("a_b _c_ *d*") == r"a_b \_c\_ \*d\*"
