"""What is asked of a user's wishes and data beyond their types: whether they can be meant as they are."""

import math
import reprlib
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from liteport.errors import InvalidInputError, LiteportWarning
from liteport.runtime import Preprocessing, TensorSpec
from liteport.runtime.card import InputInfo
from liteport.runtime.schema import CONTROL, MAX_TEXT

from .given_data import Samples

# Task libraries and devices compute preprocessing, and its inverse, in single precision.
_LARGEST = 1e30
# Model input spans what pixels become, give or take what standardizing and cropping do; between pixels as they are and
# pixels from 0 to 1 lies a factor of 255, between the former and standardized ones of some 50.
_ODD = 32
_IMAGE_CHANNELS = (1, 3)


def check_number(name: str, value: Any, least: int) -> None:
    """Checks a count or a seed.

    Raises:
        InvalidInputError: If it is no whole number or below `least`.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InvalidInputError(f"{name} is {value!r}; expected a whole number from {least}")


def checked_labels(labels: Iterable[str], classes: int | None) -> tuple[str, ...]:
    """Returns class names that every format can hold.

    Raises:
        InvalidInputError: If there are not as many as classes, or one is empty or no single line of text.
    """
    names = () if isinstance(labels, str) else tuple(map(str, labels))
    if classes is None or len(names) != classes:
        shown = reprlib.repr(labels if isinstance(labels, str) else list(names))
        raise InvalidInputError(
            f"labels are {shown}; expected {classes or 'no'} names, one a class"
            + (f", found {len(names)}" if names else "")
        )
    for number, name in enumerate(names):
        one_line = name.strip() and len(name.splitlines()) == 1 and not CONTROL.search(name) and _is_unicode(name)
        if not one_line or len(name) > MAX_TEXT:
            raise InvalidInputError(
                f"label {number} is {name[:60]!r}; expected one line of text, at most {MAX_TEXT} characters"
            )
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        _warn(f"labels stand twice: {reprlib.repr(twice)}; predictions of these classes cannot be told apart")
    return names


def check_preprocessing(preprocessing: Preprocessing) -> None:
    """Checks that pixels become numbers that single precision holds, and differ.

    Raises:
        InvalidInputError: If not.
    """
    scales, offsets = (
        values if isinstance(values, tuple) else (values,) for values in (preprocessing.scale, preprocessing.offset)
    )
    fit = all(1 / _LARGEST < abs(scale) < _LARGEST for scale in scales) and all(abs(o) < _LARGEST for o in offsets)
    if not fit:
        raise InvalidInputError(
            f"preprocessing has scale {preprocessing.scale} and offset {preprocessing.offset}; expected a scale "
            f"that is not 0, and none beyond {_LARGEST:g}"
        )


def warn_of_range(samples: Samples, inputs: Sequence[InputInfo], what: str) -> None:
    """Warns where floating samples of images and what pixels become by the preprocessing are far apart.

    Args:
        samples: Model input, as floating samples are taken; or raw pixels, which cannot be wrong here.
        inputs: The model's inputs.
        what: What the samples are for.
    """
    for info in inputs:
        values = samples.inputs[info.name]
        if len(info.shape) != 4 or info.shape[-1] not in _IMAGE_CHANNELS or values.dtype.kind != "f":
            continue
        ends = [np.multiply(pixel, info.preprocessing.scale) + info.preprocessing.offset for pixel in (0, 255)]
        low, high = float(np.min(ends)), float(np.max(ends))
        least, most = float(values.min()), float(values.max())
        if least == most or 1 / _ODD < (most - least) / (high - low) < _ODD:
            continue
        _warn(
            f"{what} values for {info.name!r} go from {least:.3g} to {most:.3g}, but pixels become {low:.3g} to "
            f"{high:.3g} by scale {info.preprocessing.scale} and offset {info.preprocessing.offset}; give raw pixels "
            "as uint8, or the scale and offset that the values were made with"
        )


def with_fitting_labels(samples: Samples, output: TensorSpec) -> Samples:
    """Leaves out labels that the model's output cannot answer, and says so."""
    if samples.labels is None:
        return samples
    values = math.prod(size or 1 for size in output.shape[1:])
    classes = values if values > 1 else 2  # a single value is that of the second class
    least, most = int(samples.labels.min()), int(samples.labels.max())
    if least >= 0 and most < classes:
        return samples
    _warn(
        f"labels of {samples.source} ({samples.split}) go from {least} to {most}, but the model has classes 0 to "
        f"{classes - 1}: accuracy is not measured"
    )
    return replace(samples, labels=None)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _warn(message: str) -> None:
    warnings.warn(message, LiteportWarning, stacklevel=6)  # where `export` is called
