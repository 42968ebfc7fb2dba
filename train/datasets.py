"""Data sets to train with, to calibrate with and to measure on.

`load_dataset` needs numpy alone, except for images in files, which Pillow reads, and for the sources that Keras
downloads, so it also works on a device.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError, NotFoundError, unknown_name
from liteport.terminal import ProgressCallback, no_progress

from .arrays import CHANNELS, FILES, RawData, Split, read_npz
from .sources.idx import choose_set, find_sets, read_idx_set
from .sources.image_files import ImageFiles, ScannedImages
from .sources.named import EMBEDDED_MNIST, SOURCES
from .sources.scanning import read_image_folder
from .splitting import TEST_PART, VALIDATION_PART, divide, shown

__all__ = [
    "EMBEDDED_MNIST",
    "SOURCES",
    "TEST_PART",
    "VALIDATION_PART",
    "Dataset",
    "load_dataset",
    "load_for_model",
    "parse_image_size",
    "reload",
]

_LARGEST_SIDE = 1 << 14


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images of one shape with labels, in three splits.

    Attributes:
        name: A short name, such as `"mnist"`.
        source: What `load_dataset` takes to load it again: a name, or an absolute path.
        train: What a model learns from.
        validation: Held out of the training images, for choices made while developing.
        test: For the last measurement only; no choice and no calibration may see it.
        class_names: The name of each class, in the labels' order.
        seed: Of the choice of validation images.
        image_size: Height and width that were asked for; None where images are as they were.
        skip_corrupt: Whether images that cannot be read were to be left out.
        skipped: Those that were, and why.
        kind: What the source is, in words.
        sizes: How many images of files there are of each height and width, before they were resized.
        files: Where images come from files: those of each split, whether their pixels are in memory or not.
    """

    name: str
    source: str
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    seed: int = 0
    image_size: tuple[int, int] | None = None
    skip_corrupt: bool = False
    skipped: tuple[str, ...] = ()
    kind: str = "arrays"
    sizes: Mapping[tuple[int, int], int] = field(default_factory=dict)
    files: Mapping[str, ImageFiles] | None = None

    @property
    def splits(self) -> dict[str, Split]:
        """The three splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The shape (H, W, C) of one image."""
        _, height, width, channels = self.train.images.shape
        return height, width, channels

    @property
    def streamed(self) -> bool:
        """Whether images are read from their files when they are needed."""
        return isinstance(self.train.images, ImageFiles)

    @property
    def recorded(self) -> dict[str, Any]:
        """What `reload` takes: to be kept with what is made from this data."""
        return {
            "source": self.source,
            "seed": self.seed,
            "image_size": None if self.image_size is None else list(self.image_size),
            "skip_corrupt": self.skip_corrupt,
            "digest": self.digest,
        }

    @cached_property
    def digest(self) -> str:
        """SHA-256 over type, shape and bytes of every array, in hexadecimal: equal for equal splits.

        Of images from files, whether they are in memory or not, it covers the bytes of the files instead of the pixels:
        decoders differ in the last bit from machine to machine.
        """
        digest = hashlib.sha256()
        for name, split in self.splits.items():
            if self.files is None:
                _add(digest, np.asarray(split.images))
            else:
                digest.update(f"{split.images.shape}".encode())
                _add(digest, self.files[name].hashes)
            _add(digest, split.labels)
        return digest.hexdigest()


def load_dataset(
    source: str | Path,
    *,
    seed: int = 0,
    image_size: tuple[int, int] | int | None = None,
    skip_corrupt: bool = False,
    stream: bool | None = None,
    progress: ProgressCallback = no_progress,
) -> Dataset:
    """Loads a data set and, where it has no validation split, holds a twelfth of its training images out for that.

    Args:
        source: One of:

            - `"mnist"`, or `"fashion_mnist"`, which is Debian's package dataset-fashion-mnist where that is installed,
              and else downloaded by Keras.
            - An .npz file with `x_train`, `y_train`, `x_test` and `y_test`: uint8 images (N, H, W) or (N, H, W, C) with
              one or three channels, integer labels (N,) or (N, 1), and if wished `class_names`, an array of str.
            - A folder with four IDX files, raw or .gz, called as MNIST's or EMNIST's are; of several sets in it one
              by its name, as in `"gzip/emnist-letters"`.
            - A folder with a folder of images for each class; or with such folders in `train`, in `test` and perhaps in
              `validation`. Classes are in the order of `sorted`. Where there is no test split, a sixth of each class is
              taken for it, the same for every seed. Images are read as the runtime reads them; they are RGB if one of
              them has colour, else grayscale.
        seed: Chooses the validation images.
        image_size: Brings all images to this height and width, or to a square of this side. Needed where the sizes of
            image files differ.
        skip_corrupt: Leaves image files out that cannot be read; else they are an error.
        stream: Whether image files are decoded when they are needed, each time; else once, and kept in memory. None
            does so if they would take more than a quarter of the memory that is available.
        progress: Called as image files are read.

    Raises:
        NotFoundError: If a path does not exist, or a download is needed and there is no connection.
        InvalidInputError: If the name is unknown, or the data is not as described above.
        MissingDependencyError: If a package that reads the source is not installed.
    """
    size = _checked_size(image_size)
    if seed < 0:
        raise InvalidInputError(f"seed: expected 0 or more, found {seed}")
    if isinstance(source, str) and source in SOURCES:
        name, origin, raw = source, source, SOURCES[source]()
    else:
        path = Path(source)
        name, origin = path.stem if path.is_file() else path.resolve().name, str(path.absolute())
        folder_reader = partial(
            read_image_folder, image_size=size, skip_corrupt=skip_corrupt, stream=stream, progress=progress
        )
        raw = _read_path(path, source, folder_reader)
    if stream and not isinstance(raw.train[0], ScannedImages):
        raise InvalidInputError(f"{source} holds {raw.kind}, which are not streamed; expected a folder of images")
    return _dataset(raw, name=name, source=origin, seed=seed, image_size=size, skip_corrupt=skip_corrupt)


