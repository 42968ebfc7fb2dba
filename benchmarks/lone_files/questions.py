"""What model files without a bundle are asked: a given input, a data set's images, or random numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError
from liteport.runtime import TensorSpec
from liteport.train import Dataset
from liteport.train.sources.image_files import ImageFiles

from .given_input import LABELS, read_given
from .lone_models import LoneModel
from .tensor_matching import AS_IT_IS, laid_out, layout

Values = NDArray[Any] | ImageFiles
"""Items in memory, or images that are read when they are indexed."""

RANDOM = "random"
SCALED = "pixels / 255"


@dataclass(frozen=True, eq=False)
class Question:
    """What all files are asked.

    Attributes:
        values: For each of the first file's inputs, items first.
        source: Where they are from.
        labels: The right class of each item, (N,); None where there are none to judge the answers by.
        pixels: Whether the values are raw pixels, which files without liteport's card are given divided by 255.
    """

    values: tuple[Values, ...]
    source: str
    labels: NDArray[np.int64] | None = None
    pixels: bool = False


@dataclass(frozen=True)
class Way:
    """What makes values of a question fit an input of a file.

    Attributes:
        layout: How they are laid out anew; see `tensor_matching.layout`.
        scaled: Whether raw pixels are divided by 255.
    """

    layout: str
    scaled: bool

    def apply(self, values: Values) -> NDArray[Any]:
        """Returns the values as the file takes them."""
        changed = laid_out(np.asarray(values), self.layout)
        return (changed / np.float32(255)).astype(np.float32) if self.scaled else changed


def find_way(model: LoneModel, index: int, question: Question) -> Way:
    """Finds what makes a question's values fit an input.

    Raises:
        InvalidInputError: If nothing does.
    """
    values, spec = question.values[index], model.inputs[index]
    name = layout(values.shape, spec.shape)
    if name is None or (model.card is not None and name != AS_IT_IS and question.pixels):
        raise InvalidInputError(
            f"{question.source} has the shape {values.shape}; {model.path} expects {[*spec.shape]} for {spec.name!r}"
        )
    takes_bytes = spec.dtype == "uint8" and spec.scale is None
    return Way(name, question.pixels and model.card is None and not takes_bytes)


def of_given(path: Path, models: Sequence[LoneModel]) -> Question:
    """Reads a user's input.

    Raises:
        NotFoundError: If there is no such file.
        InvalidInputError: If it is not one array for each input of the files, by one file's names.
    """
    known = [[spec.name for spec in model.inputs] for model in models]
    given = read_given(path, known)
    if len(known[0]) == len(given.values) == 1:
        values = tuple(given.values.values())
    else:
        names = next((names for names in known if set(names) == set(given.values)), None)
        if names is None:
            found = "one array" if "" in given.values else f"{sorted(given.values)}"
            raise InvalidInputError(f"{path} holds {found}; expected an .npz with an array for each of {known[0]}")
        values = tuple(given.values[name] for name in names)
    values = tuple(_with_items(array, index, models) for index, array in enumerate(values))
    if given.labels is not None:
        classes = _classes(models)
        if classes is None or given.labels.max() >= classes or len(models[0].inputs) != 1:
            raise InvalidInputError(
                f"{LABELS} of {path} are classes up to {given.labels.max()}; expected files with one input and an "
                f"output (N, classes), but {models[0].path} has {[[*spec.shape] for spec in models[0].outputs]}"
            )
    return Question(values, path.name, given.labels)


def _with_items(values: NDArray[Any], index: int, models: Sequence[LoneModel]) -> NDArray[Any]:
    """Gives a single item the dimension of items, where that makes it fit."""
    shapes = [model.inputs[index].shape for model in models]
    if any(layout(values.shape, shape) is not None for shape in shapes):
        return values
    return values[np.newaxis] if any(layout((1, *values.shape), shape) is not None for shape in shapes) else values


def of_data(data: Dataset, models: Sequence[LoneModel]) -> Question:
    """Takes a data set's test split; its labels judge answers where all files have one output (N, classes).

    Raises:
        InvalidInputError: If a file has several inputs, or classes of another number.
    """
    many = next((model for model in models if len(model.inputs) != 1), None)
    if many is not None:
        raise InvalidInputError(
            f"{many.path} has {len(many.inputs)} inputs; a data set has images for one, so give an input: --input"
        )
    classes = _classes(models)
    if classes not in (None, len(data.class_names)):
        raise InvalidInputError(f"{data.name} has {len(data.class_names)} classes; {models[0].path} has {classes}")
    return Question((data.test.images,), data.name, data.test.labels if classes else None, pixels=True)


def _classes(models: Sequence[LoneModel]) -> int | None:
    """Returns how many classes the files tell apart; None where one is no classifier or does not say."""
    sizes = {spec.shape[1] if len(spec.shape) == 2 else None for model in models for spec in model.outputs}
    single = all(len(model.outputs) == 1 for model in models)
    return sizes.pop() if single and len(sizes) == 1 else None


def items_at_once(models: Sequence[LoneModel], index: int) -> int | None:
    """Returns the only number of items that the first choosy file takes for an input; None where all take any."""
    return next((size for model in models if (size := model.fixed_items(index)) is not None), None)


def of_chance(models: Sequence[LoneModel], batch: int | None, seed: int) -> Question:
    """Draws random numbers: see `foreign.resolve_files`.

    Raises:
        InvalidInputError: If no file tells an input's sizes.
    """
    rng = np.random.default_rng(seed)
    return Question(tuple(_drawn(models, index, batch, rng) for index in range(len(models[0].inputs))), RANDOM)


def _drawn(models: Sequence[LoneModel], index: int, batch: int | None, rng: np.random.Generator) -> NDArray[Any]:
    specs = [model.inputs[index] for model in models]
    known = next((spec for spec in specs if spec.shape and None not in spec.shape[1:]), None)
    if known is None:
        first, shape = specs[0], [*specs[0].shape]
        raise InvalidInputError(
            f"{models[0].path} does not tell the sizes of {first.name!r}, {shape}; give an input: --input FILE "
            "(input_file=), a .npy or an .npz by the inputs' names"
        )
    items = batch or items_at_once(models, index) or items_at_once(models, 0) or 1
    return _numbers(specs[0], (items, *(size or 1 for size in known.shape[1:])), rng)


def _numbers(spec: TensorSpec, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[Any]:
    if spec.scale is not None or spec.dtype.startswith("float"):
        return rng.random(shape, np.float32)
    most = 256 if spec.dtype == "uint8" else 2
    return rng.integers(0, most, shape).astype(spec.dtype)
