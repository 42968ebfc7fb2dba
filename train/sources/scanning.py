"""Opening every image of a folder once: sizes, colour, what is corrupt, and the pixels where they fit into memory."""

import hashlib
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError, LiteportError
from liteport.pixels import Head, decode, fitted, flat, read_head
from liteport.terminal import ProgressCallback

from ..arrays import FILES, Part, RawData
from .image_files import ImageFiles, ScannedImages, read_bytes
from .image_folders import Listing, list_images

MEMORY_PART = 4
"""Decoded images that would take more than one in so many of the available bytes of memory stay files."""

_AT_ONCE = 2048
_GRAY_ENOUGH = 8  # of 255; lossy formats were seen to make red, green and blue of gray that differ by up to 3
_FEW = 3

_Given = TypeVar("_Given")
_Found = TypeVar("_Found")


class _Scan(NamedTuple):
    digest: bytes
    coloured: bool
    pixels: NDArray[np.uint8]


def read_image_folder(
    folder: Path,
    image_size: tuple[int, int] | None,
    *,
    skip_corrupt: bool,
    stream: bool | None,
    progress: ProgressCallback,
) -> RawData:
    """Reads a folder of images by class; see `image_folders.list_images` for its layout.

    Args:
        folder: The folder.
        image_size: Height and width that all images are brought to; None for the one size that all have.
        skip_corrupt: Whether images that cannot be read are left out.
        stream: Whether images stay files; None for those that would take much of the memory, see `MEMORY_PART`.
        progress: Called as files are read.

    Raises:
        InvalidInputError: If the layout is another, sizes differ and none is given, or images cannot be read.
        MissingDependencyError: If Pillow is not installed.
    """
    listing = list_images(folder)
    with warnings.catch_warnings():
        # Pillow's, of images with very many pixels, which are refused, and of oddities in their heads
        warnings.simplefilter("ignore")
        heads = list(_each(_head, listing.paths, "looking at images", progress))
        size = image_size or _only_size(folder, heads)
        gray = all(head.gray for head in heads if isinstance(head, Head))
        channels = 1 if gray else 3
        if stream is None:
            stream = len(heads) * size[0] * size[1] * channels * MEMORY_PART > available_memory()
        scan = _scan_all(listing.paths, (*size, channels), keep=not stream, progress=progress)
    corrupt = np.array([isinstance(found, str) for found in scan.found], np.bool_)
    skipped = tuple(f"{listing.paths[i]} {scan.found[i]}" for i in np.flatnonzero(corrupt))
    if skipped and not skip_corrupt:
        raise InvalidInputError(_told(folder, skipped, len(listing.paths)))
    return _raw(folder, listing, scan, heads, corrupt, skipped)


def available_memory() -> int:
    """Returns the bytes of memory that can be had without swapping; without psutil, of the free pages alone."""
    try:
        import psutil
    except ModuleNotFoundError:
        free = "SC_AVPHYS_PAGES" if "SC_AVPHYS_PAGES" in os.sysconf_names else "SC_PHYS_PAGES"  # macOS has the latter
        return os.sysconf(free) * os.sysconf("SC_PAGE_SIZE")
    return int(psutil.virtual_memory().available)


class _Scans(NamedTuple):
    found: list[tuple[bytes, bool] | str]
    pixels: NDArray[np.uint8] | None
    shape: tuple[int, int, int]


def _scan_all(paths: Sequence[Path], shape: tuple[int, int, int], *, keep: bool, progress: ProgressCallback) -> _Scans:
    pixels = np.zeros((len(paths), *shape), np.uint8) if keep else None
    found: list[tuple[bytes, bool] | str] = []

    for place, entry in enumerate(_each(partial(_scan, shape=shape), paths, "reading images", progress)):
        if isinstance(entry, str):
            found.append(entry)
            continue
        found.append((entry.digest, entry.coloured))
        if pixels is not None:
            pixels[place] = entry.pixels
    if shape[2] == 1 or any(entry[1] for entry in found if not isinstance(entry, str)):
        return _Scans(found, pixels, shape)
    gray = shape[0], shape[1], 1
    # Anew, as the runtime does it: first to gray, then to the size.
    return _scan_all(paths, gray, keep=True, progress=progress) if keep else _Scans(found, None, gray)


