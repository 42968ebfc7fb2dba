"""From one Keras model to a bundle: trace once, convert to each format, verify each file, write all or nothing."""

import datetime
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from liteport.errors import (
    BackendError,
    ConversionError,
    InvalidInputError,
    LiteportError,
    MissingDependencyError,
    VerificationError,
)
from liteport.files import check_new_folder, new_folder
from liteport.runtime import Bundle, Manifest, Preprocessing, Variant
from liteport.runtime.manifest import MANIFEST_FILE, Refusal
from liteport.runtime.records import CalibrationInfo, SourceInfo
from liteport.terminal import ProgressCallback, no_progress

from .calibration import describe
from .custom_objects import CustomObjects
from .formats import FORMATS, Format, choose_formats
from .job import Job, Wishes, make_job
from .onnx import OnnxOptions
from .source import Source, load_source
from .variants import Maker

_VERSIONS = ("liteport", "tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert", "numpy")

# What makes a single format impossible for a model, while others may well take it.
_REFUSALS = (ConversionError, BackendError, VerificationError, MissingDependencyError)


def export(
    model: Any,
    path: str | Path,
    formats: str | Iterable[str] = "all",
    calibration: Any = None,
    labels: Iterable[str] | None = None,
    preprocessing: Preprocessing | Mapping[str, Any] | None = None,
    verify: Any = None,
    seed: int = 0,
    force: bool = False,
    *,
    calibration_count: int = 500,
    verify_count: int = 1000,
    check_calibration: bool = True,
    max_drop: float | None = None,
    batch: int | None = None,
    onnx: OnnxOptions | None = None,
    custom_objects: CustomObjects = None,
    safe_mode: bool = True,
    try_tflite_runtime: bool = True,
    mobile: bool = True,
    progress: ProgressCallback = no_progress,
) -> Bundle:
    """Exports a Keras model to a bundle of verified variants.

    The integer formats of a quantization-aware model (`liteport.train.quantize_aware`) take its learned ranges and
    rounded weights over and are held against it as it is, fake-quantized; tflite-int16x8 is calibrated, and the float
    formats have the weights before rounding.

    Args:
        model: A `keras.Model`, a `.keras` or `.h5` file, a SavedModel folder, or the folder of a run that `liteport
            train` wrote. What a run's training.json says of labels, preprocessing and data set is used where it is
            not given here.
        path: The bundle's folder, which is made.
        formats: "all" (those that cannot express the model are then left out, and the manifest says why; 4-bit weights
            beside 8-bit activations are for a model trained for them), one id or several; see `FORMATS`.
        calibration: Data for the integer formats: a `Dataset` (its train split), a source for `load_dataset`, an
            `.npz` or `.npy` file, a folder of images, an array of images (uint8: raw pixels, floating: model input),
            a pair (images, labels), a list or dictionary of arrays for a model of several inputs, or an iterable of
            any of these. Drawn evenly over the classes, where they are known.
        labels: Class names; by default those of the data set in `calibration`, if it has as many classes as the model.
        preprocessing: What the runtime does to raw pixels (0 to 255): see `Preprocessing.of`; of several inputs one
            for all images, or a dictionary with one by input name. Without it the model takes pixels as they are.
        verify: Data to compare each variant with Keras on: the same kinds (of a `Dataset` its validation split), or
            False for none at all, which the manifest shows. By default what `calibration` holds out; where that is
            nothing, the calibration data itself; and without any data, random input. The manifest says which.
        seed: Which samples are drawn.
        force: Replace a bundle that is at `path`.
        calibration_count: How many samples to calibrate on.
        verify_count: How many samples to verify on.
        check_calibration: Whether to calibrate on each half of the data as well and record how far the results differ.
        max_drop: Lets int8 variants keep their most sensitive layers in float, as few as it takes for their accuracy
            to be at most so many points below Keras's on the verification data.
        batch: A fixed batch size, where the model's own is free.
        onnx: Options of the ONNX formats; their scheme is the format's own.
        custom_objects: Layers that are not Keras's own: objects by name, or texts `module:name`.
        safe_mode: Whether model files may not bring code of their own.
        try_tflite_runtime: Whether to try each TFLite file in tflite-runtime 2.14 as well, in an environment of its
            own that is made in the user's cache when it is first needed.
        mobile: Whether TFLite files of image classifiers also carry the official TFLite Metadata, which Android's and
            MediaPipe's task libraries read.
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
    named = {formats} if isinstance(formats, str) else set(formats)
    choose_formats(named)
    wishes = Wishes(
        calibration,
        verify,
        labels,
        preprocessing,
        seed,
        calibration_count,
        verify_count,
        check_calibration,
        max_drop,
        batch,
        onnx or OnnxOptions(),
        try_tflite_runtime,
        mobile,
    )
    source = load_source(model, custom_objects, safe_mode=safe_mode)
    rows = choose_formats(named, low_bits=source.aware is not None and source.aware.low_bits)
    _check_not_inside(path, source.file, calibration, verify)
    with tempfile.TemporaryDirectory(prefix="liteport-") as scratch:
        job = make_job(source, wishes, rows, Path(scratch))
        with new_folder(path, force=force, marker=MANIFEST_FILE) as folder:
            manifest = _write(job, rows, folder, named, progress)
    return Bundle(path, manifest)


def _check_not_inside(path: Path, *used: Any) -> None:
    """Refuses to replace a folder that holds what the export reads, which would be lost with it."""
    for given in used:
        if (
            isinstance(given, (str, Path))
            and Path(given).exists()
            and Path(given).resolve().is_relative_to(path.resolve())
        ):
            raise InvalidInputError(f"{path} holds {given}, which would be replaced with it; name another folder")


def _write(job: Job, rows: list[Format], folder: Path, named: set[str], progress: ProgressCallback) -> Manifest:
    variants: list[Variant] = []
    refused: list[Refusal] = []
    with Maker(job) as maker:
        for done, row in enumerate(rows):
            progress("export", done, len(rows), row.id)
            try:
                made = maker.make(row)
            except _REFUSALS as error:
                if row.id in named:
                    raise _told(row, error) from error
                refused.append(Refusal(row.id, str(error)))
                continue
            for name, content in made.files.items():
                (folder / name).write_bytes(content)
            variants.append(made.variant)
        if not variants:
            raise ConversionError(f"no format takes this model; {refused[0].id}: {refused[0].reason}")
        calibration = _calibration(job, [variant.id for variant in variants], maker)
        variants = [maker.tried(variant) for variant in variants]
    checked = "" if job.reference is None else ", each held against Keras"
    progress("export", len(rows), len(rows), f"{len(variants)} variants{checked}")
    manifest = _manifest(job, variants, calibration, refused)
    text = manifest.to_json()
    Manifest.from_json(text.encode(), "the new manifest")  # what is written can be read
    (folder / MANIFEST_FILE).write_text(text, encoding="utf-8")
    return manifest


def _told(row: Format, error: LiteportError) -> LiteportError:
    """A format that was asked for by name must come out, and so its refusal ends the export."""
    if isinstance(error, (ConversionError, BackendError)):
        return ConversionError(f"{row.id}: {error}; leave this format out to export the others")
    return type(error)(f"{row.id}: {error}")


def _calibration(job: Job, made: list[str], maker: Maker) -> CalibrationInfo | None:
    if job.calibration is None or not any(job.calibrates(FORMATS[name]) for name in made):
        return None
    return describe(job.calibration, job.wishes.seed, job.wishes.onnx.calibration_method, maker.stability(made))


def _manifest(
    job: Job, variants: list[Variant], calibration: CalibrationInfo | None, refused: list[Refusal]
) -> Manifest:
    source = job.source
    return Manifest(
        name=source.name,
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        source=SourceInfo(
            file=source.file.name.encode(errors="replace").decode() if source.file else None,
            sha256=source.sha256(),
            versions=_versions(),
            training=_training_facts(source),
        ),
        input=job.inputs[0],
        output=job.outputs[0],
        calibration=calibration,
        variants=tuple(variants),
        other_inputs=job.inputs[1:],
        other_outputs=job.outputs[1:],
        refused=tuple(refused),
    )


def _versions() -> dict[str, str]:
    """The versions of the packages that are installed: not all formats need all, and TensorFlow has several names."""
    found = {}
    for package in _VERSIONS:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _training_facts(source: Source) -> Mapping[str, Any] | None:
    """The part of training.json that whoever runs or measures the bundle may ask for."""
    if source.training is None:
        return None
    keys = ("design", "dataset", "seed", "epochs_done", "parameters", "validation", "test")
    return {key: source.training[key] for key in keys if key in source.training}
