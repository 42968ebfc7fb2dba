"""What a model file's user must know: its inputs and outputs, what is done to pixels, the names of its classes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from liteport.errors import InvalidInputError

_MAX_ELEMENTS = 2**31  # of one item of a batch: far above any image model, far below what exhausts a device
_MAX_DIMENSIONS = 32
_MAX_TENSORS = 1024  # inputs or outputs of one model
_MAX_REAL = 3.4e38  # what float32 holds, in which pixels are computed


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a model file.

    Attributes:
        name: Its name in the model's signature.
        dtype: A numpy dtype name, such as "int8".
        shape: Its dimensions; None where they are free (the batch); () of a single number, or where the rank is free.
        scale: Step between quantized values, where the tensor is quantized: `real = scale * (q - zero_point)`.
        zero_point: The quantized value that stands for 0.0.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    scale: float | None = None
    zero_point: int | None = None

    def __post_init__(self) -> None:
        if self.shape:
            _check_shape(self.shape)
        if (self.scale is None) != (self.zero_point is None):
            raise ValueError("scale and zero_point go together")
        if self.scale is not None and not 0 < self.scale < math.inf:
            raise ValueError(f"scale is {self.scale}, expected a positive number")


@dataclass(frozen=True)
class Preprocessing:
    """What turns raw pixels (0 to 255) into model input: `pixel * scale + offset`.

    Attributes:
        scale: One factor for all channels, or one a channel.
        offset: One summand for all channels, or one a channel.
    """

    scale: float | tuple[float, ...] = 1.0
    offset: float | tuple[float, ...] = 0.0

    def __post_init__(self) -> None:
        for values in (self.scale, self.offset):
            row = values if isinstance(values, tuple) else (values,)
            if not row or not all(abs(value) <= _MAX_REAL for value in row):  # NaN compares as false
                raise ValueError(f"preprocessing needs finite numbers, got scale {self.scale} and offset {self.offset}")

    @classmethod
    def of(cls, value: "Preprocessing | Mapping[str, Any] | None") -> "Preprocessing":
        """Makes one from what a user may write.

        Args:
            value: None for pixels as they are; or `{"scale": …, "offset": …}`; or `{"mean": …, "std": …}`, in units
                of pixels (0 to 255), for `(pixel - mean) / std`. Numbers, or lists with one a channel.

        Raises:
            InvalidInputError: If it is none of these.
        """
        if value is None or isinstance(value, cls):
            return value or cls()
        if not isinstance(value, Mapping) or not (set(value) <= {"scale", "offset"} or set(value) == {"mean", "std"}):
            raise InvalidInputError(f"preprocessing is {value!r}; expected scale and offset, or mean and std")
        try:
            if "std" in value:
                mean, std = (_floats(value[key]) for key in ("mean", "std"))
                scale = tuple(1 / number for number in std)
                broadcast = len(mean) in (1, len(scale)) or len(scale) == 1
                if not broadcast:
                    raise ValueError(f"{len(mean)} means and {len(std)} standard deviations")
                count = max(len(mean), len(scale))
                offset = tuple(-mean[i % len(mean)] * scale[i % len(scale)] for i in range(count))
            else:
                scale, offset = _floats(value.get("scale", 1.0)), _floats(value.get("offset", 0.0))
            return cls(scale[0] if len(scale) == 1 else scale, offset[0] if len(offset) == 1 else offset)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise InvalidInputError(f"preprocessing {dict(value)!r} cannot be used: {error}") from error


@dataclass(frozen=True)
class InputInfo:
    """An input of the model.

    Attributes:
        name: Its name in every variant.
        shape: Batch first; of images (None, height, width, channels).
        layout: "NHWC" of images, in every variant; "other" of what is no image.
        color: "grayscale", "rgb" or "other".
        preprocessing: What turns raw pixels into model input.
        dtype: What the Keras model takes, a numpy name; quantized variants may store another.
    """

    name: str
    shape: tuple[int | None, ...]
    layout: str
    color: str
    preprocessing: Preprocessing
    dtype: str = "float32"

    def __post_init__(self) -> None:
        _check_shape(self.shape)
        if self.layout != ("NHWC" if len(self.shape) == 4 else "other"):
            raise ValueError(f"layout is {self.layout!r} of an input of {len(self.shape)} dimensions")
        for values in (self.preprocessing.scale, self.preprocessing.offset):
            if isinstance(values, tuple) and len(values) != self.shape[-1]:
                raise ValueError(f"preprocessing has {len(values)} channels, the input {self.shape[-1]}")


@dataclass(frozen=True)
class OutputInfo:
    """An output of the model.

    Attributes:
        name: Its name in every variant.
        shape: Batch first; of a classifier (None, classes).
        activation: What computes it: "softmax", "sigmoid", "linear" (logits) or "other".
        labels: The classes' names in their order; None where they are not known.
    """

    name: str
    shape: tuple[int | None, ...]
    activation: str
    labels: tuple[str, ...] | None

    def __post_init__(self) -> None:
        _check_shape(self.shape)
        if self.labels is not None and len(self.labels) != self.shape[-1]:
            raise ValueError(f"{len(self.labels)} labels for {self.shape[-1]} classes")


@dataclass(frozen=True)
class ModelCard:
    """A model as its users see it; a bundle's manifest says this of each variant, and each file of itself.

    Attributes:
        name: The model's name.
        variant: The variant's id.
        scheme: The variant's scheme in words.
        inputs: All inputs; of a classifier the image.
        outputs: All outputs; of a classifier the classes.
    """

    name: str
    variant: str
    scheme: str
    inputs: tuple[InputInfo, ...]
    outputs: tuple[OutputInfo, ...]

    def __post_init__(self) -> None:
        check_tensors(self.inputs, self.outputs)


def check_tensors(*groups: Sequence[TensorSpec | InputInfo | OutputInfo]) -> None:
    """Checks that there are inputs and outputs, not too many, each of a name of its own.

    Raises:
        ValueError: If not.
    """
    for group in groups:
        names = {entry.name for entry in group}
        if not 0 < len(group) <= _MAX_TENSORS or len(names) != len(group):
            raise ValueError(
                f"found {' and '.join(str(len(group)) for group in groups)} inputs and outputs, expected at least one "
                f"of each, at most {_MAX_TENSORS}, each of its own name"
            )


def _floats(value: Any) -> tuple[float, ...]:
    return tuple(map(float, value)) if isinstance(value, (list, tuple)) else (float(value),)


def _check_shape(shape: tuple[int | None, ...]) -> None:
    sizes = [size for size in shape if size is not None]
    if not 0 < len(shape) <= _MAX_DIMENSIONS:
        raise ValueError(f"shape has {len(shape)} dimensions, expected 1 to {_MAX_DIMENSIONS}")
    if any(size < 1 for size in sizes) or math.prod(sizes) > _MAX_ELEMENTS:
        raise ValueError(f"shape is {list(shape)}, expected sizes from 1 to {_MAX_ELEMENTS} in all")
