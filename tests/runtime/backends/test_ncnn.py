"""ncnn by itself gives no error for what is tested here: it reads past arrays, divides by zero, or answers nonsense."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from liteport.errors import BackendError, IntegrityError, InvalidInputError
from liteport.runtime import load, read_bundle
from liteport.runtime.backends import choose_engine

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 28, 28, 1), np.uint8)
MIRROR = """7767517
2 2
Input image 0 1 image 0={width} 1={height} 2=3
{kind} work 1 1 image output {parameters}
"""


def write(folder: Path, layers: str, weights: bytes = b"") -> Path:
    (path := folder / "model.param").write_text(layers, encoding="ascii")
    path.with_suffix(".bin").write_bytes(weights)
    return path


@pytest.fixture
def lone(tiny_bundle: Path, tmp_path: Path) -> Path:
    for suffix in (".param", ".bin"):
        shutil.copy(tiny_bundle / f"ncnn-float32{suffix}", tmp_path)
    return tmp_path / "ncnn-float32.param"


def test_tensors_are_described_with_a_free_batch_and_channels_last(tiny_bundle: Path) -> None:
    backend = choose_engine(".param").load(read_bundle(tiny_bundle).read("ncnn-float32"), 1)
    (given,), (result,) = backend.inputs, backend.outputs
    assert (given.name, given.dtype, given.shape, given.scale) == ("input", "float32", (None, 28, 28, 1), None)
    assert (result.name, result.dtype, result.shape) == ("output", "float32", (None, 10))
    assert str(backend.info).endswith("(CPU, float32)")
    backend.close()


@pytest.mark.parametrize(("variant", "most"), [("ncnn-float32", 1e-5), ("ncnn-float16", 1e-2)])
def test_answers_are_those_of_onnx(tiny_bundle: Path, variant: str, most: float) -> None:
    # Orders of additions differ, and Winograd's sums; half precision keeps three digits of each weight.
    with load(tiny_bundle, variant) as model, load(tiny_bundle, "onnx-float32") as reference:
        assert np.abs(model.predict(IMAGES) - reference.predict(IMAGES)).max() < most


def test_weights_of_half_precision_allow_for_its_arithmetic(tiny_bundle: Path) -> None:
    backend = choose_engine(".param").load(read_bundle(tiny_bundle).read("ncnn-float16"), 1)
    assert backend.info.provider in ("CPU, float16", "CPU, float16 weights")


def test_a_batch_is_answered_as_its_items_are(tiny_bundle: Path) -> None:
    with load(tiny_bundle, "ncnn-float32") as model:
        together = model.predict(IMAGES)
        for _ in range(2):  # the second time by the shortcut
            np.testing.assert_array_equal(together, np.concatenate([model.predict(image) for image in IMAGES]))
        assert model.predict(IMAGES[:0]).shape == (0, 10)


def test_threads_share_a_model(tiny_bundle: Path) -> None:
    with load(tiny_bundle, "ncnn-float32") as model, ThreadPoolExecutor(4) as pool:
        expected = model.predict(IMAGES)
        for found in pool.map(lambda _: model.predict(IMAGES), range(16)):
            np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(model.predict(np.repeat(IMAGES, 3, 0), workers=2), np.repeat(expected, 3, 0))


@pytest.mark.parametrize("size", [(4, 4), (5, 7), (1, 3)])
def test_channels_and_rows_come_out_where_they_went_in(tmp_path: Path, size: tuple[int, int]) -> None:
    height, width = size
    path = write(tmp_path, MIRROR.format(width=width, height=height, kind="UnaryOp", parameters="0=1"))  # negates
    values = np.random.default_rng(1).random((3, height, width, 3), np.float32)
    kept = values.copy()
    with load(path) as model:
        np.testing.assert_array_equal(model.run({"image": values})["output"], -kept)
        np.testing.assert_array_equal(values, kept)  # the layer works in place, on memory of the engine's


def test_other_sizes_do_not_reach_the_engine(lone: Path) -> None:
    with load(lone) as model:
        for shape in ((1, 27, 28, 1), (1, 28, 28, 3), (28,), (1, 1, 28, 28)):
            with pytest.raises(InvalidInputError, match=r"expected \(28, 28, 1\)"):
                model.run({"input": np.zeros(shape, np.float32)})


def test_a_model_that_states_no_sizes_is_refused(tmp_path: Path) -> None:
    layers = MIRROR.format(width=4, height=4, kind="ReLU", parameters="").replace("0=4 1=4 2=3", "")
    with pytest.raises(BackendError, match=r"states no sizes of its input 'image'.*0=width 1=height 2=channels"):
        load(write(tmp_path, layers))


def test_a_layer_that_ncnn_lacks_is_named(tmp_path: Path) -> None:
    layers = MIRROR.format(width=4, height=4, kind="Sorcery", parameters="")
    with pytest.raises(BackendError, match="has no layer 'Sorcery', which 'work' is"):
        load(write(tmp_path, layers))


def test_a_layer_that_fails_is_named(tmp_path: Path) -> None:
    layers = MIRROR.format(width=4, height=4, kind="Permute", parameters="0=9")
    with pytest.raises(BackendError, match=r"failed in layer 'work' \(Permute\), which makes 'output'"):
        load(write(tmp_path, layers))


def test_half_a_model_and_two_models_are_told(lone: Path) -> None:
    weights = lone.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes()[4:])
    with pytest.raises(IntegrityError, match="edited or damaged"):
        load(lone)
    weights.unlink()
    with pytest.raises(IntegrityError, match=r"ncnn-float32\.bin does not exist"):
        load(lone)


@pytest.mark.parametrize("suffix", [".param", ".bin"])
def test_one_digest_guards_both_files(lone: Path, suffix: str) -> None:
    path = lone.with_suffix(suffix)
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError):
        load(lone)


@pytest.mark.parametrize("suffix", [".param", ".bin"])
def test_a_bundle_guards_both_files(tiny_bundle: Path, tmp_path: Path, suffix: str) -> None:
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    (path := bundle / f"ncnn-float32{suffix}").write_bytes(path.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match=f"ncnn-float32{suffix} is not the file that was exported"):
        load(bundle, "ncnn-float32")
    path.unlink()
    with pytest.raises(IntegrityError, match="cannot be read"):
        load(bundle, "ncnn-float32")


def test_weights_are_no_model(lone: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"is no model; expected .* an ncnn \.param file"):
        load(lone.with_suffix(".bin"))


@pytest.fixture
def foreign(lone: Path, tmp_path: Path) -> Path:
    """The same model without what liteport adds at the end of its weights."""
    weights = lone.with_suffix(".bin").read_bytes()
    (folder := tmp_path / "foreign").mkdir()
    return write(folder, lone.read_text(), weights[: -int.from_bytes(weights[-12:-8], "little") - 12])


def test_a_foreign_model_is_run_and_may_be_isolated(foreign: Path, lone: Path) -> None:
    values = IMAGES.astype(np.float32) / 255
    with load(foreign, isolate=True) as model, load(lone) as same:
        np.testing.assert_array_equal(model.run({"input": values})["output"], same.run({"input": values})["output"])


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ("0=28 1=28 2=3", "layer 'convrelu_0' has weights for 1 channels and gets 3"),
        ("0=40 1=28 2=1", "layer 'linear_.*' has weights for 1152 channels and gets 1728"),
        ("0=28", "layer 'convrelu_0' has weights for 1 channels and gets 28"),
        ("0=2 1=2 2=1", "failed in layer 'convrelu_"),
    ],
)
def test_sizes_that_a_model_is_not_made_for_are_refused(foreign: Path, sizes: str, reason: str) -> None:
    foreign.write_text(foreign.read_text().replace("0=28 1=28 2=1", sizes, 1))
    with pytest.raises(BackendError, match=reason):
        load(foreign)


def test_a_signature_is_refused(lone: Path) -> None:
    with pytest.raises(InvalidInputError, match="ncnn models have no signatures"):
        load(lone, signature="serving_default")
