"""From one Keras model to a bundle: trace once, convert to each format, verify each file, write all or nothing."""

import datetime
import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import BackendError, ConversionError, InvalidInputError, NotFoundError
from liteport.files import check_new_folder, new_folder, sha256_of
from liteport.runtime import Bundle, Manifest, Model, Preprocessing, Variant
from liteport.runtime.backends import choose_engine
from liteport.runtime.manifest import MANIFEST_FILE, InputInfo, OutputInfo, SourceInfo
from liteport.terminal import ProgressCallback, muted, no_progress
from liteport.train import Dataset, load_dataset

from .calibration import Samples, describe, gather, prepared
from .formats import FORMATS, Format, choose_formats
from .source import Source, Traced, load_source, trace
from .tflite import floating_tensors
from .verify import verify as verify_variant

_VERSIONS = ("liteport", "tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert", "numpy")
_COLORS = {1: "grayscale", 3: "rgb"}


@dataclass(frozen=True)
class _Job:
    """What all formats of one export share."""

    source: Source
    traced: Traced
    preprocessing: Preprocessing
    labels: tuple[str, ...] | None
    calibration: Samples | None
    verification: Samples | None
    seed: int


def export(
    model: Any,
    path: str | Path,
    formats: str | Iterable[str] = "all",
    calibration: Any = None,
    labels: Sequence[str] | None = None,
    preprocessing: Preprocessing | Mapping[str, Any] | None = None,
    verify: Any = None,
    seed: int = 0,
    force: bool = False,
    *,
    calibration_count: int = 500,
    verify_count: int = 1000,
    progress: ProgressCallback = no_progress,
) -> Bundle:
    """Exports a Keras image classifier to a bundle of verified variants.

    Args:
        model: A `keras.Model`, a `.keras` or `.h5` file, or the folder of a run that `liteport train` wrote. What a
            run's training.json says of labels, preprocessing and data set is used where it is not given here.
        path: The bundle's folder, which is made.
        formats: "all", one id or several; see `FORMATS`.
        calibration: Data for the integer formats: a `Dataset` (its train split), a source for `load_dataset`, an array
            of images (uint8: raw pixels, floating: model input), or a pair (images, labels). Drawn evenly over the
            classes, where they are known.
        labels: Class names; by default those of the data set in `calibration`, if it has as many classes as the model.
        preprocessing: What the runtime does to raw pixels (0 to 255): see `Preprocessing.of`. Without it the model
            takes pixels as they are.
        verify: Data to compare each variant with Keras on: the same kinds (of a `Dataset` its validation split), or
            False for none at all. By default what `calibration` holds out; where that is nothing, the calibration
            images themselves; and without any data, random input. The manifest says which.
        seed: Which images are drawn.
        force: Replace a bundle that is at `path`.
        calibration_count: How many images to calibrate on.
        verify_count: How many images to verify on.
        progress: Told of each format that is done.

    Returns:
        The bundle. It can be given to `liteport.runtime.load` as it is.

    Raises:
        AlreadyExistsError: If there is something at `path` and `force` is off.
        InvalidInputError: If an argument is unusable, or integer formats are asked for without calibration data.
        NotFoundError: If a path does not exist.
        ConversionError: If a converter refuses the model.
        VerificationError: If a variant's answers are too far from Keras's.
    """
    path = Path(path)
    check_new_folder(path, force=force, marker=MANIFEST_FILE)
    rows = choose_formats(formats)
    source = load_source(model)
    training = source.training or {}
    calibration, verify = _named(calibration, source), _named(verify, source)
    if calibration is None and training and (verify is None or any(row.calibrated for row in rows)):
        calibration = _trained_on(source, training["dataset"])
    if calibration is None and (needy := [row.id for row in rows if row.calibrated]):
        raise InvalidInputError(
            f"{', '.join(needy)} need calibration data: give a data set or images of the train split"
        )
    with tempfile.TemporaryDirectory(prefix="liteport-") as scratch:
        traced = trace(source.model, Path(scratch))
        samples = _samples(calibration, verify, traced, calibration_count, verify_count, seed)
        job = _Job(
            source,
            traced,
            Preprocessing.of(training.get("preprocessing") if preprocessing is None else preprocessing),
            _labels(labels or training.get("class_names"), calibration, traced),
            *samples,
            seed,
        )
        with new_folder(path, force=force, marker=MANIFEST_FILE) as folder:
            manifest = _write(job, rows, folder, progress)
    return Bundle(path, manifest)


def _named(given: Any, source: Source) -> Any:
    """Loads a data set that is given by its name, split as it was for the training: what was held out stays so."""
    if not isinstance(given, (str, Path)):
        return given
    return load_dataset(given, seed=source.training["dataset"]["seed"] if source.training else 0)


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


