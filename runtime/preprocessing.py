"""From what a user holds (one image or many, raw or prepared) to a batch in the model's layout."""

import sys
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liteport.errors import InvalidInputError

# The ways in which an array may be meant: a batch, one item, and both without the single channel.
_READINGS: tuple[Any, ...] = (..., np.newaxis, (..., np.newaxis), (np.newaxis, ..., np.newaxis))

UINT8 = np.dtype(np.uint8)  # made once: to compare a dtype with the class makes one each time


def to_batch(
    images: ArrayLike,
    shape: tuple[int | None, ...],
    name: str = "images",
    dtype: str = "float32",
    *,
    finite: bool = True,
) -> NDArray[Any]:
    """Checks an array against a model input and gives it its batch (and channel) dimension.

    Args:
        images: One item or a batch. For an input (N, H, W, C) also (H, W) and (N, H, W) where C is 1.
            uint8 are raw pixels, floating values are model input as it is.
        shape: The input's shape; None where it is free. The first dimension is the batch.
        name: What the array is, for messages.
        dtype: What floating values become: "float32", or what the model takes.
        finite: Whether NaN and infinity are refused.

    Returns:
        An array of the input's rank; raw pixels stay uint8.

    Raises:
        InvalidInputError: If dtype or shape fit neither, or a value is not finite in `dtype` and must be, or was.
    """
    array = as_array(images, name)
    if array.dtype != UINT8 and not np.issubdtype(array.dtype, np.floating):
        raise InvalidInputError(
            f"{name} have dtype {array.dtype}; expected uint8 (raw pixels) or floating (prepared model input)"
        )
    batch = with_batch_dimension(array, shape, name)
    return batch if batch.dtype == UINT8 else _as_real(batch, name, dtype, finite)


def as_array(values: ArrayLike, name: str) -> NDArray[Any]:
    """Makes an array of what a user gave.

    Raises:
        InvalidInputError: If it is nested lists of unequal lengths, or has masked values.
    """
    masked = sys.modules.get("numpy.ma")  # not loaded unless someone made a masked array
    if masked is not None and masked.is_masked(values):
        raise InvalidInputError(f"{name} have masked entries; expected none: fill them first")
    try:
        return np.asarray(values)
    except ValueError as error:
        raise InvalidInputError(f"{name} are no array: {error}; expected one size in each dimension") from error


def with_batch_dimension(array: NDArray[Any], shape: tuple[int | None, ...], name: str) -> NDArray[Any]:
    """Gives an array the rank of `shape`; see `to_batch`, which this serves.

    Raises:
        InvalidInputError: If it fits in no way.
    """
    batch = as_batch(array, shape)
    if batch is None:
        raise InvalidInputError(f"{name} have shape {array.shape}; expected {expected_shapes(shape)}")
    return batch


def as_batch(array: NDArray[Any], shape: tuple[int | None, ...]) -> NDArray[Any] | None:
    """Gives an array the rank of `shape`, its first size being free; None where it fits in no way.

    A file has the shape () of a single number, and also of what may have any shape.
    """
    if not shape:
        return array
    for reading in _READINGS[: 4 if len(shape) == 4 and shape[-1] == 1 else 2]:
        candidate: NDArray[Any] = array[reading]
        if len(candidate.shape) == len(shape) and all(
            want is None or want == got for want, got in zip(shape[1:], candidate.shape[1:], strict=True)
        ):
            return candidate
    return None


def expected_shapes(shape: tuple[int | None, ...]) -> str:
    """Words for the array shapes that an input of this shape takes."""
    item = ", ".join("any" if size is None else str(size) for size in shape[1:])
    texts = [f"({item})" if len(shape) > 2 else f"({item},)", f"(N, {item})"]
    if len(shape) == 4 and shape[-1] == 1:
        texts += [f"({shape[1]}, {shape[2]})", f"(N, {shape[1]}, {shape[2]})"]
    return " or ".join(texts)


def _as_real(given: NDArray[Any], name: str, dtype: str, finite: bool) -> NDArray[Any]:
    array = given
    if given.dtype != dtype:
        with np.errstate(over="ignore"):  # told below
            array = given.astype(dtype)
    right = np.isfinite(array)
    if not finite:
        right |= ~np.isfinite(given)
    if not right.all():
        found = f"NaN or infinity (or values beyond {dtype})" if finite else f"values beyond {dtype}"
        raise InvalidInputError(f"{name} hold {found}; expected finite numbers")
    return array
