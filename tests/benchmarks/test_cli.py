import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from liteport.benchmarks.cli import bench
from liteport.errors import AlreadyExistsError, InvalidInputError, LiteportError, NotFoundError
from liteport.train import Dataset

app = typer.Typer()
app.command("bench")(bench)


@pytest.fixture
def arguments(
    stand_in: Callable[..., None],
    make_bundle: Callable[..., Path],
    data: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    monkeypatch.setattr("liteport.benchmarks.inputs.load_dataset", {"ten": data}.__getitem__)
    stand_in({"onnx-float32": {"ns": 500}, "tflite-int8": {"latency": "crash"}})
    out = str(tmp_path / "report")
    return [str(make_bundle()), "--data", "ten", "--rounds", "2", "--runs", "2", "--out", out]


def test_prints_the_table_and_what_to_do_next(arguments: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [*arguments, "--json", str(tmp_path / "copy.json")], catch_exceptions=False)
    assert result.exit_code == 0
    assert "accuracy" in result.stdout
    assert "tflite-int8 was not measured: latency: the worker was ended by SIGSEGV" in result.stdout
    assert "size (kB): size of the model file, in 1,000 bytes" in result.stdout
    assert f"next: liteport predict {arguments[0]} IMAGE --variant onnx-float32" in result.stdout
    copy = json.loads((tmp_path / "copy.json").read_text())
    assert copy == json.loads((tmp_path / "report" / "report.json").read_text())


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        (["--variant", "tflite-int9"], InvalidInputError, "did you mean 'tflite-int8'"),
        (["--runs", "0"], InvalidInputError, "runs is 0"),
        (["--json", "/nowhere/x.json"], NotFoundError, "/nowhere does not exist"),
        (["--json", "/"], InvalidInputError, "is a folder"),
        (["--json", __file__], AlreadyExistsError, "--force"),
    ],
)
def test_bad_input_leaves_nothing(
    more: list[str], error: type[LiteportError], message: str, arguments: list[str], tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        CliRunner().invoke(app, [*arguments, *more], catch_exceptions=False)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_import_is_cheap_and_needs_no_tensorflow() -> None:
    program = (
        "import sys, liteport.benchmarks; assert 'numpy' not in sys.modules\n"
        "import liteport.benchmarks.suite; print(*{name.split('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"tensorflow", "keras", "matplotlib", "scipy", "onnxruntime"} & set(loaded)
