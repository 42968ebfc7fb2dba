import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from liteport.errors import InvalidInputError, NotFoundError
from liteport.export.given_data import ImageFolder, Samples, in_class_order, named, opened, pools
from liteport.runtime import TensorSpec
from liteport.train import Dataset, load_dataset
from liteport.train.sources.image_files import ImageFiles

IMAGE = TensorSpec("image", "float32", (None, 4, 4, 1))
SIDE = TensorSpec("side", "float32", (None, 2))
TOKENS = TensorSpec("tokens", "int32", (None, 3))
GENERATOR = np.random.default_rng(0)
PIXELS = GENERATOR.integers(0, 256, (10, 4, 4, 1), np.uint8)
SIDES = GENERATOR.random((10, 2), np.float32)


def read(given: object, *specs: TensorSpec, limit: int = 1000) -> Samples:
    pool, held_out = pools(given, "calibration", specs or (IMAGE,), limit)
    assert isinstance(pool, Samples)
    assert held_out is None
    return pool


def one_by_one() -> Iterator[list[np.ndarray]]:
    """As the representative data set of a TFLite converter: a list with one array per input, batch of one."""
    for image in PIXELS:
        yield [image[None]]


@pytest.mark.parametrize(
    "given",
    [
        PIXELS,
        PIXELS[..., 0],
        list(PIXELS),
        [PIXELS],
        {"image": PIXELS},
        (image for image in PIXELS),
        (PIXELS[start : start + 4] for start in range(0, 10, 4)),
        one_by_one,
        one_by_one(),
        ({"image": image} for image in PIXELS),
    ],
    ids=["array", "flat", "list", "one in a list", "dict", "items", "batches", "function", "generator", "dicts"],
)
def test_one_input_may_come_in_many_ways(given: object) -> None:
    samples = read(given)
    np.testing.assert_array_equal(samples.inputs["image"], PIXELS)
    assert samples.labels is None


LABELS = np.arange(10) % 3


@pytest.mark.parametrize(
    "given",
    [
        (PIXELS, LABELS),
        (PIXELS, list(LABELS)),
        ({"image": PIXELS}, LABELS),
        ((image, label) for image, label in zip(PIXELS, LABELS, strict=True)),
        ((PIXELS[start : start + 4], LABELS[start : start + 4]) for start in range(0, 10, 4)),
    ],
    ids=["arrays", "list", "dict", "items", "batches"],
)
def test_labels_may_come_with_them(given: object) -> None:
    samples = read(given)
    np.testing.assert_array_equal(samples.inputs["image"], PIXELS)
    np.testing.assert_array_equal(samples.labels, LABELS)


@pytest.mark.parametrize(
    "given",
    [
        {"side": SIDES, "image": PIXELS},
        [PIXELS, SIDES],
        (PIXELS, SIDES),
        ([image, side] for image, side in zip(PIXELS, SIDES, strict=True)),
        ({"image": image, "side": side} for image, side in zip(PIXELS, SIDES, strict=True)),
    ],
    ids=["dict", "list", "pair", "lists", "dicts"],
)
def test_several_inputs(given: object) -> None:
    samples = read(given, IMAGE, SIDE)
    np.testing.assert_array_equal(samples.inputs["image"], PIXELS)
    np.testing.assert_array_equal(samples.inputs["side"], SIDES)


def test_several_inputs_with_labels() -> None:
    for inputs in ({"image": PIXELS, "side": SIDES}, [PIXELS, SIDES]):
        np.testing.assert_array_equal(read((inputs, LABELS), IMAGE, SIDE).labels, LABELS)


def test_token_ids_become_the_models_type() -> None:
    tokens = read(np.arange(6).reshape(2, 3), TOKENS).inputs["tokens"]
    assert tokens.dtype == np.int32


def test_an_endless_iterable_is_left_when_there_are_enough() -> None:
    assert len(read((PIXELS[0] for _ in itertools.count()), limit=7)) == 7


