"""Folders of images by class: which files belong to which class and split. Nothing is opened here."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError
from liteport.pixels import image_suffixes

from ..arrays import printable_names

SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}
"""What the folders of splits may be called, in any case of letters."""

_NO_DATA = frozenset({"__MACOSX"})  # what macOS puts into zip files beside the data
_FEW = 3


class Listing(NamedTuple):
    """The images of a folder.

    Attributes:
        class_names: In the order of their labels, which is that of `sorted`.
        paths: The files, split by split and class by class.
        labels: (N,) indices of classes.
        splits: By name the indices of their images; only "train" where the folder is not split.
    """

    class_names: tuple[str, ...]
    paths: tuple[Path, ...]
    labels: NDArray[np.int64]
    splits: dict[str, NDArray[np.int64]]


def list_images(folder: Path) -> Listing:
    """Lists a folder of class folders, or of `train`, `test` and perhaps `validation` with class folders in each.

    What is hidden, and files whose suffix is not an image's, are passed over. Folders in a class's folder belong to it.

    Raises:
        InvalidInputError: If it is neither, there are fewer than two classes, a class has no images in a split, an
            image lies in no class's folder, or a folder cannot be read.
        MissingDependencyError: If Pillow is not installed.
    """
    suffixes = image_suffixes()
    folders = split_folders(folder) or {"train": folder}
    by_split = {split: _classes(path, suffixes) for split, path in folders.items()}
    names = tuple(sorted(by_split["train"]))
    if len(names) < 2:
        found = f"one, {names[0]!r}" if names else "none"
        raise InvalidInputError(
            f"{folders['train']}: expected at least two folders of images, one a class, found {found}"
        )
    printable_names(names, f"names of the folders in {folders['train']}")
    for split, classes in by_split.items():
        _check_same(folders[split], set(classes), set(names), folders["train"])
    paths: list[Path] = []
    labels: list[int] = []
    splits = {}
    for split, classes in by_split.items():
        start = len(paths)
        for label, name in enumerate(names):
            paths += classes[name]
            labels += [label] * len(classes[name])
        splits[split] = np.arange(start, len(paths))
    return Listing(names, tuple(paths), np.array(labels, np.int64), splits)


def split_folders(folder: Path) -> dict[str, Path] | None:
    """Returns the folders of the splits, "train" first; None where the folder is not split.

    A folder that is called as a split but holds no folders is that of a class: there are pictures of trains.

    Raises:
        InvalidInputError: If there is no train split, a split is there twice, or something else lies beside them.
    """
    inside = _visible_folders(folder)
    named = [path for path in inside if path.name.lower() in SPLITS and _visible_folders(path)]
    if not named:
        return None
    if others := [path.name for path in inside if path not in named]:
        raise InvalidInputError(
            f"{folder} holds splits ({_some([path.name for path in named])}) and beside them {_some(others)}; "
            "expected splits alone, or folders of classes alone"
        )
    found: dict[str, Path] = {}
    for path in named:
        split = SPLITS[path.name.lower()]
        if split in found:
            raise InvalidInputError(f"{folder} holds its {split} split twice: {found[split].name} and {path.name}")
        found[split] = path
    if "train" not in found:
        raise InvalidInputError(f"{folder} holds {_some([path.name for path in named])}, but no train split")
    return {split: found[split] for split in ("train", "validation", "test") if split in found}


def _classes(folder: Path, suffixes: frozenset[str]) -> dict[str, list[Path]]:
    """Returns the images of each class's folder, in the order of their paths."""
    loose = [path.name for path in sorted(folder.iterdir()) if _is_image(path, suffixes)]
    inside = _visible_folders(folder)
    if loose:
        what = "lie beside the folders of classes" if inside else "lie in no class's folder"
        raise InvalidInputError(f"{folder}: {_some(loose)} {what}; put each image into its class's folder")
    found = {path.name: _images(path, suffixes) for path in inside}
    if empty := [name for name, paths in found.items() if not paths]:
        raise InvalidInputError(f"{folder}: no images in {_some(empty)}; expected some of each class")
    return found


def _images(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    found: list[Path] = []
    closed: list[OSError] = []
    for where, folders, files in os.walk(folder, onerror=closed.append):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        paths = [Path(where, name) for name in files]
        found += [path for path in paths if _is_image(path, suffixes)]
    if closed:
        raise InvalidInputError(f"{closed[0].filename} cannot be read: {closed[0].strerror}")
    return sorted(found)


def _is_image(path: Path, suffixes: frozenset[str]) -> bool:
    # What is no file, as a link into the void is none, is for its reading to tell of.
    return path.suffix.lower() in suffixes and not _is_hidden(path.name) and not path.is_dir()


def _visible_folders(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and not _is_hidden(path.name)]


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _NO_DATA


def _check_same(folder: Path, found: set[str], expected: set[str], train: Path) -> None:
    if missing := sorted(expected - found):
        raise InvalidInputError(f"{folder} lacks the folder of {_some(missing)}, which {train} has")
    if more := sorted(found - expected):
        raise InvalidInputError(f"{folder} has the folder {_some(more)}, which {train} lacks")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(map(repr, names[:_FEW])) + more
