import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from liteport.benchmarks import Report, benchmark
from liteport.benchmarks.plots import Label, _place_all
from liteport.benchmarks.report import to_markdown, write_report
from liteport.benchmarks.results import SCHEMA_VERSION
from liteport.benchmarks.tables import CHOICE, TIMING, describe, legend, remarks, rich_table
from liteport.errors import AlreadyExistsError
from liteport.train import Dataset


@pytest.fixture
def report(stand_in: Callable[..., None], make_bundle: Callable[..., Path], data: Dataset) -> Report:
    stand_in(
        {
            "tflite-float32": {"ns": 328_000},
            "tflite-int8": {"ns": 60_000, "column": 1, "steady": False},
            "onnx-float32": {"load": "refuse"},
        }
    )
    return benchmark(make_bundle(), data, rounds=2, runs=3)


def test_json(report: Report) -> None:
    document = json.loads(report.to_json())
    assert document["schema_version"] == SCHEMA_VERSION == 1
    assert document["environment"]["packages"]["numpy"]
    by_variant = {row["variant"]: row for row in document["rows"]}
    assert by_variant["tflite-int8"]["measurement"]["latency"]["samples_ns"] == [[60_000] * 3] * 2
    assert by_variant["tflite-int8"]["measurement"]["accuracy"]["lost"] == 2
    assert by_variant["tflite-int8"]["measurement"]["engine"] == {
        "name": "stand-in",
        "version": "1",
        "provider": "none",
    }
    assert by_variant["onnx-float32"]["measurement"] is None
    assert by_variant["onnx-float32"]["failure"] == "the engine refuses the model"
    assert "[60000,60000,60000]" in report.to_json()  # samples stand on one line


def test_markdown(report: Report) -> None:
    text = to_markdown(report)
    (row,) = re.findall(r"^\| tflite-int8 \| 1\.1 .*$", text, re.MULTILINE)
    # size kB, accuracy, difference in points, lost, won, agreement, p50 µs, ratio of 60 to 328, MB
    assert row == "| tflite-int8 | 1.1 | 80.00 | -20.00 | 2 | 0 | 80.00 | 60.0 | 0.18 | 10.0 |"
    assert "- onnx-float32 was not measured: the engine refuses the model\n" in text
    assert "- tflite-int8 was still not steady after 30 warm-up runs\n" in text
    assert "](accuracy-latency.png)" in text
    assert "p50 (µs)" in text


def test_table_has_a_name_for_every_column(report: Report) -> None:
    for columns in (CHOICE, TIMING):
        table = rich_table(report, columns)
        assert [str(column.header).split("\n")[0] for column in table.columns[1:]] == [c.title for c in columns]
        assert all(column.meaning in line for column, line in zip(columns, legend(columns), strict=True))
        assert table.row_count == 3
    assert any(line.startswith("machine: ") for line in describe(report))
    assert len(remarks(report)) == 2


def test_several_bundles_have_a_column_of_their_own(report: Report) -> None:
    other = dataclasses.replace(report.bundles[0], name="a|b")
    rows = (*report.rows, *(dataclasses.replace(row, bundle="a|b") for row in report.rows))
    text = to_markdown(dataclasses.replace(report, bundles=(*report.bundles, other), rows=rows))
    assert "| bundle | variant | size (kB) |" in text
    assert "| a\\|b | tflite-int8 |" in text


def test_written_whole_or_not_at_all(report: Report, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_report(report, out)
    before = (out / "report.json").read_bytes()
    with pytest.raises(AlreadyExistsError):
        write_report(report, out)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_report(dataclasses.replace(report, created=float("nan")), out, force=True)  # type: ignore[arg-type]
    assert (out / "report.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "out"]
    assert (out / "accuracy-latency.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_labels_of_crowded_points_do_not_overlap() -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    figure = Figure(figsize=(9, 5.5))
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    canvas.draw()
    _place_all(axes, [Label(f"variant-{i}", 50 + i / 4, 50, "black") for i in range(8)])
    canvas.draw()
    boxes = [Text.get_window_extent(text) for text in axes.texts]
    assert len(boxes) == 8
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