def test_arrays_in_files(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", PIXELS)
    np.savez(tmp_path / "named.npz", image=PIXELS, side=SIDES, labels=LABELS)
    np.savez(tmp_path / "single.npz", PIXELS)
    for name in ("one.npy", "single.npz"):
        np.testing.assert_array_equal(read(named(tmp_path / name, 0)).inputs["image"], PIXELS)
    samples = read(named(str(tmp_path / "named.npz"), 0), IMAGE, SIDE)
    np.testing.assert_array_equal(samples.inputs["side"], SIDES)
    np.testing.assert_array_equal(samples.labels, LABELS)


def test_names_of_data_sets(tiny_data: Path) -> None:
    dataset = named(str(tiny_data), seed=3)
    assert isinstance(dataset, Dataset)
    assert dataset.seed == 3
    assert named(dataset, 0) is dataset
    assert isinstance(named("mnist", 0), Dataset)


def test_a_data_set_that_is_incomplete_says_so_itself(tmp_path: Path) -> None:
    np.savez(tmp_path / "half.npz", x_train=PIXELS)
    with pytest.raises(InvalidInputError, match=r"half\.npz lacks y_train, x_test, y_test") as raised:
        named(tmp_path / "half.npz", 0)
    assert str(raised.value).count("half.npz") == 1
    with pytest.raises(InvalidInputError, match="the name of the data is empty"):  # not the working directory
        named("", 0)


def image_folder(path: Path, by_class: bool) -> Path:
    for number, pixels in enumerate(PIXELS):
        folder = path / "abc"[LABELS[number]] if by_class else path
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[..., 0]).save(folder / f"{number}.png")
    return path


@pytest.mark.parametrize("by_class", [True, False])
def test_a_folder_of_images_with_or_without_classes(by_class: bool, tmp_path: Path) -> None:
    folder = named(image_folder(tmp_path / "images", by_class), 0)
    assert isinstance(folder, ImageFolder)
    assert pools(folder, "calibration", (IMAGE,), 10) == (folder, None)
    samples = opened(folder, np.arange(10), IMAGE)
    assert samples.source == "images"
    numbers = [int(file.stem) for file in folder.files]
    np.testing.assert_array_equal(samples.inputs["image"], PIXELS[numbers])
    if by_class:
        np.testing.assert_array_equal(samples.labels, LABELS[numbers])
    else:
        assert samples.labels is None


def test_folders_are_numbered_as_the_models_classes_of_their_names(tmp_path: Path) -> None:
    folder = named(image_folder(tmp_path / "images", by_class=True), 0)
    letters = ["abc"[number] for number in folder.labels]
    ordered = in_class_order(folder, ["d", "c", "a", "b"])
    assert [["d", "c", "a", "b"][number] for number in ordered.labels] == letters
    np.testing.assert_array_equal(in_class_order(folder, ["cat", "dog", "eel"]).labels, folder.labels)
    assert in_class_order(PIXELS, ["a"]) is PIXELS


def test_splits_are_no_classes_and_the_test_split_is_not_calibrated_on(tmp_path: Path) -> None:
    for split in ("train", "test"):
        image_folder(tmp_path / "data" / split, by_class=True)
        image_folder(tmp_path / "unsorted" / split, by_class=False)
    assert {path.parts[-3] for path in named(tmp_path / "data", 0).files} == {"train"}
    with pytest.raises(InvalidInputError, match=r"unsorted holds splits \(test, train\), not classes"):
        named(tmp_path / "unsorted", 0)
    held_out = named(tmp_path / "data" / "test", 0)
    with pytest.raises(InvalidInputError, match="is a test split"):
        pools(held_out, "calibration", (IMAGE,), 10)
    assert pools(held_out, "verification", (IMAGE,), 10) == (held_out, None)


def test_images_that_are_files_stay_there_until_they_are_drawn(tmp_path: Path) -> None:
    for number in range(24):
        folder = tmp_path / "images" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 5), 9 * number, np.uint8)).save(folder / f"{number}.png")
    here, streamed = (load_dataset(tmp_path / "images", image_size=4, stream=stream) for stream in (False, True))
    order = np.array([1, 0])
    for expected, found in zip(pools(here, "", (IMAGE,), 9), pools(streamed, "", (IMAGE,), 9), strict=True):
        assert isinstance(found.inputs["image"], ImageFiles)
        np.testing.assert_array_equal(found.take(order).inputs["image"], expected.take(order).inputs["image"])
    with pytest.raises(InvalidInputError, match=r"shape"):
        pools(load_dataset(tmp_path / "images", image_size=5, stream=True), "", (IMAGE,), 9)


