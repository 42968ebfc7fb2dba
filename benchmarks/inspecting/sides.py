"""The two model files that are to be compared, and the images they are asked about."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError, NotFoundError, unknown_name
from liteport.runtime import Bundle, Model, load, read_bundle
from liteport.runtime.backends import EXPECTED
from liteport.runtime.manifest import MANIFEST_FILE
from liteport.runtime.model_files import read_model
from liteport.terminal import muted
from liteport.train import Dataset
from liteport.train.datasets import load_for_model

from ..inputs import resolve

_ENGINES = {".tflite": "tflite", ".onnx": "onnx", ".param": "ncnn", ".mnn": "mnn"}


@dataclass(frozen=True)
class Side:
    """One of the two files.

    Attributes:
        name: The variant's id or the file's path, for people.
        path: What `load` takes.
        variant: What `load` takes beside it.
        bundle: The bundle that it is a variant of, or None.
        content: The file.
        suffix: ".tflite", ".onnx", ".param" or ".mnn".
    """

    name: str
    path: Path
    variant: str | None
    bundle: Bundle | None
    content: bytes
    suffix: str

    def load(self) -> Model:
        """Loads it with one thread."""
        with muted():
            return load(self.path, self.variant)


def read_side(path: Path, variant: str | None) -> Side:
    """Reads a bundle's variant, or a model file; one that lies in a bundle is taken as its variant.

    Raises:
        NotFoundError: If there is nothing.
        InvalidInputError: If it is neither, a variant is unknown, or is no model file.
        IntegrityError: If the bundle or the file is damaged.
    """
    bundle, chosen = _in_bundle(path, variant)
    if bundle is not None and chosen is not None:
        file = bundle.manifest.variant(chosen).file
        side = Side(chosen, bundle.path, chosen, bundle, bundle.read(chosen), Path(file).suffix)
    elif variant is not None:
        raise InvalidInputError(f"{path} is one model file; variant {variant!r} can only be chosen in a bundle")
    else:
        side = Side(str(path), path, None, None, read_model(path), path.suffix)
    if side.suffix not in _ENGINES:
        raise InvalidInputError(f"{side.name} is a {side.suffix} file; expected {EXPECTED}")
    return side


def _in_bundle(path: Path, variant: str | None) -> tuple[Bundle | None, str | None]:
    if path.is_dir():
        bundle = read_bundle(path)
        if variant is None:
            raise InvalidInputError(f"{path} is a bundle; name one of its variants")
        return bundle, bundle.manifest.variant(variant).id
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist; expected a bundle folder, {EXPECTED}")
    if not (path.parent / MANIFEST_FILE).is_file():
        return None, None
    bundle = read_bundle(path.parent)
    ids = {entry.file: entry.id for entry in bundle.manifest.variants}
    known = path.name in ids and variant in (None, ids[path.name])
    return (bundle, ids[path.name]) if known else (None, None)


def choose_sides(path: Path, variant: str | None, other: str) -> tuple[Side, Side]:
    """Finds the float file and the quantized one.

    Args:
        path: A bundle or a model file.
        variant: The bundle's variant that is the reference; by default the float32 one of the other's engine.
        other: A variant's id of the same bundle, or the path of a model file.

    Raises:
        NotFoundError: If a file does not exist.
        InvalidInputError: If a name is unknown, or the two are not of one engine.
        IntegrityError: If a bundle or a file is damaged.
    """
    folder = path if path.is_dir() else path.parent
    bundle = read_bundle(folder) if path.is_dir() or (folder / MANIFEST_FILE).is_file() else None
    ids = [entry.id for entry in bundle.manifest.variants] if bundle else []
    if other in ids:
        quantized = read_side(folder, other)
    elif Path(other).is_file():
        quantized = read_side(Path(other), None)
    elif Path(other).is_dir() or not ids or "/" in other:
        raise NotFoundError(f"{other} is no model file; expected {EXPECTED}, or a variant's id")
    else:
        raise unknown_name("variant", other, ids)
    if variant is None and path.is_dir():
        variant = f"{_ENGINES[quantized.suffix]}-float32"
    reference = read_side(path, variant)
    if reference.suffix != quantized.suffix:
        raise InvalidInputError(
            f"{reference.name} and {quantized.name} are of different engines, so their tensors have no names in "
            "common; compare two files of one kind"
        )
    return reference, quantized


@dataclass(frozen=True)
class Questions:
    """Images that both files are asked about.

    Attributes:
        data: The data set's name.
        pixels: (N, H, W, C) uint8, of its validation split.
        real: The same as model input, float32.
        labels: (N,).
        raw: Whether both models take the raw pixels themselves.
    """

    data: str
    pixels: NDArray[np.uint8]
    real: NDArray[np.float32]
    labels: NDArray[np.int64]
    raw: bool


def choose_questions(
    reference: Side, quantized: Side, models: tuple[Model, Model], data: str | None, count: int
) -> Questions:
    """Draws images from the validation split, which no model was trained or calibrated on; never from the test split.

    Args:
        reference: The float file.
        quantized: The other.
        models: Both, loaded.
        data: The data set's source; None for the one that a bundle's model was trained on.
        count: How many images; fewer where the split has fewer.

    Raises:
        InvalidInputError: If no data set is told of, it does not fit, or neither file says what is done to pixels.
        NotFoundError: If the source does not exist.
    """
    for model in models:
        if len(model.inputs) != 1 or len(model.outputs) != 1 or len(model.outputs[0].shape) != 2:
            raise InvalidInputError(
                f"this command compares classifiers with one input, got {len(model.inputs)} inputs and "
                f"{len(model.outputs)} outputs; liteport.runtime.comparison.compare_files takes any model"
            )
    dataset = _dataset(reference, quantized, models[0], data)
    cards = [model.card for model in models if model.card is not None]
    if not cards:
        raise InvalidInputError(
            f"neither {reference.name} nor {quantized.name} says what is done to pixels; compare files that liteport "
            "exported, or use liteport.runtime.comparison.compare_files"
        )
    split = dataset.validation
    chosen = np.sort(np.random.default_rng(0).permutation(len(split.images))[:count])
    pixels = split.images[chosen]
    preprocessing = cards[0].inputs[0].preprocessing
    real = pixels * np.asarray(preprocessing.scale, np.float64) + np.asarray(preprocessing.offset, np.float64)
    labels = np.asarray(split.labels[chosen], np.int64)
    return Questions(dataset.name, pixels, real.astype(np.float32), labels, len(cards) == len(models))


def _dataset(reference: Side, quantized: Side, model: Model, data: str | None) -> Dataset:
    for side in (reference, quantized):
        if side.bundle is not None and side.variant is not None:
            dataset = resolve(side.bundle.path, data, [side.variant])[0].data
            assert dataset is not None, "of a bundle it is always known"
            return dataset
    if data is None:
        raise InvalidInputError("a lone file does not tell what it was trained on; name the data: --data SOURCE")
    dataset = load_for_model(data, model.input.shape)
    expected, classes = model.input.shape[1:], model.outputs[0].shape[-1]
    if tuple(dataset.input_shape) != tuple(expected) or len(dataset.class_names) != classes:
        raise InvalidInputError(
            f"{dataset.name} has images of shape {dataset.input_shape} in {len(dataset.class_names)} classes; "
            f"{reference.name} expects {tuple(expected)} in {classes}"
        )
    return dataset
