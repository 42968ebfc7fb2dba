import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from liteport.errors import IntegrityError, InvalidInputError, NotFoundError
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


def test_inspect_shows_a_bundle(tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(tiny_bundle)]) == 0
    out = capsys.readouterr().out
    assert "tiny: grayscale 28x28x1 in, 10 classes out (softmax)" in out
    assert "calibrated on 500 images" in out
    for variant in ("tflite-float32", "tflite-int8", "tflite-int16x8", "onnx-int8"):
        assert sum(f" {variant} " in line for line in out.splitlines()) == 1
    assert "zero point -128" in out


def test_inspect_shows_a_bundle_with_nothing_optional(
    bundle_copy: Path, edit: Edit, capsys: pytest.CaptureFixture[str]
) -> None:
    def strip(manifest: Manifest) -> Manifest:
        return replace(
            manifest,
            calibration=None,
            output=replace(manifest.output, labels=None),
            source=replace(manifest.source, file=None, sha256=None, training=None),
            variants=tuple(replace(variant, verification=None) for variant in manifest.variants),
        )

    assert run(["inspect", str(edit(bundle_copy, strip))]) == 0
    out = capsys.readouterr().out
    assert "from a live model" in out
    assert "labels" not in out
    assert "calibrated" not in out


def test_inspect_prints_the_manifest_as_json(tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(tiny_bundle), "--json"]) == 0
    assert capsys.readouterr().out == (tiny_bundle / "manifest.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["tflite-int8.tflite", "onnx-float32.onnx"])
def test_inspect_shows_a_file(name: str, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tiny_bundle / name
    assert run(["inspect", str(path), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts["size_bytes"] == path.stat().st_size
    assert facts["inputs"][0]["shape"] == [None, 28, 28, 1]
    assert run(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert "N x 28 x 28 x 1" in out
    assert f"{path.stat().st_size:,} bytes" in out


def test_inspect_tells_of_any_damaged_variant(bundle_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last = bundle_copy / "onnx-int8.onnx"
    last.write_bytes(last.read_bytes()[:-1])
    for option in ([], ["--json"]):
        with pytest.raises(IntegrityError, match=r"onnx-int8\.onnx is not the file that was exported"):
            run(["inspect", str(bundle_copy), *option])
    assert capsys.readouterr().out == ""


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
