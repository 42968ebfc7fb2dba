import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from liteport.errors import InvalidInputError, NotFoundError
from liteport.runtime import Manifest, backends, commands, load
from liteport.runtime.backends import installed
from liteport.runtime.cli import run

Edit = Callable[[Path, Callable[[Manifest], Manifest]], Path]


@pytest.fixture
def pictures(digits: NDArray[np.uint8], tmp_path: Path) -> list[str]:
    """Two digits as files."""
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path, pixels in zip(paths, digits, strict=False):
        Image.fromarray(pixels).save(path)
    return [str(path) for path in paths]


def test_predict_prints_a_line_of_json_an_image(
    tiny_bundle: Path, pictures: list[str], digits: NDArray[np.uint8], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", str(tiny_bundle), *pictures, "--variant", "tflite-int8", "--top-k", "2", "--json"]) == 0
    captured = capsys.readouterr()
    found = [json.loads(line) for line in captured.out.splitlines()]
    assert [entry["image"] for entry in found] == pictures
    with load(tiny_bundle, "tflite-int8") as model:
        for entry, pixels in zip(found, digits, strict=False):
            assert entry["predictions"] == [vars(prediction) for prediction in model.classify(pixels, 2)]
    assert captured.err == ""


def test_predict_prints_a_table(
    tiny_bundle: Path, pictures: list[str], answers: NDArray[np.int64], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", str(tiny_bundle), *pictures, "--top-k", "1"]) == 0
    out = capsys.readouterr().out
    assert "tflite-float32 on ai-edge-litert" in out
    for path, answer in zip(pictures, answers, strict=False):
        row = next(line for line in out.splitlines() if path in line)
        assert row.split("│")[2].strip() == str(answer)  # 7 and 2, which even a tiny model knows


@pytest.mark.parametrize("option", [["--json"], []])
def test_predict_goes_on_after_a_bad_image(
    option: list[str], tiny_bundle: Path, pictures: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    missing = tmp_path / "missing.png"
    assert run(["predict", str(tiny_bundle), str(bad), pictures[0], str(missing), pictures[1], *option]) == 1
    captured = capsys.readouterr()
    assert all(path in captured.out for path in pictures)
    assert "bad.png" not in captured.out
    bad_line, missing_line = captured.err.splitlines()
    assert bad_line.startswith(f"error: '{bad}' is no image")
    assert missing_line.startswith(f"error: '{missing}' does not exist")


def test_predict_with_only_bad_images_prints_no_table(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", str(tiny_bundle), str(tmp_path / "missing.png")]) == 1
    assert capsys.readouterr().out == ""


def test_predict_tells_of_a_bad_model_before_any_image(tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="does not exist; expected a bundle folder"):
        run(["predict", str(tmp_path / "nowhere"), "x.png"])
    with pytest.raises(InvalidInputError, match="unknown variant"):
        run(["predict", str(tiny_bundle), "x.png", "--variant", "tflite"])
    with pytest.raises(InvalidInputError, match="threads is 1000"):
        run(["predict", str(tiny_bundle), "x.png", "--threads", "1000"])


def test_doctor_finds_all_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor"]) == 0
    out = capsys.readouterr().out
    for word in ("liteport", "Python", "CPU", "features", "ai-edge-litert", "onnxruntime", "Pillow", "tensorflow"):
        assert word in out


def test_doctor_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    real = commands.installed_version
    monkeypatch.setattr(
        commands, "installed", lambda engine: engine.package == "ai-edge-litert" and backends.installed(engine)
    )
    monkeypatch.setattr(commands, "installed_version", lambda package: None if package == "Pillow" else real(package))
    assert run(["doctor"]) == 0
    advice = capsys.readouterr().out.split("to install what is missing:\n")[1].splitlines()
    assert [line.strip() for line in advice[:2]] == ['pip install "liteport[onnx]"', 'pip install "liteport[image]"']
    assert not any("tflite-runtime" in line for line in advice)  # ai-edge-litert serves the same files
    assert installed(backends.ENGINES[0])