def _samples(
    calibration: Any, verify: Any, traced: Traced, count: int, verify_count: int, seed: int
) -> tuple[Samples | None, Samples | None]:
    """Settles what to calibrate and verify on; see `export`."""
    drawn, held_out = gather(
        calibration,
        None if verify is False else verify,
        shape=traced.input_shape,
        count=count,
        verify_count=verify_count,
        seed=seed,
    )
    if verify is False:
        return drawn, None
    if held_out is None and drawn is not None:
        held_out = Samples(drawn.images[:verify_count], None, drawn.source, "calibration")
    if held_out is None:
        shape = (min(verify_count, 64), *(size or 1 for size in traced.input_shape[1:]))
        noise = np.random.default_rng(seed).random(shape, np.float32)
        held_out = Samples(noise, None, "random", "input in [0, 1)")
    return drawn, held_out


def _labels(labels: Sequence[str] | None, calibration: Any, traced: Traced) -> tuple[str, ...] | None:
    if labels is None:
        names = calibration.class_names if isinstance(calibration, Dataset) else ()
        return names if len(names) == traced.output_shape[-1] else None
    if isinstance(labels, str) or len(labels) != traced.output_shape[-1]:
        raise InvalidInputError(f"labels are {labels!r}; expected {traced.output_shape[-1]} names, one a class")
    return tuple(map(str, labels))


def _write(job: _Job, rows: list[Format], folder: Path, progress: ProgressCallback) -> Manifest:
    images = None if job.calibration is None else prepared(job.calibration.images, job.preprocessing)
    reference = None
    if job.verification is not None:
        reference = _keras_outputs(job.source.model, prepared(job.verification.images, job.preprocessing))
    variants: list[Variant] = []
    for done, row in enumerate(rows):
        progress("export", done, len(rows), row.id)
        try:
            content = row.convert(job.traced, images if row.calibrated else None)
            variants.append(_checked_variant(job, row, content, reference))
        except (ConversionError, BackendError) as error:
            raise ConversionError(f"{row.id}: {error}; leave this format out to export the others") from error
        (folder / variants[-1].file).write_bytes(content)
    checked = "" if reference is None else ", each held against Keras"
    progress("export", len(rows), len(rows), f"{len(rows)} variants{checked}")
    manifest = _manifest(job, variants)
    (folder / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def _checked_variant(job: _Job, row: Format, content: bytes, reference: NDArray[np.float32] | None) -> Variant:
    """Describes a converted file by what the engine finds in it, and verifies it the way users will run it."""
    if row.integer_only and (floating := floating_tensors(content)):
        raise ConversionError(f"{len(floating)} floating tensors are left, the first is {floating[0]!r}")
    with muted():
        backend = choose_engine(row.suffix).load(content, threads=os.cpu_count() or 1)
    variant = Variant(
        id=row.id,
        file=f"{row.id}{row.suffix}",
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        scheme=row.scheme,
        inputs=backend.inputs,
        outputs=backend.outputs,
        runtime_requirement=f"seen to run with {backend.info.name} {backend.info.version}",
        verification=None,
    )
    with Model(backend, _manifest(job, [variant]), row.id) as model:
        if reference is None or job.verification is None:
            return variant
        probabilities = job.traced.activation in ("softmax", "sigmoid")
        checked = verify_variant(row.id, model, job.verification, reference, row.tolerance, probabilities=probabilities)
    return replace(variant, verification=checked)


def _keras_outputs(model: Any, images: NDArray[np.float32]) -> NDArray[np.float32]:
    outputs: NDArray[np.float32] = np.asarray(model.predict(images, batch_size=256, verbose=0), np.float32)
    return outputs


def _manifest(job: _Job, variants: list[Variant]) -> Manifest:
    source, traced = job.source, job.traced
    return Manifest(
        name=source.name,
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        source=SourceInfo(
            file=source.file.name if source.file else None,
            sha256=sha256_of(source.file) if source.file else None,
            versions={package: version(package) for package in _VERSIONS},
            training=_training_facts(source.training),
        ),
        input=InputInfo(
            name="input",
            shape=traced.input_shape,
            layout="NHWC",
            color=_COLORS.get(traced.input_shape[-1] or 0, "other"),
            preprocessing=job.preprocessing,
        ),
        output=OutputInfo("output", traced.output_shape, traced.activation, job.labels),
        calibration=None
        if job.calibration is None or not any(FORMATS[variant.id].calibrated for variant in variants)
        else describe(job.calibration, job.seed),
        variants=tuple(variants),
    )


def _training_facts(training: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The part of training.json that whoever runs or measures the bundle may ask for."""
    if training is None:
        return None
    keys = ("design", "dataset", "seed", "epochs_done", "parameters", "validation", "test")
    return {key: training[key] for key in keys if key in training}
