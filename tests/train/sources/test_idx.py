import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from liteport.errors import InvalidInputError, NotFoundError
from liteport.train import load_dataset
from liteport.train.sources import named
from liteport.train.sources.idx import read_idx

RANDOM = np.random.default_rng(0)
# Not square, so that rows and columns that are exchanged show.
IMAGES = RANDOM.integers(0, 256, (24, 3, 5), np.uint8)
LABELS = np.arange(24, dtype=np.uint8) % 3


def content(array: NDArray[Any], code: int = 8) -> bytes:
    """An IDX file, as its format is described at yann.lecun.com."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape) + array.tobytes()


def write(folder: Path, name: str, images: NDArray[Any], labels: NDArray[Any], packed: bool = False) -> None:
    folder.mkdir(exist_ok=True)
    write_to: Callable[[Path, bytes], Any] = _write_packed if packed else Path.write_bytes
    suffix = ".gz" if packed else ""
    write_to(folder / f"{name.format('images')}idx3-ubyte{suffix}", content(images))
    write_to(folder / f"{name.format('labels')}idx1-ubyte{suffix}", content(labels))


def _write_packed(path: Path, data: bytes) -> None:
    path.write_bytes(gzip.compress(data, mtime=0))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("names", [("train-{}-", "t10k-{}-"), ("train-{}.", "t10k-{}."), ("Train-{}-", "test-{}-")])
def test_reads_a_folder_by_the_usual_names(tmp_path: Path, names: tuple[str, str], packed: bool) -> None:
    write(tmp_path / "digits", names[0], IMAGES, LABELS, packed)
    write(tmp_path / "digits", names[1], IMAGES[::-1], LABELS, packed)
    loaded = load_dataset(tmp_path / "digits")

    assert (loaded.name, loaded.kind, loaded.class_names) == ("digits", "IDX files", ("0", "1", "2"))
    np.testing.assert_array_equal(loaded.test.images[..., 0], IMAGES[::-1])
    np.testing.assert_array_equal(loaded.test.labels, LABELS)
    assert len(loaded.train.labels) + len(loaded.validation.labels) == 24


def test_a_raw_file_goes_before_its_packed_one(tmp_path: Path) -> None:
    for packed in (False, True):
        write(tmp_path, "train-{}-", IMAGES + packed, LABELS, packed)
        write(tmp_path, "t10k-{}-", IMAGES + packed, LABELS, packed)
    np.testing.assert_array_equal(load_dataset(tmp_path).test.images[..., 0], IMAGES)


def emnist(folder: Path, name: str, first: int = 0) -> None:
    """As EMNIST has them: rows and columns exchanged."""
    for split in ("train", "test"):
        write(folder, f"emnist-{name}-{split}-{{}}-", IMAGES.swapaxes(1, 2), LABELS + first, packed=True)


def test_emnist_is_turned_upright_and_its_letters_get_their_names(tmp_path: Path) -> None:
    emnist(tmp_path / "gzip", "letters", first=1)
    (tmp_path / "gzip" / "emnist-letters-mapping.txt").write_text("1 65 97\n2 66 98\n3 67 99 \n\n")
    loaded = load_dataset(tmp_path / "gzip")

    assert loaded.class_names == ("Aa", "Bb", "Cc")
    np.testing.assert_array_equal(loaded.test.images[..., 0], IMAGES)
    np.testing.assert_array_equal(loaded.test.labels, LABELS)


def test_emnist_without_a_mapping_keeps_its_numbers_as_names(tmp_path: Path) -> None:
    emnist(tmp_path, "letters", first=1)
    assert load_dataset(tmp_path).class_names == ("1", "2", "3")
    np.testing.assert_array_equal(load_dataset(tmp_path).test.labels, LABELS)


def test_one_of_several_sets_is_chosen_by_its_name(tmp_path: Path) -> None:
    emnist(tmp_path / "gzip", "letters", first=1)
    emnist(tmp_path / "gzip", "digits")
    with pytest.raises(InvalidInputError, match=r"2 data sets: emnist-digits, emnist-letters; name one: .*emnist-"):
        load_dataset(tmp_path / "gzip")
    loaded = load_dataset(tmp_path / "gzip" / "emnist-digits")
    assert (loaded.name, loaded.source) == ("emnist-digits", str(tmp_path / "gzip" / "emnist-digits"))
    with pytest.raises(NotFoundError, match="emnist-balanced does not exist"):
        load_dataset(tmp_path / "gzip" / "emnist-balanced")


@pytest.mark.parametrize("text", ["1 65\n3 67\n2 66\n", "1 A\n", "", "1 65 97\n2\n", "1 65\n2 65\n3 66\n"])
def test_mapping_that_makes_no_sense(tmp_path: Path, text: str) -> None:
    emnist(tmp_path, "letters", first=1)
    (tmp_path / "emnist-letters-mapping.txt").write_text(text)
    with pytest.raises(InvalidInputError, match=r"emnist-letters-mapping\.txt"):
        load_dataset(tmp_path)


def test_says_what_is_missing(tmp_path: Path) -> None:
    write(tmp_path, "train-{}-", IMAGES, LABELS)
    with pytest.raises(InvalidInputError, match=r"lacks IDX files of test images, test labels; it has train-images"):
        load_dataset(tmp_path)


def test_labels_that_do_not_match_the_images(tmp_path: Path) -> None:
    write(tmp_path, "train-{}-", IMAGES, LABELS[:-1])
    write(tmp_path, "t10k-{}-", IMAGES, LABELS)
    with pytest.raises(InvalidInputError, match="y_train: expected 24 labels, one an image, found uint8"):
        load_dataset(tmp_path)


@pytest.mark.parametrize(("code", "kind"), [(8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")])
def test_each_type_of_values(tmp_path: Path, code: int, kind: str) -> None:
    values = np.arange(6).reshape(2, 3).astype(kind)
    (tmp_path / "file").write_bytes(content(values, code))
    found = read_idx(tmp_path / "file")
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


LONGER, SHORTER = content(LABELS) + b"\0", content(LABELS)[:-1]
LYING = struct.pack(">BBBBIII", 0, 0, 14, 3, 2**31, 2**31, 2**31) + b"few"  # and no such memory is asked for


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not an IDX file: it begins with nothing"),
        (b"\x89PNG\r\n", "is not an IDX file: it begins with 89 50 4e 47"),
        (b"\0\0\x08\x09" + b"\0" * 40, "is not an IDX file"),
        (b"\0\0\x08\x02\0\0\0\x01", "is damaged"),
        (LONGER, r"is damaged: its head tells of 24 bytes \(24,\), it holds more"),
        (SHORTER, "is damaged: its head tells of 24 bytes .* it holds 23"),
        (LYING, "it holds 3"),
        (gzip.compress(LYING, mtime=0), "it holds 3"),
        (gzip.compress(content(LABELS), mtime=0)[:-9], "is damaged: Compressed file ended"),
        (b"\x1f\x8b\x08no such thing", "is damaged"),
    ],
)
def test_damaged_file(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(InvalidInputError, match=message) as caught:
        read_idx(tmp_path / "file")
    assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 200), bits=st.integers(1, 255), packed=st.booleans())
def test_any_byte_changed_is_an_error_or_a_value(tmp_path: Path, place: int, bits: int, packed: bool) -> None:
    data = bytearray(gzip.compress(content(LABELS), mtime=0) if packed else content(LABELS))
    data[place % len(data)] ^= bits
    (tmp_path / "file").write_bytes(data)
    try:
        outcome: object = read_idx(tmp_path / "file").size
    except InvalidInputError as error:
        outcome = str(error)
    assert outcome in (0, LABELS.size) or (isinstance(outcome, str) and len(outcome.splitlines()) == 1)


def test_fashion_mnist_of_debians_package_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.arange(24, dtype=np.uint8) % 10
    for name in ("train-{}-", "t10k-{}-"):
        write(tmp_path, name, IMAGES, labels, packed=True)
    monkeypatch.setattr(named, "DEBIAN_FASHION_MNIST", tmp_path)
    monkeypatch.setattr(named, "_from_keras", lambda name: pytest.fail("it must not be downloaded"))
    loaded = load_dataset("fashion_mnist")
    assert (loaded.source, loaded.class_names[9]) == ("fashion_mnist", "Ankle boot")
    np.testing.assert_array_equal(loaded.test.images[..., 0], IMAGES)
