"""One input of a model: from what a user holds to the file's own shape and type."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liteport.errors import InvalidInputError

from .card import Preprocessing, TensorSpec
from .preprocessing import UINT8, as_array, to_batch, with_batch_dimension
from .quantization import pixel_encoder, pixel_table, quantize


class Input:
    """Prepares values for an input tensor. What can be settled once is settled when it is made."""

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
        self._item = spec.shape[1:]
        self._encode = None
        if preprocessing is not None:
            self._encode = pixel_encoder(pixel_table(preprocessing, spec, int(spec.shape[-1] or 1)))

    def prepare(self, values: ArrayLike) -> NDArray[Any]:
        """Returns a batch in the file's own shape and type.

        Raises:
            InvalidInputError: If the values do not fit.
        """
        # The usual case by itself and first: after each inference the processor's caches are cold, and every call that
        # can be left out shows.
        if self._encode is not None and isinstance(values, np.ndarray) and values.dtype == UINT8:
            if values.shape == self._item:
                return self._encode(values[np.newaxis])
            if values.shape[1:] == self._item:
                return self._encode(values)
        if self._discrete:
            return self._as_they_are(as_array(values, self._name))
        batch = to_batch(values, self.spec.shape, self._name, self._float)
        if batch.dtype != UINT8:
            return batch if self.spec.scale is None else quantize(batch, self.spec)
        if self._encode is None:
            raise InvalidInputError(
                f"{self.spec.name!r} got raw pixels (uint8), but this file carries no preprocessing; load the bundle, "
                "or pass floating values that are prepared as in training"
            )
        return self._encode(batch)

    def _as_they_are(self, given: NDArray[Any]) -> NDArray[Any]:
        """Token ids, masks and the like: integers that are no pixels and have no quantization."""
        cast = given.astype(self.spec.dtype) if given.dtype.kind in "iub" else given
        if cast.dtype != self.spec.dtype or (cast != given).any():
            raise InvalidInputError(
                f"{self._name} are {given.dtype}; expected whole numbers that {self.spec.dtype} holds"
            )
        return np.ascontiguousarray(with_batch_dimension(cast, self.spec.shape, self._name))
