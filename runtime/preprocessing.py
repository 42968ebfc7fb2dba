"""From what a user holds (one image or many, raw or prepared) to a batch in the model's layout."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liteport.errors import InvalidInputError


def to_batch(images: ArrayLike, shape: tuple[int | None, ...], name: str = "images") -> NDArray[Any]:
    """Checks an array against a model input and gives it its batch (and channel) dimension.

    Args:
        images: One item or a batch. For an input (N, H, W, C) also (H, W) and (N, H, W) where C is 1.
            uint8 are raw pixels, floating values are model input as it is.
        shape: The input's shape; None where it is free. The first dimension is the batch.
        name: What the array is, for messages.

    Returns:
        An array of the input's rank and of dtype uint8 or float32.

    Raises:
        InvalidInputError: If dtype or shape fit neither, or a value is not finite.
    """
    array = np.asarray(images)
    if array.dtype != np.uint8 and not np.issubdtype(array.dtype, np.floating):
        raise InvalidInputError(
            f"{name} have dtype {array.dtype}; expected uint8 (raw pixels) or floating (prepared model input)"
        )
    for candidate in _readings(array, shape):
        if len(candidate.shape) == len(shape) and all(
            want is None or want == got for want, got in zip(shape[1:], candidate.shape[1:], strict=True)
        ):
            return _finite(candidate, name)
    raise InvalidInputError(f"{name} have shape {array.shape}; expected {expected_shapes(shape)}")


def expected_shapes(shape: tuple[int | None, ...]) -> str:
    """Words for the array shapes that an input of this shape takes."""
    item = ", ".join("any" if size is None else str(size) for size in shape[1:])
    texts = [f"({item})" if len(shape) > 2 else f"({item},)", f"(N, {item})"]
    if len(shape) == 4 and shape[-1] == 1:
        texts += [f"({shape[1]}, {shape[2]})", f"(N, {shape[1]}, {shape[2]})"]
    return " or ".join(texts)


def _readings(array: NDArray[Any], shape: tuple[int | None, ...]) -> list[NDArray[Any]]:
    """The ways in which an array may be meant: a batch, one item, and both without the single channel."""
    readings = [array, array[None]]
    if len(shape) == 4 and shape[-1] == 1:
        readings += [array[..., None], array[None, ..., None]]
    return readings


def _finite(array: NDArray[Any], name: str) -> NDArray[Any]:
    if array.dtype == np.uint8:
        return array
    array = array.astype(np.float32, copy=False)
    if not np.isfinite(array).all():
        raise InvalidInputError(f"{name} hold NaN or infinity (or values beyond float32); expected finite numbers")
    return array