def test_only_images_that_are_drawn_get_opened(tmp_path: Path) -> None:
    folder = named(image_folder(tmp_path / "images", by_class=False), 0)
    assert isinstance(folder, ImageFolder)
    folder.files[9].write_bytes(b"no image")
    assert len(opened(folder, np.arange(9), IMAGE)) == 9
    with pytest.raises(InvalidInputError, match=r"9\.png.* is no image"):
        opened(folder, np.array([9]), IMAGE)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((4, 32, 32, 3), np.uint8), r"shape \(4, 32, 32, 3\); expected \(4, 4, 1\)"),
        (np.zeros((4, 4, 4), np.int64), "dtype int64; expected uint8"),
        (np.full((3, 4, 4), np.nan, np.float32), "NaN or infinity"),
        (np.zeros((0, 4, 4, 1), np.uint8), "holds no images"),
        (iter(()), "gives no samples"),
        ((PIXELS[..., :2, :] for _ in range(3)), r"item 0 images have shape \(10, 4, 2, 1\)"),
        ({"picture": PIXELS}, r"has the inputs \['picture'\]; expected \['image'\]"),
        ((PIXELS, LABELS[:3]), r"10 images but labels of shape \(3,\)"),
        ((PIXELS, np.eye(10)), r"10 images but labels of shape \(10, 10\)"),
        ((PIXELS, LABELS / 2), "labels of shape .* type float64"),
        (iter([PIXELS, PIXELS / 255]), "gives float32 and uint8 for 'image'; expected .* throughout"),
        (iter([(PIXELS, LABELS), PIXELS]), "gives labels with 1 of 2 items"),
    ],
    ids=[
        "shape",
        "dtype",
        "nan",
        "empty",
        "no items",
        "item",
        "name",
        "few labels",
        "one-hot",
        "half classes",
        "mixed types",
        "some labels",
    ],
)
def test_unusable_data_is_refused(given: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        read(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (PIXELS, r"is an array of shape \(10, 4, 4, 1\); expected a dictionary with \['image', 'side'\]"),
        ({"image": PIXELS}, r"has the inputs \['image'\]; expected \['image', 'side'\]"),
        ({"image": PIXELS, "side": SIDES[:4]}, r"has \[4, 10\] samples for its inputs"),
    ],
)
def test_data_that_leaves_an_input_out_is_refused(given: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        read(given, IMAGE, SIDE)


def test_images_alone_do_not_serve_a_model_of_two_inputs(tiny_data: Path, tmp_path: Path) -> None:
    for given in (load_dataset(tiny_data), named(image_folder(tmp_path / "images", by_class=True), 0)):
        with pytest.raises(InvalidInputError, match=r"holds images, the model takes .*image.*side"):
            pools(given, "calibration", (IMAGE, SIDE), 10)


def test_unusable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.npy does not exist"):
        named(tmp_path / "none.npy", 0)
    with pytest.raises(InvalidInputError, match="holds no images"):
        named(tmp_path, 0)
    (tmp_path / "bad.npy").write_bytes(b"no array")
    (tmp_path / "empty.npz").write_bytes(b"")
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    literal, size = "{'descr': '|u1', 'shape': ((((", "(999999999999999, 9)"
    for file, header in (
        ("token.npy", literal),  # TokenError
        ("huge.npy", f"{{'descr': '|u1', 'fortran_order': False, 'shape': {size}}}"),  # MemoryError
    ):
        start = b"\x93NUMPY\x01\x00" + (len(header) + 1).to_bytes(2, "little")
        (tmp_path / file).write_bytes(start + header.encode() + b"\n" + bytes(99))
    np.savez(tmp_path / "method.npz", image=PIXELS)
    content = (tmp_path / "method.npz").read_bytes()
    entry = content.index(b"PK\x01\x02")
    (tmp_path / "method.npz").write_bytes(
        content[: entry + 10] + b"\x63" + content[entry + 11 :]
    )  # NotImplementedError
    for name in ("bad.npy", "empty.npz", "objects.npy", "token.npy", "huge.npy", "method.npz"):
        with pytest.raises(InvalidInputError, match="cannot be read as arrays"):
            named(tmp_path / name, 0)
