"""Images that stay files and are decoded when they are indexed, so that they may be more than memory holds."""

import hashlib
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import DTypeLike, NDArray

from liteport.errors import InvalidInputError, LiteportError, NotFoundError
from liteport.pixels import decode, fitted

Key = SupportsIndex | slice | NDArray[Any] | Sequence[int]
"""What chooses images: a number, a slice, integers in any order, or a truth value for each image."""


class ImageFiles:
    """Looks like a uint8 array (N, H, W, C) and reads from disk what is indexed; may be used from several threads.

    Every file was decoded once before, when the data set was loaded. One that has changed since is refused.

    Attributes:
        paths: The files.
        hashes: (N, 32) uint8, the SHA-256 of each file's bytes.
        shape: (N, H, W, C).
        failure: The first error that reading raised, for callers that get it through a library that rewords it.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, paths: Sequence[Path], hashes: NDArray[np.uint8], image_shape: tuple[int, int, int]) -> None:
        self.paths = tuple(paths)
        self.hashes = hashes
        self.shape: tuple[int, int, int, int] = (len(self.paths), *image_shape)
        self.failure: LiteportError | None = None

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def nbytes(self) -> int:
        """What all images would take in memory."""
        return int(np.prod(self.shape, dtype=np.int64))

    def take(self, indices: NDArray[np.integer]) -> "ImageFiles":
        """Returns the images at these indices, unread."""
        height, width, channels = self.shape[1:]
        return ImageFiles([self.paths[index] for index in indices], self.hashes[indices], (height, width, channels))

    def __getitem__(self, key: Key) -> NDArray[np.uint8]:
        """Reads images, in the calling thread.

        Args:
            key: See `Key`.

        Returns:
            (H, W, C) for a number, else (n, H, W, C).

        Raises:
            IndexError: If there is no such image.
            NotFoundError: If a file is gone.
            InvalidInputError: If it is no longer what it was when the data set was loaded.
        """
        if isinstance(key, SupportsIndex) and not isinstance(key, np.ndarray):
            return self._read(range(len(self))[operator.index(key)])
        chosen = np.arange(len(self))[key]
        images = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        for place, index in enumerate(chosen):
            images[place] = self._read(index)
        return images

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Reads all images: what `numpy.asarray` calls."""
        if copy is False:
            raise ValueError("images that are read from files are always a copy")
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)

    def _read(self, index: int) -> NDArray[np.uint8]:
        path = self.paths[index]
        _, height, width, channels = self.shape
        try:
            content = read_bytes(path)
            if hashlib.sha256(content).digest() != self.hashes[index].tobytes():
                raise InvalidInputError(f"{path} has changed since the data set was loaded; load it again")
            return fitted(decode(content, str(path), height, width), height, width, channels)
        except LiteportError as error:
            self.failure = self.failure or error
            raise


@dataclass(frozen=True, eq=False)
class ScannedImages:
    """Image files that were decoded once, with their pixels where these are kept in memory.

    Attributes:
        files: The files.
        pixels: uint8 (M, H, W, C), of all that were decoded together; None where each is to be decoded when needed.
        rows: (N,) where in `pixels` those of these files are.
    """

    files: ImageFiles
    pixels: NDArray[np.uint8] | None
    rows: NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.files)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape (N, H, W, C) of all images."""
        return self.files.shape

    def images(self) -> NDArray[np.uint8] | ImageFiles:
        """Returns the pixels, copied, or what reads them."""
        return self.files if self.pixels is None else self.pixels[self.rows]

    @property
    def identities(self) -> NDArray[np.int64]:
        """A number for each image, (N,), equal for files of equal bytes."""
        rows = np.ascontiguousarray(self.files.hashes).view(f"V{self.files.hashes.shape[1]}").ravel()
        numbers: NDArray[np.int64] = np.unique(rows, return_inverse=True)[1].reshape(-1)
        return numbers

    def take(self, indices: NDArray[np.integer]) -> "ScannedImages":
        """Returns the images at these indices; their pixels are not copied yet."""
        return ScannedImages(self.files.take(indices), self.pixels, self.rows[indices])


def read_bytes(path: Path) -> bytes:
    """Reads a file.

    Raises:
        NotFoundError: If it is gone.
        InvalidInputError: If it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"{path} does not exist any more; it did when the data set was loaded") from error
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}") from error
