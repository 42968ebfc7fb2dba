"""What a user may give as calibration or verification data, and its reading into arrays by input name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError, LiteportError, NotFoundError
from liteport.foreign import FOREIGN_ERRORS, one_line
from liteport.runtime import TensorSpec
from liteport.runtime.images import open_image
from liteport.runtime.inputs import Input
from liteport.runtime.preprocessing import to_batch
from liteport.train import Dataset, load_dataset
from liteport.train.datasets import is_image_folder
from liteport.train.sources.image_files import ImageFiles
from liteport.train.sources.image_folders import SPLITS, split_folders

_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
_LABELS = "labels"  # an .npz may hold them beside the inputs


@dataclass(frozen=True)
class Samples:
    """Inputs of a model, with or without labels.

    Attributes:
        inputs: By input name, (N, ...) each: uint8 raw pixels, or model input.
        labels: (N,) integers, or None.
        source: The data set's name.
        split: Which part of it.
    """

    inputs: Mapping[str, NDArray[Any]]
    labels: NDArray[np.integer] | None
    source: str
    split: str

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def first(self, count: int | None) -> "Samples":
        """Returns the first samples, or all where there are not so many or no count is given."""
        return self if count is None or count >= len(self) else self.take(np.arange(count))

    def take(self, indices: NDArray[np.intp]) -> "Samples":
        """Returns the samples at these indices."""
        labels = None if self.labels is None else self.labels[indices]
        return Samples({name: array[indices] for name, array in self.inputs.items()}, labels, self.source, self.split)


@dataclass(frozen=True)
class ImageFolder:
    """Paths of images, of which only those that are drawn get opened; labels where each lies in its class's folder."""

    path: Path
    files: tuple[Path, ...]
    labels: NDArray[np.integer] | None
    classes: tuple[str, ...] = ()


def named(given: Any, seed: int) -> Any:
    """Finds the data that a text or path stands for; all else passes.

    Args:
        given: The name of a data set for `load_dataset`; an `.npy` file; an `.npz` file in the layout of a data set
            or with an array per input (and perhaps `labels`); a folder of IDX files; or a folder of images, in folders
            by class or not. Of a folder that is split the train split is taken.
        seed: How a data set is split: what a training held out stays held out.

    Raises:
        NotFoundError: If there is no such file.
        InvalidInputError: If it is none of these.
    """
    if not isinstance(given, (str, Path)):
        return given
    if not str(given):
        raise InvalidInputError("the name of the data is empty; expected a data set, a file or a folder of images")
    path = Path(given)
    if is_image_folder(path):
        splits = split_folders(path)
        return _image_folder(splits["train"] if splits else path)
    if path.suffix not in (".npy", ".npz"):
        return load_dataset(given, seed=seed)
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist; expected arrays of model inputs")
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            if "x_train" in loaded:
                return load_dataset(given, seed=seed)
            arrays = {name: loaded[name] for name in loaded.files}
    except LiteportError:  # of a data set, which says all there is to say
        raise
    except FOREIGN_ERRORS as error:
        raise InvalidInputError(f"{path} cannot be read as arrays: {one_line(error, 200)}") from error
    labels = arrays.pop(_LABELS, None)
    inputs = next(iter(arrays.values())) if len(arrays) == 1 else arrays
    return inputs if labels is None else (inputs, labels)


def in_class_order(given: Any, class_names: Sequence[str] | None) -> Any:
    """Numbers the classes of a folder of images as the model does, where its folders are called as its classes are.

    Args:
        given: An `ImageFolder`; all else passes.
        class_names: The model's, or None: folders are then numbered in their alphabetical order, as Keras's
            `image_dataset_from_directory` does.
    """
    if not isinstance(given, ImageFolder) or given.labels is None or class_names is None:
        return given
    if not set(given.classes) <= set(class_names):
        return given
    order = np.array([class_names.index(name) for name in given.classes])
    return replace(given, labels=order[given.labels], classes=tuple(class_names))


def pools(
    given: Any, what: str, specs: Sequence[TensorSpec], limit: int
) -> tuple["Samples | ImageFolder", Samples | None]:
    """Reads what the user gives.

    Args:
        given: A `Dataset`, an `ImageFolder`, an array, a list or dictionary of arrays (several inputs), any of these
            in a pair with labels, an iterable of single samples or batches of those, or a function that returns one.
        what: Its purpose, which is its name where it has none.
        specs: The model's inputs.
        limit: How many samples are taken from an iterable, which may be endless.

    Returns:
        What to draw from, and what is held out where the data has a split of its own for that.

    Raises:
        InvalidInputError: If it does not fit the model, or holds no samples.
    """
    if isinstance(given, Dataset):
        _one_image(specs, given.name)
        train, validation = (
            _samples(part.images, part.labels, given.name, split, specs)
            for part, split in ((given.train, "train"), (given.validation, "validation"))
        )
        return train, validation
    if isinstance(given, ImageFolder):
        _one_image(specs, str(given.path))
        if what == "calibration" and given.path.resolve().name.lower() == "test":
            raise InvalidInputError(
                f"{given.path} is a test split, to go by its name; calibrate on images of the train split"
            )
        return given, None
    source = what
    if callable(given):
        given = given()
    if not isinstance(given, (np.ndarray, Mapping, list, tuple)) and isinstance(given, Iterable):
        inputs, labels = _collected(given, specs, limit, what)
        source = f"{what} iterable"
    else:
        inputs, labels = _with_labels(given, specs)
    return _samples(inputs, labels, source, "given", specs), None


