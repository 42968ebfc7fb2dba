"""What all formats of one export share: the traced model, its card, and the data to calibrate and verify on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError, NotFoundError, unknown_name
from liteport.runtime import Preprocessing, TensorSpec
from liteport.runtime.card import InputInfo, OutputInfo
from liteport.train import Dataset, load_dataset

from .calibration import gather, prepared
from .checks import check_number, check_preprocessing, checked_labels, warn_of_range, with_fitting_labels
from .formats import Format
from .given_data import Samples, in_class_order, named
from .onnx import OnnxOptions
from .source import Source
from .tracing import Traced, trace
from .verify import Reference

_COLORS = {1: "grayscale", 3: "rgb"}


@dataclass(frozen=True)
class Wishes:
    """What the user asked for; see `export`."""

    calibration: Any
    verify: Any
    labels: Iterable[str] | None
    preprocessing: Preprocessing | Mapping[str, Any] | None
    seed: int
    calibration_count: int
    verify_count: int
    check_calibration: bool
    max_drop: float | None
    batch: int | None
    onnx: OnnxOptions
    try_tflite_runtime: bool
    mobile: bool

    def __post_init__(self) -> None:
        for name, value, least in (
            ("seed", self.seed, 0),
            ("calibration_count", self.calibration_count, 1),
            ("verify_count", self.verify_count, 1),
            ("batch", 1 if self.batch is None else self.batch, 1),
        ):
            check_number(name, value, least)
        if self.max_drop is not None and not self.max_drop >= 0:  # nor NaN
            raise InvalidInputError(f"max_drop is {self.max_drop}; expected points of accuracy, 0 or more")


@dataclass(frozen=True)
class Job:
    """One export.

    Attributes:
        source: Where the model came from.
        traced: Its graph.
        wishes: What the user asked for.
        inputs: The model's inputs as users see them.
        outputs: Its outputs, likewise.
        calibration: The samples to calibrate on, or None.
        reference: Keras's answers to the samples to verify on, or None.
    """

    source: Source
    traced: Traced
    wishes: Wishes
    inputs: tuple[InputInfo, ...]
    outputs: tuple[OutputInfo, ...]
    calibration: Samples | None
    reference: Reference | None

    @property
    def with_mobile_metadata(self) -> bool:
        """Whether TFLite files get the official metadata, which is for image classifiers."""
        first = self.inputs[0]
        image = first.color in ("grayscale", "rgb") and first.dtype == "float32"
        return self.wishes.mobile and image and (len(self.inputs), len(self.outputs)) == (1, 1)

    def feeds(self, samples: Samples) -> dict[str, NDArray[Any]]:
        """Returns model input, by name, for samples that may be raw pixels."""
        preprocessing = {info.name: info.preprocessing for info in self.inputs}
        return prepared(samples, self.traced.inputs, preprocessing)


def make_job(source: Source, wishes: Wishes, rows: Sequence[Format], scratch: Path) -> Job:
    """Traces the model and gathers what its formats need.

    Args:
        source: The model.
        wishes: What the user asked for.
        rows: The formats.
        scratch: An existing empty folder.

    Raises:
        InvalidInputError: If data, labels or preprocessing do not fit, or integer formats lack calibration data.
        NotFoundError: If a path does not exist.
        ConversionError: If the model cannot be traced.
    """
    training = source.training or {}
    seed = training["dataset"]["seed"] if training else 0
    class_names = wishes.labels if wishes.labels is not None else training.get("class_names")
    class_names = class_names if class_names is None or isinstance(class_names, str) else list(class_names)
    calibration, verify = (
        in_class_order(named(data, seed), class_names) for data in (wishes.calibration, wishes.verify)
    )
    if calibration is None and training and (verify is None or any(row.calibrated for row in rows)):
        calibration = _trained_on(source, training["dataset"])
    if calibration is None and (needy := [row.id for row in rows if row.calibrated]):
        raise InvalidInputError(
            f"{', '.join(needy)} need calibration data: give a data set or images of the train split"
        )
    traced = trace(source.model, scratch, wishes.batch)
    drawn, held_out = _samples(calibration, verify, traced, wishes)
    given = training.get("preprocessing") if wishes.preprocessing is None else wishes.preprocessing
    inputs = _inputs(traced.inputs, given)
    outputs = _outputs(traced, class_names, calibration)
    for data, samples, what in ((calibration, drawn, "calibration"), (verify, held_out, "verification")):
        if samples is not None and data is not None and data is not False:
            warn_of_range(samples, inputs, what)
    job = Job(source, traced, wishes, inputs, outputs, drawn, None)
    if held_out is None:
        return job
    held_out = with_fitting_labels(held_out, traced.outputs[0])
    answers = {name: array.astype(np.float32) for name, array in traced.answers(job.feeds(held_out)).items()}
    activations = {info.name: info.activation for info in outputs}
    return Job(source, traced, wishes, inputs, outputs, drawn, Reference(held_out, answers, activations))


def _trained_on(source: Source, trained_on: Mapping[str, Any]) -> Dataset:
    """Loads the data set that the run was trained on.

    Raises:
        NotFoundError: If it is gone.
        InvalidInputError: If it is another by now.
    """
    try:
        dataset = load_dataset(trained_on["source"], seed=trained_on["seed"])
    except (NotFoundError, InvalidInputError) as error:
        raise type(error)(f"the data that {source.file} was trained on: {error}; name other: --calibration") from error
    if dataset.digest != trained_on["digest"]:
        raise InvalidInputError(
            f"{trained_on['source']} is no longer the data that {source.file} was trained on; to calibrate on it all "
            f"the same, name it: --calibration {trained_on['source']}"
        )
    return dataset


def _samples(calibration: Any, verify: Any, traced: Traced, wishes: Wishes) -> tuple[Samples | None, Samples | None]:
    """Settles what to calibrate and verify on; see `export`."""
    drawn, held_out = gather(
        calibration,
        None if verify is False else verify,
        specs=traced.inputs,
        count=wishes.calibration_count,
        verify_count=wishes.verify_count,
        seed=wishes.seed,
    )
    if verify is False:
        return drawn, None
    if held_out is None and drawn is not None:
        held_out = Samples(drawn.first(wishes.verify_count).inputs, None, drawn.source, "calibration")
    return drawn, held_out or noise(traced.inputs, min(wishes.verify_count, 64), wishes.seed)


def noise(specs: Sequence[TensorSpec], count: int, seed: int) -> Samples:
    """Returns random model input, for where there is no data."""
    generator = np.random.default_rng(seed)
    return Samples({spec.name: _noise(spec, count, generator) for spec in specs}, None, "random", "input in [0, 1)")


def _noise(spec: TensorSpec, count: int, generator: np.random.Generator) -> NDArray[Any]:
    shape = (count, *(size or 1 for size in spec.shape[1:]))
    if spec.dtype.startswith("float"):
        return generator.random(shape, np.float32)
    return generator.integers(0, 2, shape).astype(spec.dtype)  # as token ids, valid in any vocabulary


def _inputs(specs: Sequence[TensorSpec], given: Any) -> tuple[InputInfo, ...]:
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


def _outputs(traced: Traced, labels: Iterable[str] | None, calibration: Any) -> tuple[OutputInfo, ...]:
    """Describes the outputs; class names are those of the first."""
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
