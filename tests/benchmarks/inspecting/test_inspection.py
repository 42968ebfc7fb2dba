import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from liteport.benchmarks.inspecting.pace import profile_onnx
from liteport.errors import IntegrityError, InvalidInputError, NotFoundError
from liteport.runtime import Manifest
from liteport.runtime.cli import run

Output = pytest.CaptureFixture[str]


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A bundle that the test may change."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


def rewrite(bundle: Path, change: Callable[[Manifest], Manifest]) -> None:
    path = bundle / "manifest.json"
    path.write_text(change(Manifest.from_json(path.read_bytes())).to_json(), encoding="utf-8")


def test_shows_a_bundle(tiny_bundle: Path, capsys: Output) -> None:
    assert run(["inspect", str(tiny_bundle)]) == 0
    out = capsys.readouterr().out
    assert "input input: grayscale N x 28 x 28 x 1 float32 = pixel x 0.00392156862745098 + 0.0" in out
    assert "output output: N x 10 (softmax); 0, 1, 2, 3" in out
    assert "calibrated on 500 samples of tiny (train), seed 0, minmax" in out
    for variant in ("tflite-float32", "tflite-int8", "tflite-int16x8", "onnx-int8"):
        assert sum(f" {variant} " in line for line in out.splitlines()) == 1
    assert "zero point -128" in out


def test_shows_a_bundle_with_nothing_optional(bundle: Path, capsys: Output) -> None:
    def strip(manifest: Manifest) -> Manifest:
        return replace(
            manifest,
            calibration=None,
            output=replace(manifest.output, labels=None),
            source=replace(manifest.source, file=None, sha256=None, training=None),
            variants=tuple(replace(variant, verification=None) for variant in manifest.variants),
        )

    rewrite(bundle, strip)
    assert run(["inspect", str(bundle)]) == 0
    out = capsys.readouterr().out
    assert "from a live model" in out
    assert "0, 1, 2" not in out
    assert "calibrated" not in out


def test_prints_the_manifest_as_json(tiny_bundle: Path, capsys: Output) -> None:
    assert run(["inspect", str(tiny_bundle), "--json"]) == 0
    assert capsys.readouterr().out == (tiny_bundle / "manifest.json").read_text(encoding="utf-8")


def test_tells_of_any_damaged_variant(bundle: Path, capsys: Output) -> None:
    last = bundle / "onnx-int8.onnx"
    last.write_bytes(last.read_bytes()[:-1])
    for option in ([], ["--json"]):
        with pytest.raises(IntegrityError, match=r"onnx-int8\.onnx is not the file that was exported"):
            run(["inspect", str(bundle), *option])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["tflite-int8.tflite", "onnx-int8.onnx"])
