"""IDX files, the format of MNIST and its likes: http://yann.lecun.com/exdb/mnist, raw or compressed with gzip.

EMNIST's images are stored with rows and columns exchanged: TensorFlow Datasets' catalog says so ("inverted horizontally
and rotated 90 anti-clockwise", which a transposition undoes), and they look it. They are turned here, so that a model
learns letters as they are written and as a camera sees them. Its letters are numbered from 1.
"""

import gzip
import math
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError, NotFoundError

from ..arrays import RawData, printable_names

# The third byte of a file: the type of its values, in big-endian order.
_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_MOST_DIMENSIONS = 4
_BLOCK = 1 << 24
_DAMAGE = (OSError, EOFError, zlib.error)  # gzip's for what is cut off or altered
_GZIP = b"\x1f\x8b"

_NAME = re.compile(
    r"(?:(?P<set>.+)[-_.])?(?P<split>train|test|t10k)[-_.](?P<kind>images|labels)[-_.]idx[1-4][-_.]ubyte(?:\.gz)?",
    re.IGNORECASE,
)
_SPLITS = {"train": "train", "test": "test", "t10k": "test"}
_PARTS = [("train", "images"), ("train", "labels"), ("test", "images"), ("test", "labels")]
_EMNIST = "emnist"

IdxSet = dict[tuple[str, str], Path]
"""The four files of a data set, by split and kind."""


def find_sets(folder: Path) -> dict[str, IdxSet]:
    """Finds the IDX files in a folder by their names.

    Args:
        folder: A folder.

    Returns:
        By the name that stands before "train" and "test", such as "emnist-letters"; it is empty for MNIST's own.
    """
    found: dict[str, IdxSet] = {}
    for path in sorted(folder.iterdir(), reverse=True):  # so that a raw file comes after, and replaces, its .gz
        match = _NAME.fullmatch(path.name)
        if match and path.is_file():
            part = _SPLITS[match["split"].lower()], match["kind"].lower()
            found.setdefault(match["set"] or "", {})[part] = path
    return found


def choose_set(folder: Path, wanted: str | None = None) -> tuple[str, IdxSet]:
    """Returns the name and the files of the one set in a folder, or of the one that is wanted.

    Raises:
        InvalidInputError: If there are several and none is named, or a file is missing.
    """
    sets = find_sets(folder)
    if wanted is None and len(sets) > 1:
        names = sorted(name or "(no name)" for name in sets)
        raise InvalidInputError(
            f"{folder} holds IDX files of {len(sets)} data sets: {', '.join(names)}; name one: {folder / max(sets)}"
        )
    name = next(iter(sets)) if wanted is None else wanted
    files = sets[name]
    if missing := [f"{split} {kind}" for split, kind in _PARTS if (split, kind) not in files]:
        raise InvalidInputError(
            f"{folder} lacks IDX files of {', '.join(missing)}; "
            f"it has {', '.join(sorted(path.name for path in files.values()))}"
        )
    return name, files


def read_idx_set(name: str, files: IdxSet) -> RawData:
    """Reads a data set.

    Args:
        name: See `find_sets`. Of EMNIST's, images are turned upright, and `emnist-...-mapping.txt` names the classes.
        files: Its four files.

    Raises:
        InvalidInputError: If a file is damaged, or mapping and labels do not fit.
    """
    x_train, y_train, x_test, y_test = (read_idx(files[part]) for part in _PARTS)
    class_names = None
    if name.lower().startswith(_EMNIST):
        x_train, x_test = (_turned(images) for images in (x_train, x_test))
        mapping = files["train", "labels"].parent / f"{name}-mapping.txt"
        y_train, y_test, class_names = _named(mapping, y_train, y_test)
    return RawData((x_train, y_train), (x_test, y_test), class_names, kind="IDX files")


def read_idx(path: Path) -> NDArray[Any]:
    """Reads one IDX file.

    Args:
        path: Raw, or compressed with gzip, whatever its name.

    Raises:
        NotFoundError: If there is no such file.
        InvalidInputError: If it is not an IDX file, is damaged, or is longer or shorter than it says.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(len(_GZIP)) == _GZIP
            raw.seek(0)
            if not packed:
                return _parsed(raw, path)
            with gzip.GzipFile(fileobj=raw) as unpacked:
                return _parsed(cast("IO[bytes]", unpacked), path)
    except FileNotFoundError as error:
        raise NotFoundError(f"{path} does not exist") from error
    except _DAMAGE as error:
        raise InvalidInputError(f"{path} is damaged: {' '.join(str(error).split())}") from error


def _parsed(file: IO[bytes], path: Path) -> NDArray[Any]:
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _TYPES or not 1 <= head[3] <= _MOST_DIMENSIONS:
        raise InvalidInputError(f"{path} is not an IDX file: it begins with {head.hex(' ') or 'nothing'}")
    sizes = file.read(4 * head[3])
    kind = np.dtype(_TYPES[head[2]])
    shape = tuple(int(size) for size in np.frombuffer(sizes[: len(sizes) // 4 * 4], ">u4"))
    expected = math.prod(shape) * kind.itemsize
    content = b"".join(_blocks(file, expected + 1))  # one more, to see whether it goes on; never more than there is
    if len(shape) < head[3] or len(content) != expected:
        found = "more" if len(content) > expected else f"{len(content):,}"
        raise InvalidInputError(f"{path} is damaged: its head tells of {expected:,} bytes {shape}, it holds {found}")
    return np.frombuffer(content, kind).reshape(shape)


def _blocks(file: IO[bytes], most: int) -> Iterable[bytes]:
    while most > 0 and (block := file.read(min(_BLOCK, most))):
        most -= len(block)
        yield block


def _turned(images: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(images.swapaxes(1, 2)) if images.ndim >= 3 else images


def _named(
    mapping: Path, y_train: NDArray[Any], y_test: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], tuple[str, ...] | None]:
    """Returns labels that count from zero and their names: each class's characters, or else the labels themselves.

    A mapping's line is a label and the code of a character, or of several that are one class: `1 65 97` is "Aa".
    """
    names: tuple[str, ...] | None
    if mapping.is_file():
        try:
            rows = [
                [int(number) for number in line.split()] for line in mapping.read_text("ascii").splitlines() if line
            ]
            first = rows[0][0]
            names = tuple("".join(map(chr, codes)) for _, *codes in rows)
        except (ValueError, IndexError, OverflowError) as error:
            raise InvalidInputError(f"{mapping}: expected lines of a label and codes of characters: {error}") from error
        if [row[0] for row in rows] != list(range(first, first + len(rows))):
            raise InvalidInputError(f"{mapping}: expected labels that go up by one from line to line")
        names = printable_names(names, str(mapping))
    else:
        first = int(y_train.min()) if y_train.size else 0
        names = tuple(str(label) for label in range(first, int(y_train.max()) + 1)) if first else None
    if first == 0:
        return y_train, y_test, names
    return y_train.astype(np.int64) - first, y_test.astype(np.int64) - first, names