def opened(folder: ImageFolder, indices: NDArray[np.intp], spec: TensorSpec) -> Samples:
    """Opens some of a folder's images at the size of the model's input.

    Raises:
        InvalidInputError: If one cannot be read; the message names it.
    """
    height, width, channels = (int(size or 0) for size in spec.shape[1:])
    images = np.stack([open_image(folder.files[index], height, width, channels) for index in indices])
    labels = None if folder.labels is None else folder.labels[indices]
    return Samples({spec.name: images}, labels, folder.path.resolve().name, "given")


def _image_folder(path: Path) -> ImageFolder:
    files = tuple(sorted(file for file in path.rglob("*") if file.suffix.lower() in _IMAGE_SUFFIXES))
    if not files:
        raise InvalidInputError(f"{path} holds no images; expected files such as .png or .jpg")
    folders = [file.relative_to(path).parts[0] for file in files if len(file.relative_to(path).parts) > 1]
    if len(folders) != len(files):
        return ImageFolder(path, files, None)
    classes = sorted(set(folders))
    if set(SPLITS).issuperset(name.lower() for name in classes):
        raise InvalidInputError(
            f"{path} holds splits ({', '.join(classes)}), not classes; name the folder of one of them"
        )
    return ImageFolder(path, files, np.array([classes.index(name) for name in folders]), tuple(classes))


def _one_image(specs: Sequence[TensorSpec], source: str) -> None:
    if len(specs) != 1 or len(specs[0].shape) != 4:
        names = {spec.name: spec.shape for spec in specs}
        raise InvalidInputError(
            f"{source} holds images, the model takes {names}; give a dictionary with an array for each input"
        )


def _with_labels(given: Any, specs: Sequence[TensorSpec]) -> tuple[Any, Any]:
    """Takes a pair (inputs, labels) apart. For a model of two inputs a pair of arrays is those two."""
    if isinstance(given, tuple) and len(given) == 2 and (len(specs) != 2 or not _is_array(given[0])):
        return given
    return given, None


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape")


def _collected(given: Iterable[Any], specs: Sequence[TensorSpec], limit: int, what: str) -> tuple[Any, Any]:
    """Joins the samples or batches that an iterable gives, until there are enough."""
    parts: list[Samples] = []
    count = 0
    for number, item in enumerate(given):
        inputs, labels = _with_labels(item, specs)
        parts.append(_samples(inputs, labels, f"{what} item {number}", "given", specs))
        count += len(parts[-1])
        if count >= limit:
            break
    if not parts:
        raise InvalidInputError(f"{what} iterable gives no samples")
    for spec in specs:
        if len(kinds := {part.inputs[spec.name].dtype.name for part in parts}) > 1:  # joined, pixels would become input
            raise InvalidInputError(
                f"{what} iterable gives {' and '.join(sorted(kinds))} for {spec.name!r}; expected raw pixels (uint8) "
                "or prepared model input (floating) throughout"
            )
    joined = {spec.name: np.concatenate([part.inputs[spec.name] for part in parts]) for spec in specs}
    known = [part.labels for part in parts if part.labels is not None]
    if known and len(known) < len(parts):
        raise InvalidInputError(
            f"{what} iterable gives labels with {len(known)} of {len(parts)} items; expected all or none"
        )
    return joined, np.concatenate(known) if known else None


def _samples(inputs: Any, labels: Any, source: str, split: str, specs: Sequence[TensorSpec]) -> Samples:
    by_name = _by_name(inputs, specs, source)
    arrays = {spec.name: _checked(by_name[spec.name], spec, source) for spec in specs}
    counts = {len(array) for array in arrays.values()}
    if counts == {0}:
        raise InvalidInputError(f"{source} ({split}) holds no images")
    if len(counts) > 1:
        raise InvalidInputError(
            f"{source} ({split}) has {sorted(counts)} samples for its inputs, expected as many of each"
        )
    count = counts.pop()
    if labels is not None:
        labels = np.atleast_1d(np.asarray(labels))
        if labels.shape != (count,) or labels.dtype.kind not in "iu":
            raise InvalidInputError(
                f"{source} ({split}) has {count} images but labels of shape {labels.shape} and type {labels.dtype}; "
                "expected one class index each"
            )
    return Samples(arrays, labels, source, split)


def _by_name(inputs: Any, specs: Sequence[TensorSpec], source: str) -> Mapping[str, Any]:
    names = [spec.name for spec in specs]
    if isinstance(inputs, Mapping):
        if set(inputs) != set(names):
            raise InvalidInputError(f"{source} has the inputs {sorted(inputs)}; expected {names}")
        return inputs
    if len(names) == 1:
        # [array], as a TFLite representative data set yields, or the array itself
        single = isinstance(inputs, (list, tuple)) and len(inputs) == 1 and np.ndim(inputs[0]) == len(specs[0].shape)
        return {names[0]: inputs[0] if single else inputs}
    if not isinstance(inputs, (list, tuple)) or len(inputs) != len(names):
        raise InvalidInputError(
            f"{source} is {_described(inputs)}; expected a dictionary with {names}, or a list of as many"
        )
    return dict(zip(names, inputs, strict=True))


def _described(value: Any) -> str:
    return f"an array of shape {value.shape}" if _is_array(value) else f"a {type(value).__name__}"


def _checked(values: Any, spec: TensorSpec, source: str) -> Any:
    """Gives an array its batch dimension; floating inputs may be raw pixels, which stay. Images in files stay there."""
    if isinstance(values, ImageFiles):
        _checked(values[:1], spec, source)
        return values
    if spec.dtype.startswith("float"):
        return to_batch(values, spec.shape, f"{source} images", spec.dtype)
    return Input(spec, None).prepare(values)