def test_shows_what_is_in_a_file(name: str, tiny_bundle: Path, capsys: Output) -> None:
    path = tiny_bundle / name
    assert run(["inspect", str(path), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts["size_bytes"] == path.stat().st_size
    assert facts["inputs"][0]["shape"] == [None, 28, 28, 1]
    assert len(facts["tensors"]) == sum(facts["dtypes"].values())
    assert run(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert "N x 28 x 28 x 1" in out
    assert f"{path.stat().st_size:,} bytes" in out
    assert ("minimum runtime: TensorFlow Lite" if path.suffix == ".tflite" else "opset ai.onnx 1") in out
    # ONNX Runtime's softmax is the exporter's choice; of TFLite's full integer nothing may be left.
    assert ("left in float: none" if path.suffix == ".tflite" else "Softmax (output)") in out


def test_shows_a_variants_file_and_every_tensor(tiny_bundle: Path, capsys: Output) -> None:
    assert run(["inspect", str(tiny_bundle), "--variant", "tflite-int8"]) == 0
    short = capsys.readouterr().out
    assert run(["inspect", str(tiny_bundle), "--variant", "tflite-int8", "--tensors"]) == 0
    long = capsys.readouterr().out
    assert long.startswith(short)
    assert "16 scales from" in long  # the first convolution's weights, per channel
    assert "16 scales from" not in short


def test_a_file_alone_is_shown_too(tiny_bundle: Path, tmp_path: Path, capsys: Output) -> None:
    alone = Path(shutil.copy(tiny_bundle / "tflite-float32.tflite", tmp_path))
    assert run(["inspect", str(alone)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(str(alone))
    assert "left in float: all, as nothing is quantized" in out


@pytest.mark.parametrize("other", ["tflite-int8", "onnx-int8"])
def test_compares_two_variants(other: str, tiny_bundle: Path, tiny_data: Path, capsys: Output) -> None:
    arguments = ["inspect", str(tiny_bundle), "--compare", other, "--data", str(tiny_data), "--count", "30"]
    assert run(arguments) == 0
    out = capsys.readouterr().out
    reference = f"{other.split('-')[0]}-float32"
    assert f"{other} beside {reference} on 30 images of tiny (validation)" in out
    assert "worst layers:" in out
    assert "tensors matched by name" in out
    assert "loses most" in out
    assert f"{reference} here" in out  # faster, slower or as fast
    for layer in ("conv2d", "conv2d_1", "output"):
        assert f"│ {layer} " in out


def test_compares_files_as_json(tiny_bundle: Path, tiny_data: Path, capsys: Output) -> None:
    paths = [str(tiny_bundle / f"onnx-{scheme}.onnx") for scheme in ("float32", "float16")]
    arguments = ["inspect", paths[0], "--compare", paths[1], "--data", str(tiny_data), "--count", "20", "--json"]
    assert run(arguments) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["comparison"]["samples"] == 20
    assert found["accuracy"]["images"] == 20
    assert all(layer["saturation"] is None for layer in found["comparison"]["layers"])
    assert found["findings"][0]["noise"] > 0
    assert found["pace"]["ratio"] > 0
    assert sum(entry["share"] for entry in found["profile"]) == pytest.approx(1)
    assert found["diagnosis"]


def test_the_named_variant_is_the_reference(tiny_bundle: Path, tiny_data: Path, capsys: Output) -> None:
    both = ["--variant", "tflite-int8", "--compare", "tflite-int8"]
    assert run(["inspect", str(tiny_bundle), *both, "--data", str(tiny_data), "--count", "10"]) == 0
    out = capsys.readouterr().out
    assert "tflite-int8 beside tflite-int8" in out
    assert "No layer adds noise: both files compute the same values." in out


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--compare", "tflite-int9"], InvalidInputError, "unknown variant 'tflite-int9'; did you mean 'tflite-int8'"),
        (["--compare", "nowhere/x.tflite"], NotFoundError, "is no model file"),
        (["--compare", "onnx-int8", "--variant", "tflite-float32"], InvalidInputError, "are of different engines"),
        (["--variant", "tflite-int9"], InvalidInputError, "unknown variant"),
        (["--data", "mnist"], InvalidInputError, "--data is for --compare"),
        (["--compare", "tflite-int8", "--data", "mnits"], InvalidInputError, "did you mean 'mnist'"),
    ],
)
def test_refuses(arguments: list[str], error: type[Exception], message: str, tiny_bundle: Path) -> None:
    with pytest.raises(error, match=message):
        run(["inspect", str(tiny_bundle), *arguments])


def test_refuses_lone_files_that_do_not_fit(tiny_bundle: Path, tmp_path: Path) -> None:
    alone = [Path(shutil.copy(tiny_bundle / f"tflite-{scheme}.tflite", tmp_path)) for scheme in ("float32", "int8")]
    with pytest.raises(InvalidInputError, match="does not tell what it was trained on"):
        run(["inspect", str(alone[0]), "--compare", str(alone[1])])
    with pytest.raises(InvalidInputError, match="can only be chosen in a bundle"):
        run(["inspect", str(alone[0]), "--variant", "tflite-int8"])
    with pytest.raises(NotFoundError, match="does not exist"):
        run(["inspect", str(tmp_path / "missing.tflite")])
    images = np.zeros((24, 4, 4), np.uint8)
    np.savez(
        tmp_path / "small.npz", x_train=images, y_train=np.arange(24) % 10, x_test=images, y_test=np.arange(24) % 10
    )
    with pytest.raises(InvalidInputError, match=r"images of shape \(4, 4, 1\) in 10 classes; .* expects \(28, 28, 1\)"):
        run(["inspect", str(alone[0]), "--compare", str(alone[1]), "--data", str(tmp_path / "small.npz")])


def test_the_profile_tells_integer_kernels(tiny_bundle: Path) -> None:
    feeds = {"input": np.zeros((1, 28, 28, 1), np.float32)}
    times = profile_onnx((tiny_bundle / "onnx-int8.onnx").read_bytes(), feeds)
    assert {"QLinearConv"} <= {entry.kind for entry in times}
    assert sum(entry.nodes for entry in times if entry.kind.endswith("Conv")) == 2
    assert sum(entry.share for entry in times) == pytest.approx(1)
    assert [entry.share for entry in times] == sorted((entry.share for entry in times), reverse=True)
