"""Folders of small images, with what makes them differ from one another."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

MakeFolder = Callable[..., Path]


def picture(seed: int, height: int = 6, width: int = 8, colour: bool = True) -> NDArray[np.uint8]:
    """Random pixels, which compress to themselves in a PNG."""
    shape = (height, width, 3) if colour else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def fill(folder: Path, count: int, first: int, colour: bool = True, suffix: str = ".png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(picture(first + number, colour=colour)).save(folder / f"{number:03}{suffix}")
    return folder


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Makes a folder of images: classes and their counts, flat or in splits."""

    def make(classes: dict[str, int], splits: tuple[str, ...] = (), colour: bool = True, name: str = "data") -> Path:
        first = 0
        for split in splits or ("",):
            for label, count in classes.items():
                fill(tmp_path / name / split / label, count, first, colour)
                first += 100
        return tmp_path / name

    return make
