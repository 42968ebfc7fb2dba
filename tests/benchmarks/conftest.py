"""A stand-in for the worker, and a bundle and a data set whose figures can be computed by hand."""

import hashlib
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from liteport.benchmarks import process
from liteport.benchmarks.limits import onnx_probe, tflite_probe
from liteport.runtime.card import InputInfo, OutputInfo, Preprocessing, TensorSpec
from liteport.runtime.manifest import Manifest, Variant
from liteport.runtime.records import SourceInfo
from liteport.train import Dataset, Split

SetPlan = Callable[..., None]
MakeBundle = Callable[..., Path]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> SetPlan:
    """Replaces the worker's program; call it with what each variant does, and where to log the commands."""

    def set_plan(variants: dict[str, dict[str, object]] | None = None, log: Path | None = None) -> None:
        plan = {"variants": variants or {}, "log": str(log) if log else None}
        monkeypatch.setenv("STAND_IN", json.dumps(plan))

    monkeypatch.setattr(process, "COMMAND", (sys.executable, str(Path(__file__).with_name("stand_in_worker.py"))))
    set_plan()
    return set_plan


@pytest.fixture(scope="session")
def digit_folder(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 120 digits as image files by class, of two sizes."""
    image_module = pytest.importorskip("PIL.Image")
    folder = tmp_path_factory.mktemp("images") / "digits"
    with np.load(tiny_data) as arrays:
        digits = list(zip(arrays["x_train"][:120], arrays["y_train"][:120], strict=True))
    for number, (pixels, label) in enumerate(digits):
        (folder / f"{label}").mkdir(parents=True, exist_ok=True)
        image_module.fromarray(pixels[: 28 - number % 2]).save(folder / f"{label}" / f"{number}.png")
    return folder


@pytest.fixture
def data() -> Dataset:
    """Ten test images whose first pixel is the right class; the second is wrong for two, the third for one."""
    labels = np.arange(10)
    images = np.zeros((10, 4, 4, 1), np.uint8)
    images[:, 0, 0, 0] = images[:, 0, 1, 0] = images[:, 0, 2, 0] = labels
    images[[3, 7], 0, 1, 0] = 0
    images[3, 0, 2, 0] = 9
    split = Split(images, labels)
    return Dataset("ten", "ten", split, split, split, tuple("abcdefghij"))


def _content(variant: str) -> bytes:
    """A file of the variant's format, another one for each variant: a product with a constant matrix."""
    weights = np.full((10, 16), len(variant), np.float32)
    if variant.startswith("tflite"):
        return tflite_probe.product_file(weights, 1)
    return onnx_probe.product_file(weights.T, 1)


@pytest.fixture
def make_bundle(tmp_path: Path) -> MakeBundle:
    """Makes bundles that are right in form; only the stand-in can run their files."""

    def make(
        variants: Iterable[str] = ("tflite-float32", "tflite-int8", "onnx-float32"),
        *,
        folder: str = "bundle",
        shape: tuple[int, int, int] = (4, 4, 1),
        classes: int = 10,
        training: dict[str, object] | None = None,
    ) -> Path:
        path = tmp_path / folder
        path.mkdir()
        entries = []
        for name in variants:
            content = _content(name)
            file = f"{name}.{name.split('-')[0]}"
            (path / file).write_bytes(content)
            digest, spec = hashlib.sha256(content).hexdigest(), TensorSpec("x", "float32", (None, *shape))
            scheme = name.split("-")[1]
            entries.append(Variant(name, file, digest, len(content), scheme, (spec,), (spec,), "any", None))
        manifest = Manifest(
            name="ten-net",
            created="2026-01-01T00:00:00+00:00",
            source=SourceInfo(None, None, {}, training),
            input=InputInfo("x", (None, *shape), "NHWC", "grayscale", Preprocessing()),
            output=OutputInfo("y", (None, classes), "softmax", None),
            calibration=None,
            variants=tuple(entries),
        )
        (path / "manifest.json").write_text(manifest.to_json())
        return path

    return make
