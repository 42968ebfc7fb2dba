import json
from dataclasses import replace
from pathlib import Path

import pytest

from liteport.benchmarks.reports.writing import write_report
from liteport.benchmarks.results import Report
from liteport.errors import AlreadyExistsError, InvalidInputError


def test_everything_is_written(folder: Path, merged: Report) -> None:
    assert {path.name for path in folder.iterdir()} == {
        "report.json",
        "report.html",
        "report.md",
        "report.csv",
        "plots",
    }
    assert json.loads((folder / "report.json").read_text(encoding="utf-8")) == json.loads(merged.to_json())
    for path in (folder / "plots").iterdir():
        assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        assert f"plots/{path.name}" in (folder / "report.md").read_text(encoding="utf-8")


def test_whole_or_not_at_all(report: Report, tmp_path: Path) -> None:
    out = tmp_path / "out"
    row = replace(report.rows[1], instructions=(), layer_errors=())  # fewer figures, less time
    few = replace(report, rows=(row,))
    assert [(out / name).exists() for name in write_report(few, out)] == [True] * 5
    before = (out / "report.json").read_bytes()
    with pytest.raises(AlreadyExistsError):
        write_report(few, out)
    damaged = replace(few, pictures=(replace(report.pictures[0], png="AAAA"),))
    with pytest.raises(InvalidInputError, match="picture of test image 7 is no PNG"):
        write_report(damaged, out, force=True)
    assert (out / "report.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
