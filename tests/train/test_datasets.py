import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from liteport.errors import InvalidInputError, LiteportError, MissingDependencyError, NotFoundError
from liteport.runtime.images import open_image
from liteport.train import Dataset, load_dataset
from liteport.train.datasets import load_for_model, parse_image_size, reload
from liteport.train.sources import named

Arrays = dict[str, NDArray[Any]]


def written(path: Path, arrays: Arrays, **changed: Any) -> Path:
    """Writes an .npz in which some arrays are others, or left out where None."""
    np.savez(path / "data.npz", **{k: v for k, v in {**arrays, **changed}.items() if v is not None})
    return path / "data.npz"


def test_embedded_mnist_is_the_canonical_one() -> None:
    mnist = load_dataset("mnist")

    assert [len(split.labels) for split in (mnist.train, mnist.validation, mnist.test)] == [55_000, 5_000, 10_000]
    assert mnist.input_shape == (28, 28, 1)
    assert mnist.class_names == tuple("0123456789")
    # the counts of each digit that Y. LeCun's files are known to have
    all_train = np.bincount(mnist.train.labels) + np.bincount(mnist.validation.labels)
    assert all_train.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(mnist.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_validation_is_stratified_and_the_rest_is_train(arrays: Arrays, dataset: Dataset) -> None:
    together = np.concatenate([dataset.train.images, dataset.validation.images])
    assert len(dataset.validation.labels) == 20
    # as multisets, the two parts are the source: nothing lost, nothing twice
    assert sorted(image.tobytes() for image in together) == sorted(image.tobytes() for image in arrays["x_train"])
    expected = np.bincount(arrays["y_train"]) / 12
    # every twelfth of the images in the order of their classes: less than one image off the exact part
    assert np.abs(np.bincount(dataset.validation.labels, minlength=10) - expected).max() < 1


def test_labels_stay_with_their_images(arrays: Arrays, dataset: Dataset) -> None:
    label_of = {image.tobytes(): label for image, label in zip(arrays["x_train"], arrays["y_train"], strict=True)}
    for split in (dataset.train, dataset.validation):
        assert [label_of[image.tobytes()] for image in split.images] == split.labels.tolist()


def test_seed_chooses_validation_and_leaves_test_alone(npz: Path, dataset: Dataset) -> None:
    again, other = load_dataset(npz), load_dataset(npz, seed=1)

    assert again.digest == dataset.digest
    assert other.digest != dataset.digest
    assert not np.array_equal(other.validation.images, dataset.validation.images)
    np.testing.assert_array_equal(other.test.images, dataset.test.images)


def test_digest_sees_shapes_as_well_as_bytes(arrays: Arrays, tmp_path: Path, dataset: Dataset) -> None:
    flat = {name: arrays[name].reshape(-1, 7, 28) for name in ("x_train", "x_test")}
    assert load_dataset(written(tmp_path, arrays, **flat)).digest != dataset.digest


@pytest.mark.parametrize("kind", ["channel", "column labels", "uint64 labels", "fortran", "compressed"])
def test_accepts_the_usual_layouts(arrays: Arrays, tmp_path: Path, dataset: Dataset, kind: str) -> None:
    changed: Arrays = {
        "channel": {name: arrays[name][..., None] for name in ("x_train", "x_test")},
        "column labels": {name: arrays[name][:, None] for name in ("y_train", "y_test")},
        "uint64 labels": {name: arrays[name].astype(np.uint64) for name in ("y_train", "y_test")},
        "fortran": {name: np.asfortranarray(arrays[name]) for name in ("x_train", "x_test")},
        "compressed": {},
    }[kind]
    path = tmp_path / "data.npz"
    (np.savez_compressed if kind == "compressed" else np.savez)(path, **{**arrays, **changed})
    assert load_dataset(path).digest == dataset.digest


def test_class_names_and_colour(arrays: Arrays, tmp_path: Path) -> None:
    colour = {name: np.repeat(arrays[name][..., None], 3, axis=3) for name in ("x_train", "x_test")}
    names = np.array([f"digit {i}" for i in range(10)])
    loaded = load_dataset(str(written(tmp_path, arrays, class_names=names, **colour)))

    assert loaded.class_names[3] == "digit 3"
    assert loaded.input_shape == (14, 14, 3)
    assert (loaded.name, loaded.source) == ("data", str(tmp_path / "data.npz"))


def test_smallest_data_set(tmp_path: Path) -> None:
    images, labels = np.arange(4, dtype=np.uint8).reshape(4, 1, 1), np.array([0, 0, 1, 1])
    np.savez(tmp_path / "data.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    loaded = load_dataset(tmp_path / "data.npz")
    assert (len(loaded.validation.labels), set(loaded.train.labels)) == (1, {0, 1})


ONES = np.ones(240, dtype=np.int64)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"y_test": None}, "lacks y_test; expected x_train.* found 'x_train'"),
        ({"x_train": np.zeros((240, 14, 14))}, "x_train: expected uint8 pixels.*found float64"),
        ({"x_train": np.zeros((240, 196), np.uint8)}, r"x_train: expected images \(N, H, W\).*\(240, 196\)"),
        ({"x_train": np.zeros((240, 14, 14, 2), np.uint8)}, "one or three channels"),
        ({"x_train": np.zeros((0, 14, 14), np.uint8)}, "at least one image"),
        ({"x_test": np.zeros((100, 14, 0), np.uint8)}, "x_test: expected at least one image"),
        ({"x_test": np.zeros((100, 14, 15), np.uint8)}, r"differ in image shape: \(14, 14, 1\) and \(14, 15, 1\)"),
        ({"y_train": ONES[:239]}, r"y_train: expected 240 labels.*\(239,\)"),
        ({"y_train": np.eye(10)[ONES].astype(np.int64)}, r"expected 240 labels, one an image, found int64 \(240, 10\)"),
        ({"y_train": ONES.astype(np.float32)}, "y_train: expected integer labels, found float32"),
        ({"y_train": ONES.astype(bool)}, "integer labels, found bool"),
        ({"y_train": np.array(["1"] * 240)}, "integer labels, found <U1"),
        ({"y_train": ONES - 2}, "label -1 is out of range"),
        ({"y_train": ONES - 1}, "at least two classes"),
        ({"y_train": ONES}, "class 0 of 2 has 0 images"),
        ({"y_train": np.r_[2**62, ONES[:119], np.zeros(120, np.int64)]}, "class 2 of .* has 0 images"),
        ({"y_train": np.r_[2, np.arange(239) % 2]}, "class 2 of 3 has 1 images; expected at least two"),
        ({"y_test": np.full(100, 10)}, "y_test: label 10 is out of range; y_train has 10 classes"),
        ({"class_names": np.array(["a", "b"])}, "y_train: label 9 is out of range; class_names has 2 classes"),
        ({"class_names": np.array([*"abcdefghijk"])}, r"class 10 \('k'\) of 11 has 0 images"),
        ({"class_names": np.array([*"abcdefghii"])}, "not distinct"),
        ({"class_names": np.array([*"abcdefghi\n"])}, "not distinct, printable"),
        ({"class_names": np.arange(10)}, "class_names.* expected a one-dimensional array of str"),
        ({"x_test": np.array([object()] * 100)}, "x_test of .* holds pickled objects"),
        ({"class_names": np.array([{}] * 10)}, "class_names of .* holds pickled objects"),
    ],
)
def test_says_what_is_wrong_with_the_arrays(
    arrays: Arrays, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message) as caught:
        load_dataset(written(tmp_path, arrays, **changed))
    assert "\n" not in str(caught.value)


