"""One input of a model: from what a user holds to the file's own shape and type."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liteport.errors import InvalidInputError

from .card import Preprocessing, TensorSpec
from .preprocessing import UINT8, as_array, to_batch, with_batch_dimension
from .quantization import pixel_table, pixel_writer, quantize


class Input:
    """Prepares values for an input tensor."""

    def __init__(self, spec: TensorSpec, preprocessing: Preprocessing | None) -> None:
        """Takes an input.

        Args:
            spec: The tensor.
            preprocessing: What is done to raw pixels; None where the input is no image, or nobody knows.
        """
        self.spec = spec
        self._name = f"values for {spec.name!r}"
        self._discrete = spec.scale is None and not spec.dtype.startswith("float")
        self._float = spec.dtype if spec.scale is None else "float32"
        self._table = None
        if preprocessing is not None:
            self._table = pixel_table(preprocessing, spec, int(spec.shape[-1] or 1))

    def prepare(self, values: ArrayLike) -> NDArray[Any]:
        """Returns a batch in the file's own shape and type; see `check` and `encode`.

        Raises:
            InvalidInputError: If the values do not fit.
        """
        return self.encode(self.check(values))

    def check(self, values: ArrayLike, *, finite: bool = True) -> NDArray[Any]:
        """Returns values as a batch, of raw pixels (uint8), of floating numbers, or of the integers the file takes.

        Args:
            values: What a user gave.
            finite: Whether NaN and infinity are refused; where they must be quantized they always are.

        Raises:
            InvalidInputError: If the values do not fit.
        """
        array = as_array(values, self._name)
        if self._discrete and (self._table is None or array.dtype != UINT8):
            return self._as_they_are(array)
        batch = to_batch(array, self.spec.shape, self._name, self._float, finite=finite or self.spec.scale is not None)
        if batch.dtype == UINT8 and self._table is None:
            raise InvalidInputError(
                f"{self.spec.name!r} got raw pixels (uint8), but this file carries no preprocessing; load the bundle, "
                "or pass floating values that are prepared as in training (in Python: model.predict)"
            )
        return batch

    def encode(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Returns a batch that `check` has passed in the file's own type, contiguous, as engines want it."""
        if batch.dtype == UINT8 and self._table is not None:
            encoded = np.empty(batch.shape, self.spec.dtype)
            pixel_writer(self._table, encoded)(batch)
            return encoded
        if self.spec.scale is not None:
            return quantize(batch, self.spec)
        return np.asarray(batch, order="C")  # and not `ascontiguousarray`, which gives a single number a dimension

    def writer(self, out: NDArray[Any]) -> Callable[[NDArray[np.uint8]], object] | None:
        """Returns what writes raw pixels into an engine's memory, or None where the input takes none.

        Args:
            out: The memory, of the shape that images will have.
        """
        return None if self._table is None else pixel_writer(self._table, out)

    def _as_they_are(self, given: NDArray[Any]) -> NDArray[Any]:
        """Token ids, masks and the like: integers that are no pixels and have no quantization."""
        cast = given.astype(self.spec.dtype) if given.dtype.kind in "iub" else given
        if cast.dtype != self.spec.dtype or (cast != given).any():
            raise InvalidInputError(
                f"{self._name} are {given.dtype}; expected whole numbers that {self.spec.dtype} holds"
            )
        return with_batch_dimension(cast, self.spec.shape, self._name)
