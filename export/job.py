"""What all formats of one export share: the traced model, its card, and the data to calibrate and verify on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError, NotFoundError
from liteport.runtime import Preprocessing, TensorSpec
from liteport.runtime.card import InputInfo, OutputInfo
from liteport.train import Dataset
from liteport.train.datasets import is_image_folder, reload

from .calibration import gather, prepared
from .checks import check_number, warn_of_range, with_fitting_labels
from .edges import inputs_of, outputs_of
from .formats import Format
from .given_data import Samples, in_class_order, named
from .learned import learned
from .onnx import OnnxOptions
from .source import Source
from .tracing import Traced, trace
from .verify import Reference


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
        traced: Its graph; of a quantization-aware model that with floating weights.
        wishes: What the user asked for.
        inputs: The model's inputs as users see them.
        outputs: Its outputs, likewise.
        calibration: The samples to calibrate on, or None.
        reference: Keras's answers to the samples to verify on, or None.
        learned: Of a quantization-aware model the graph with rounded weights and learned ranges.
        learned_reference: The fake-quantized model's answers to the same samples.
    """

    source: Source
    traced: Traced
    wishes: Wishes
    inputs: tuple[InputInfo, ...]
    outputs: tuple[OutputInfo, ...]
    calibration: Samples | None
    reference: Reference | None
    learned: Traced | None = None
    learned_reference: Reference | None = None

    def traced_for(self, row: Format) -> Traced:
        """Returns the graph that a format is made of."""
        return self.learned if self.learned is not None and row.learned else self.traced

    def reference_for(self, row: Format) -> Reference | None:
        """Returns what a format is held against: the model that its graph is of."""
        return self.learned_reference if self.traced_for(row) is self.learned else self.reference

    def calibrates(self, row: Format) -> bool:
        """Tells whether a format takes ranges from calibration data."""
        return row.calibrated and self.traced_for(row).learned is None

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
        in_class_order(_named(data, seed, training), class_names) for data in (wishes.calibration, wishes.verify)
    )
    if calibration is None and training and (verify is None or any(row.calibrated for row in rows)):
        calibration = _trained_on(source, training["dataset"])
    if calibration is None and source.aware is None and (needy := [row.id for row in rows if row.calibrated]):
        raise InvalidInputError(
            f"{', '.join(needy)} need calibration data: give a data set or images of the train split"
        )
    traced = trace(source.model, _folder(scratch, "model"), wishes.batch)
    with_learned = _learned(source, scratch, wishes.batch) if any(row.learned for row in rows) else None
    drawn, held_out = _samples(calibration, verify, traced, wishes)
    given = training.get("preprocessing") if wishes.preprocessing is None else wishes.preprocessing
    inputs = inputs_of(traced.inputs, given)
    outputs = outputs_of(traced, class_names, calibration)
    for data, samples, what in ((calibration, drawn, "calibration"), (verify, held_out, "verification")):
        if samples is not None and data is not None and data is not False:
            warn_of_range(samples, inputs, what)
    job = Job(source, traced, wishes, inputs, outputs, drawn, None, with_learned)
    if held_out is None:
        return job
    held_out = with_fitting_labels(held_out, traced.outputs[0])
    return replace(
        job,
        reference=_reference(job, traced, held_out),
        learned_reference=None if with_learned is None else _reference(job, with_learned, held_out),
    )


def _folder(scratch: Path, name: str) -> Path:
    (folder := scratch / name).mkdir()
    return folder


def _learned(source: Source, scratch: Path, batch: int | None) -> Traced | None:
    """Traces the rounded form of a quantization-aware model."""
    if source.aware is None:
        return None
    traced = trace(source.aware.rounded, _folder(scratch, "rounded"), batch)
    return replace(traced, learned=learned(source.aware, batch))


def _reference(job: Job, traced: Traced, samples: Samples) -> Reference:
    answers = {name: array.astype(np.float32) for name, array in traced.answers(job.feeds(samples)).items()}
    name = "keras" if traced.learned is None else "keras, fake-quantized"
    return Reference(samples, answers, {info.name: info.activation for info in job.outputs}, name)


def _named(data: Any, seed: int, training: Mapping[str, Any]) -> Any:
    """Finds the data that a text stands for; a folder that the model was trained on is split as it was then."""
    recorded = training["dataset"] if training else {}
    if isinstance(data, (str, Path)) and str(Path(data).absolute()) == recorded.get("source") and is_image_folder(data):
        return reload(recorded)
    return named(data, seed)


def _trained_on(source: Source, trained_on: Mapping[str, Any]) -> Dataset:
    """Loads the data set that the run was trained on.

    Raises:
        NotFoundError: If it is gone.
        InvalidInputError: If it is another by now.
    """
    try:
        dataset = reload(trained_on)
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