def test_says_what_is_wrong_with_the_source(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(InvalidInputError, match="unknown data source 'mnits'; did you mean 'mnist'"):
        load_dataset("mnits")
    for missing in (tmp_path / "absent.npz", "absent.npz", "absent/data", Path("mnist")):
        with pytest.raises(NotFoundError, match="does not exist"):
            load_dataset(missing)
    for wrong in ("text.npz", "one.npy"):
        with pytest.raises(InvalidInputError, match=r"is not an \.npz file"):
            load_dataset(tmp_path / wrong)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInputError, match=r"expected at least two folders of images, one a class, found none"):
        load_dataset(tmp_path / "empty")
    with pytest.raises(InvalidInputError, match=r"mnist holds arrays, which are not streamed; expected a folder"):
        load_dataset("mnist", stream=True)
    with pytest.raises(InvalidInputError, match="seed: expected 0 or more"):
        load_dataset("mnist", seed=-1)


def test_header_that_lies_about_its_size(arrays: Arrays, tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (2**50, 28, 28)})
    path = written(tmp_path, arrays, x_train=None)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x_train.npy", header.getvalue())
    with pytest.raises(InvalidInputError, match=r"x_train of .* is damaged"):
        load_dataset(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.filterwarnings("ignore:Reading .*npy. format")  # numpy's, for a header that looks like Python 2's
def test_damaged_file_is_refused_or_read_whole(arrays: Arrays, tmp_path: Path, data: st.DataObject) -> None:
    """Bytes changed or cut off anywhere: either a plain error, or, where nothing reads the byte, the same data."""
    few = {name: values[:24] if "y" in name else values[:24, :2, :2] for name, values in arrays.items()}
    few["y_train"] = few["y_test"] = np.arange(24, dtype=np.uint8) % 2
    path = written(tmp_path, few)
    digest = load_dataset(path).digest
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        outcome = load_dataset(path).digest
    except LiteportError as error:
        outcome = str(error)
    assert outcome == digest or (len(outcome.splitlines()) == 1 and str(tmp_path) in outcome)


def test_without_keras_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.setattr(named, "DEBIAN_FASHION_MNIST", Path("absent"))
    with pytest.raises(MissingDependencyError, match=r'pip install "liteport\[train\]"'):
        load_dataset("fashion_mnist")


def test_without_a_connection_the_error_is_one_line(tmp_path: Path) -> None:
    code = """
from pathlib import Path
from liteport.errors import NotFoundError
from liteport.train import load_dataset
from liteport.train.sources import named
named.EMBEDDED_MNIST = named.DEBIAN_FASHION_MNIST = Path("absent")
for name in ("mnist", "fashion_mnist"):
    try:
        load_dataset(name)
    except NotFoundError as error:
        print(error)
"""
    # a proxy that nobody listens at is as good as a cable pulled; KERAS_HOME keeps an earlier download out of it
    offline = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    environment = {**os.environ, **offline, "no_proxy": "", "KERAS_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    lines = done.stdout.splitlines()
    assert [line.split(" is not on this machine")[0] for line in lines] == ["mnist", "fashion_mnist"], done.stderr
    assert "connect to the internet once" in lines[0]
    assert "or install Debian's package dataset-fashion-mnist" in lines[1]


def test_embedded_file_is_looked_for_in_the_checkout() -> None:
    assert named.EMBEDDED_MNIST.is_file()


@pytest.mark.parametrize("size", [(7, 9), 8])
def test_arrays_are_brought_to_a_size_as_the_runtime_does_it(
    npz: Path, dataset: Dataset, size: tuple[int, int] | int
) -> None:
    loaded = load_dataset(npz, image_size=size)
    height, width = size if isinstance(size, tuple) else (size, size)
    assert loaded.image_size == (height, width)
    for small, whole in zip(loaded.test.images[:3], dataset.test.images, strict=False):
        np.testing.assert_array_equal(small, open_image(whole, height, width, 1))


@pytest.mark.parametrize("size", [0, -3, (5,), (5, 0), (5, 5, 3), (1.5, 2), 1 << 20])
def test_no_image_has_such_a_size(npz: Path, size: Any) -> None:
    with pytest.raises(InvalidInputError, match="image size: expected a side, or height and width"):
        load_dataset(npz, image_size=size)


def test_image_size_in_words() -> None:
    assert [parse_image_size(text) for text in ("64", "48x64", " 48X64 ", "48×64")] == [(64, 64), *[(48, 64)] * 3]
    for text in ("", "x", "64x", "64x48x3", "-1", "0x5", "64,48"):
        with pytest.raises(InvalidInputError, match="image size"):
            parse_image_size(text)


@pytest.fixture(scope="module")
def folder(arrays: Arrays, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Zeros and ones of the digits as files, of two sizes; and one that is no image."""
    root = tmp_path_factory.mktemp("folders") / "digits"
    for number, (image, label) in enumerate(zip(arrays["x_train"], arrays["y_train"], strict=True)):
        if label < 2:
            (root / f"{label}").mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[: 14 - number % 2]).save(root / f"{label}" / f"{number:03}.png")
    (root / "1" / "text.png").write_text("no image")
    return root


def test_what_is_recorded_loads_the_same_again(folder: Path, npz: Path) -> None:
    for loaded in (
        load_dataset(folder, seed=3, image_size=(12, 10), skip_corrupt=True),
        load_dataset(npz, seed=2),
        load_dataset(npz, image_size=8),
    ):
        recorded = json.loads(json.dumps(loaded.recorded))
        again = reload({**recorded, "name": "more is no harm"})
        assert again.digest == loaded.digest
        assert again.recorded == recorded
    old = {"source": str(npz), "seed": 0, "digest": ""}  # as training.json was before images could be resized
    assert reload(old).digest == load_dataset(npz).digest


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": "0"},
        {"source": None},
        {"digest": 5},
        {"image_size": 5},
        {"image_size": [1, 2, 3]},
        {"image_size": ["a", "b"]},
        {"skip_corrupt": "no"},
    ],
)
def test_damaged_record(npz: Path, changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=r"the record of the data is damaged|image size: expected"):
        reload({**load_dataset(npz).recorded, **changed})


def test_digest_of_files_is_that_of_their_bytes(folder: Path) -> None:
    settings: dict[str, Any] = {"image_size": 14, "skip_corrupt": True}
    here, streamed = load_dataset(folder, **settings), load_dataset(folder, stream=True, **settings)
    assert (here.streamed, streamed.streamed) == (False, True)
    assert here.digest == streamed.digest
    for split in here.splits:
        np.testing.assert_array_equal(here.splits[split].images, streamed.splits[split].images[:])
        np.testing.assert_array_equal(here.splits[split].labels, streamed.splits[split].labels)
    assert load_dataset(folder, image_size=13, skip_corrupt=True).digest != here.digest
    path = next(folder.rglob("0*.png"))
    content = path.read_bytes()
    path.write_bytes(content + b"\0")  # no decoder looks behind a PNG's end
    try:
        assert load_dataset(folder, **settings).digest != here.digest
    finally:
        path.write_bytes(content)


def test_image_files_take_the_models_size_and_arrays_keep_theirs(folder: Path, npz: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "whole")
    (tmp_path / "whole" / "1" / "text.png").unlink()
    for shape in ((None, 10, 12, 1), (1, 1, 10, 12)):
        assert load_for_model(tmp_path / "whole", shape).input_shape == (10, 12, 1)
    with pytest.raises(InvalidInputError, match="images of 2 sizes"):
        load_for_model(tmp_path / "whole", (None, None, None, 1))
    assert load_for_model(npz, (None, 10, 12, 1)).input_shape == (14, 14, 1)
