"""A model's inputs and outputs as users see them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from liteport.errors import InvalidInputError, unknown_name
from liteport.runtime import Preprocessing, TensorSpec
from liteport.runtime.card import InputInfo, OutputInfo
from liteport.train import Dataset

from .checks import check_preprocessing, checked_labels
from .tracing import Traced

_COLORS = {1: "grayscale", 3: "rgb"}


def inputs_of(specs: Sequence[TensorSpec], given: Any) -> tuple[InputInfo, ...]:
    """Describes a model's inputs.

    Args:
        specs: What is known of them.
        given: Preprocessing, one for all images or by input name: see `export`.

    Raises:
        InvalidInputError: If the preprocessing does not fit.
    """
    preprocessing = _preprocessing(specs, given)
    for pixels in preprocessing.values():
        check_preprocessing(pixels)
    try:
        return tuple(
            InputInfo(
                name=spec.name,
                shape=spec.shape,
                layout="NHWC" if len(spec.shape) == 4 else "other",
                color=_COLORS.get(spec.shape[-1] or 0, "other") if len(spec.shape) == 4 else "other",
                preprocessing=preprocessing.get(spec.name, Preprocessing()),
                dtype=spec.dtype,
            )
            for spec in specs
        )
    except ValueError as error:  # as many scales as there are channels, or one
        raise InvalidInputError(str(error)) from error


def _preprocessing(specs: Sequence[TensorSpec], given: Any) -> dict[str, Preprocessing]:
    """Which preprocessing is whose: one for all images, or by input name."""
    names = [spec.name for spec in specs]
    if (
        isinstance(given, Mapping)
        and given
        and all(isinstance(value, (Mapping, Preprocessing)) for value in given.values())
    ):
        for name in given:
            if name not in names:
                raise unknown_name("input in preprocessing", name, names)
        return {name: Preprocessing.of(value) for name, value in given.items()}
    floating = [spec for spec in specs if spec.dtype.startswith("float")]
    images = [spec for spec in specs if len(spec.shape) == 4] or floating
    return {spec.name: Preprocessing.of(given) for spec in images}


def outputs_of(traced: Traced, labels: Iterable[str] | None, calibration: Any) -> tuple[OutputInfo, ...]:
    """Describes a model's outputs; class names are those of the first.

    Args:
        traced: The model.
        labels: Class names, where they are given.
        calibration: The data set, whose class names are taken otherwise, where there is one and they are as many.

    Raises:
        InvalidInputError: If there are not as many labels as classes, or one is unusable.
    """
    classes = traced.outputs[0].shape[-1]
    names = _labels(labels, calibration, classes)
    return tuple(
        OutputInfo(spec.name, spec.shape, activation, None if number else names)
        for number, (spec, activation) in enumerate(zip(traced.outputs, traced.activations, strict=True))
    )


def _labels(labels: Iterable[str] | None, calibration: Any, classes: int | None) -> tuple[str, ...] | None:
    if labels is None:
        names = calibration.class_names if isinstance(calibration, Dataset) else ()
        return names if len(names) == classes else None
    return checked_labels(labels, classes)