def _raw(
    folder: Path,
    listing: Listing,
    scan: _Scans,
    heads: Sequence[Head | str],
    corrupt: NDArray[np.bool_],
    skipped: tuple[str, ...],
) -> RawData:
    digests = [b"" if isinstance(entry, str) else entry[0] for entry in scan.found]
    hashes = np.frombuffer(b"".join(digest.ljust(32, b"\0") for digest in digests), np.uint8).reshape(-1, 32)
    images = ScannedImages(ImageFiles(listing.paths, hashes, scan.shape), scan.pixels, np.arange(len(listing.paths)))
    parts: dict[str, Part] = {}
    for split, indices in listing.splits.items():
        kept = indices[~corrupt[indices]]
        counts = np.bincount(listing.labels[kept], minlength=len(listing.class_names))
        if not counts.all():
            name = listing.class_names[int(counts.argmin())]
            raise InvalidInputError(f"{folder}: no image of {name!r} in the {split} split can be read")
        parts[split] = images.take(kept), listing.labels[kept]
    return RawData(
        train=parts["train"],
        test=parts.get("test"),
        class_names=listing.class_names,
        validation=parts.get("validation"),
        kind=FILES,
        sizes=Counter(head[:2] for head, bad in zip(heads, corrupt, strict=True) if isinstance(head, Head) and not bad),
        skipped=skipped,
    )


def _each(
    work: Callable[[_Given], _Found], given: Sequence[_Given], what: str, progress: ProgressCallback
) -> Iterator[_Found]:
    """Does the work in several threads, as Pillow decodes outside of Python's lock; results in order."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(given), _AT_ONCE):  # a future for each of a million files would take a gigabyte
            yield from pool.map(work, given[start : start + _AT_ONCE])
            if len(given) > _AT_ONCE:  # else it is done before one could read of it
                progress(what, min(start + _AT_ONCE, len(given)), len(given), "")


def _head(path: Path) -> Head | str:
    try:
        return read_head(path, "it")
    except LiteportError as error:
        return _reason(error, path)


def _scan(path: Path, shape: tuple[int, int, int]) -> _Scan | str:
    """Decodes an image; or returns why that cannot be done."""
    try:
        content = read_bytes(path)
        image = decode(content, "it", *shape[:2])
        pixels = fitted(image, *shape)
    except LiteportError as error:
        return _reason(error, path)
    return _Scan(hashlib.sha256(content).digest(), _is_coloured(image, pixels), pixels)


def _reason(error: LiteportError, path: Path) -> str:
    return " ".join(str(error).removeprefix("it ").removeprefix(f"{path} ").split())


def _is_coloured(image: Any, pixels: NDArray[np.uint8]) -> bool:
    """Tells whether an image has colour anywhere; most often it shows in the small image already."""
    return pixels.shape[2] > 1 and (_differ(pixels) or _differ(np.asarray(flat(image).convert("RGB"))))


def _differ(pixels: NDArray[np.uint8]) -> bool:
    red, green, blue = (pixels[..., channel] for channel in range(3))  # along three values numpy's max is slow
    most, least = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    return bool((most - least).max() > _GRAY_ENOUGH)


def _only_size(folder: Path, heads: Sequence[Head | str]) -> tuple[int, int]:
    counts = Counter(head[:2] for head in heads if isinstance(head, Head))
    if not counts:
        raise InvalidInputError(f"{folder}: none of the {len(heads):,} images can be read; the first: {heads[0]}")
    if len(counts) == 1:
        return next(iter(counts))
    told = ", ".join(f"{height}×{width} ({count:,})" for (height, width), count in counts.most_common(_FEW))
    more = f" and {len(counts) - _FEW:,} more" if len(counts) > _FEW else ""
    raise InvalidInputError(
        f"{folder}: images of {len(counts):,} sizes, height×width (how many): {told}{more}; say which to bring them "
        "to: --image-size 64, or 48x64 for height x width (image_size=(48, 64))"
    )


def _told(folder: Path, skipped: Sequence[str], total: int) -> str:
    more = f"; and {len(skipped) - _FEW:,} more" if len(skipped) > _FEW else ""
    return (
        f"{folder}: {len(skipped):,} of {total:,} images cannot be read: {'; '.join(skipped[:_FEW])}{more}; repair or "
        "remove them, or leave them out: --skip-corrupt (skip_corrupt=True)"
    )
