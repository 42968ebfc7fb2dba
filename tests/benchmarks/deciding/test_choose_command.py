import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_report import made_report

from liteport.benchmarks.results import Report
from liteport.errors import IntegrityError, InvalidInputError, LiteportError, NotFoundError
from liteport.runtime.cli import run

Output = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A report's folder: int8 loses 0.2 points, a third variant crashed."""
    path = tmp_path / "report"
    path.mkdir()
    (path / "report.json").write_text(made_report().to_json(), encoding="utf-8")
    return path


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Has a bundle measured by a stand-in, which keeps what it was asked."""
    asked: list[dict[str, Any]] = []

    def benchmark(bundles: list[Path], data: str | None, *, progress: object, **settings: Any) -> Report:
        asked.append({"bundles": bundles, "data": data, **settings})
        return made_report()

    monkeypatch.setattr("liteport.benchmarks.suite.benchmark", benchmark)
    return asked


def test_prints_the_table_the_choice_and_what_to_do_next(folder: Path, capsys: Output) -> None:
    assert run(["choose", str(folder), "--max-drop", "0.25"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "digits on laptop"
    lines = {cells[1]: cells for line in out if len(cells := [cell.strip() for cell in line.split("│")]) > 3}
    assert lines["tflite-int8"][2:9] == ["ship", "yes", "90.0 µs", "1.20 MB", "48.0 MB", "97.80 %", "0.20 points"]
    assert lines["tflite-float32"][2:4] == ["p50 300 µs against 90.0 µs", "yes"]
    assert lines["onnx-float32"][2] == "excluded: not measured: latency: the worker was ended by SIGSEGV"
    assert lines["onnx-float32"][3:9] == ["", "-", "-", "-", "-", "-"]
    assert out[-3].startswith("note: its drop of 0.20 points may be up to 0.40")
    assert out[-2] == "ship tflite-int8: the lowest p50 (90.0 µs) of the 2 variants within drop ≤ 0.25 points"
    assert out[-1] == "next: liteport predict bundle IMAGE --variant tflite-int8"


def test_exits_with_3_where_none_is_left(folder: Path, capsys: Output) -> None:
    assert run(["choose", str(folder), "--max-size", "200kB", "--max-latency", "100us"]) == 3
    out = capsys.readouterr().out
    assert "excluded: p50 300 µs > 100 µs, size 4.80 MB > 200 kB" in out
    assert "excluded: size 1.20 MB > 200 kB" in out
    assert out.rstrip().endswith("tflite-int8 comes nearest: size 1.20 MB > 200 kB")


def test_prints_json(folder: Path, capsys: Output) -> None:
    limits = ["--max-drop", "0.1", "--max-memory", "60MB", "--prefer", "size", "--percentile", "p99"]
    assert run(["choose", str(folder / "report.json"), "--json", *limits]) == 0
    choice = json.loads(capsys.readouterr().out)
    assert (choice["variant"], choice["prefer"], choice["percentile"]) == ("tflite-float32", "size", "p99")
    assert choice["front"] == ["tflite-float32", "tflite-int8"]
    assert choice["candidates"][0]["figures"]["latency_ns"] == 303_000
    assert choice["candidates"][1]["excluded"] == [
        {"constraint": "max_drop", "figure": 0.2, "limit": 0.1, "text": "drop 0.20 points > 0.10 points"}
    ]


def test_a_board_has_instructions_in_place_of_latency(folder: Path, capsys: Output) -> None:
    assert run(["choose", str(folder), "--device", "pi4", "--max-instructions", "5M"]) == 0
    out = capsys.readouterr().out
    assert "digits on pi4" in out
    assert "instructions" in out
    assert "p50" not in out
    assert "memory" not in out


def test_lone_files_go_by_their_names(tmp_path: Path, capsys: Output) -> None:
    one = made_report()
    assert one.rows[1].measurement is not None
    row = replace(
        one.rows[1], variant="b.tflite", file="b.tflite", measurement=replace(one.rows[1].measurement, answers=None)
    )
    device = replace(one.devices[0], controls=())
    path = tmp_path / "copy.json"
    path.write_text(replace(one, devices=(device,), rows=(row,)).to_json(), encoding="utf-8")
    assert run(["choose", str(path)]) == 0
    out = capsys.readouterr().out
    assert "accuracy" not in out
    assert out.splitlines()[-1] == "next: liteport predict b.tflite IMAGE"


def test_a_bundle_is_measured_first(
    make_bundle: Callable[..., Path], measured: list[dict[str, Any]], capsys: Output
) -> None:
    bundle = make_bundle()
    assert run(["choose", str(bundle), "--data", "mnist", "--max-size", "2MB"]) == 0
    (asked,) = measured
    assert asked == {"bundles": [bundle], "data": "mnist", "duration": 10.0, "robustness": 0, "emulate": ()}
    captured = capsys.readouterr()
    assert f"liteport bench {bundle} --out report, then liteport choose report" in captured.err
    assert "ship tflite-int8" in captured.out


def test_a_bundle_is_counted_on_the_board_that_is_named(
    make_bundle: Callable[..., Path], measured: list[dict[str, Any]], capsys: Output
) -> None:
    bundle = make_bundle()
    assert run(["choose", str(bundle), "--device", "pi4", "--max-instructions", "5M", "--json"]) == 0
    assert measured[0]["emulate"] == ("pi4",)
    captured = capsys.readouterr()
    assert f"liteport bench {bundle} --emulate pi4 --out report" in captured.err
    assert json.loads(captured.out)["device"] == "pi4"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--device", "pi44"], "unknown board 'pi44'; did you mean 'pi4'"),
        (["--max-instructions", "3M"], "name one: --device pi4"),
        (["--device", "pi4", "--max-latency", "5ms"], "the latency of an emulated pi4 is not known"),
        (["--max-size", "200KB"], "max_size is '200KB'"),
        (["--prefer", "speed"], "unknown preference 'speed'"),
    ],
)
def test_a_mistake_is_told_before_anything_is_measured(
    options: list[str], message: str, make_bundle: Callable[..., Path], measured: list[dict[str, Any]]
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        run(["choose", str(make_bundle()), *options])
    assert not measured


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("nowhere", [], NotFoundError, "expected a bundle, or a report's folder or JSON file"),
        (".", [], InvalidInputError, "it holds neither manifest.json nor report.json"),
        ("model.tflite", [], InvalidInputError, "liteport bench FILE... --out report"),
        ("half.json", [], IntegrityError, "is no valid JSON"),
        ("report", ["--data", "mnist"], InvalidInputError, "--data is for a bundle"),
        ("report", ["--device", "lapto"], InvalidInputError, "did you mean 'laptop'"),
        ("report", ["--max-drop", "0.1%"], InvalidInputError, "max_drop is '0.1%'"),
    ],
)
def test_bad_input_is_told(
    name: str, options: list[str], error: type[LiteportError], message: str, folder: Path
) -> None:
    (folder.parent / "model.tflite").write_bytes(b"TFL3")
    (folder.parent / "half.json").write_text(made_report().to_json()[:1000], encoding="utf-8")
    with pytest.raises(error, match=message):
        run(["choose", str(folder.parent / name), *options])


def test_import_is_cheap() -> None:
    """Every call of `liteport` imports every command."""
    program = "import sys, liteport.benchmarks.deciding.choose_command; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "numpy" not in loaded