def reload(recorded: Mapping[str, Any], *, progress: ProgressCallback = no_progress) -> Dataset:
    """Loads a data set again as it was loaded for a training; whether it is still the same, `digest` tells.

    Args:
        recorded: What `Dataset.recorded` gave, or more. Of runs and bundles that say nothing of it, images have the
            size that they had, and none was skipped.
        progress: As for `load_dataset`.

    Raises:
        NotFoundError: As `load_dataset` does.
        InvalidInputError: If the record is damaged; and as `load_dataset` does.
        MissingDependencyError: As `load_dataset` does.
    """
    match recorded:
        case {"source": str() as source, "seed": int() as seed, "digest": str()}:
            size, skip = recorded.get("image_size"), recorded.get("skip_corrupt", False)
        case _:
            raise InvalidInputError(
                f"the record of the data is damaged: expected source, seed and digest, found {recorded}"
            )
    if not (size is None or (isinstance(size, Sequence) and len(size) == 2)) or not isinstance(skip, bool):
        raise InvalidInputError(f"the record of the data is damaged: image_size {size!r}, skip_corrupt {skip!r}")
    given = None if size is None else (size[0], size[1])
    return load_dataset(source, seed=seed, image_size=given, skip_corrupt=skip, progress=progress)


def load_for_model(source: str | Path, input_shape: Sequence[int | None], *, seed: int = 0) -> Dataset:
    """Loads a data set to ask a model about: image files are brought to the model's size, arrays stay as they are.

    Args:
        source: As for `load_dataset`.
        input_shape: The model's input, (N, H, W, C) or (N, C, H, W); None where it takes any size.
        seed: As for `load_dataset`.

    Raises:
        NotFoundError: As `load_dataset` does.
        InvalidInputError: As `load_dataset` does.
        MissingDependencyError: As `load_dataset` does.
    """
    size = None
    if is_image_folder(source) and len(input_shape) == 4:
        channels_first = input_shape[1] in CHANNELS and input_shape[3] not in CHANNELS
        height, width = input_shape[2:4] if channels_first else input_shape[1:3]
        size = None if height is None or width is None else (height, width)
    return load_dataset(source, seed=seed, image_size=size)


def is_image_folder(source: str | Path) -> bool:
    """Tells whether `load_dataset` would read a folder of images."""
    named = isinstance(source, str) and source in SOURCES
    return not named and Path(source).is_dir() and not find_sets(Path(source))


def parse_image_size(text: str) -> tuple[int, int]:
    """Reads `64`, or `48x64` for 48 pixels high and 64 wide.

    Raises:
        InvalidInputError: If it is neither.
    """
    match = re.fullmatch(r"(\d+)(?:[x×](\d+))?", text.strip().lower())
    if not match:
        raise InvalidInputError(
            f"image size: expected a side such as 64, or height x width such as 48x64; found {text!r}"
        )
    size = _checked_size((int(match[1]), int(match[2] or match[1])))
    assert size is not None, "it was given"
    return size


def _checked_size(size: tuple[int, int] | int | None) -> tuple[int, int] | None:
    if size is None:
        return None
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2 or not all(isinstance(side, int) and 1 <= side <= _LARGEST_SIDE for side in sides):
        raise InvalidInputError(
            f"image size: expected a side, or height and width, of 1 to {_LARGEST_SIDE:,} pixels; found {size!r}"
        )
    return sides[0], sides[1]


def _read_path(path: Path, given: str | Path, read_folder: partial[RawData]) -> RawData:
    if path.is_dir():
        return read_idx_set(*choose_set(path)) if find_sets(path) else read_folder(path)
    if not path.exists():
        if path.parent.is_dir() and path.name in find_sets(path.parent):
            return read_idx_set(*choose_set(path.parent, path.name))
        if isinstance(given, str) and path.suffix == "" and path.name == given:
            raise unknown_name("data source", given, [*SOURCES, "the path of an .npz file or of a folder"])
        raise NotFoundError(f"{path} does not exist")
    return read_npz(path)


def _dataset(
    raw: RawData, *, name: str, source: str, seed: int, image_size: tuple[int, int] | None, skip_corrupt: bool
) -> Dataset:
    try:
        train, validation, test, class_names = divide(raw, seed, image_size)
    except InvalidInputError as error:
        if raw.kind == FILES:  # whose errors do not name the folder otherwise
            raise InvalidInputError(f"{source}: {error}") from error
        raise
    parts = {"train": train, "validation": validation, "test": test}
    splits = {split: Split(shown(images), labels.astype(np.int64)) for split, (images, labels) in parts.items()}
    files = {split: images.files for split, (images, _) in parts.items() if isinstance(images, ScannedImages)}
    return Dataset(
        name=name,
        source=source,
        **splits,
        class_names=class_names,
        seed=seed,
        image_size=image_size,
        skip_corrupt=skip_corrupt,
        skipped=raw.skipped,
        kind=raw.kind,
        sizes=raw.sizes,
        files=files or None,
    )


def _add(digest: Any, array: NDArray[Any]) -> None:
    digest.update(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
