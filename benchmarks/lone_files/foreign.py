"""Model files that need no bundle: what each of them is asked, so that their answers can be compared."""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError
from liteport.train import Dataset
from liteport.train.datasets import load_for_model

from ..inputs import Candidate
from .agreement import agreement
from .lone_models import LoneModel, read_models
from .questions import SCALED, Question, Values, Way, find_way, items_at_once, of_chance, of_data, of_given

__all__ = ["ForeignFile", "ForeignFiles", "agreement", "resolve_files"]


@dataclass(frozen=True, eq=False)
class ForeignFile:
    """A model file, and what it is asked.

    Attributes:
        candidate: The file.
        inputs: What `Model.run` takes: an array by each of its inputs' names.
        output_order: For each of the first file's outputs the index of this file's own.
    """

    candidate: Candidate
    inputs: Mapping[str, NDArray[Any]]
    output_order: tuple[int, ...]
    _values: Values = field(repr=False)
    _way: Way = field(repr=False)

    def save_inputs(self, path: Path) -> None:
        """Writes `inputs` as an .npz; `numpy.savez` would take an input called "file" for its own argument."""
        with zipfile.ZipFile(path, "w") as archive:
            for name, values in self.inputs.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, values, allow_pickle=False)

    def items(self, chosen: slice | NDArray[np.int64] = slice(None)) -> NDArray[Any]:
        """Returns some of all the items that there are labels for, as `Model.predict` of this file takes them."""
        return self._way.apply(self._values[chosen])


@dataclass(frozen=True, eq=False)
class ForeignFiles:
    """Model files that are compared with each other.

    Attributes:
        files: The files, in the order given.
        count: How many items one `run` of `ForeignFile.inputs` is about.
        source: What is asked: "random", a file's name or a data set's; and what is done to its pixels.
        notes: What was done so that all files are asked the same and compared, a sentence each.
        labels: The right class of each of all items, (N,) int64; None where the answers cannot be judged by such.
        data: The data set, where one was named.
    """

    files: tuple[ForeignFile, ...]
    count: int
    source: str
    notes: tuple[str, ...]
    labels: NDArray[np.int64] | None
    data: Dataset | None


def resolve_files(
    paths: Sequence[Path],
    *,
    input_file: Path | None = None,
    data: str | Path | Dataset | None = None,
    batch: int | None = None,
    seed: int = 0,
) -> ForeignFiles:
    """Reads model files and decides what they are asked; none is given to an engine here.

    They are asked about a given input, or a data set's test images, or else random numbers: uniform from 0 to 1 where
    the input is real (or quantized), any byte where it is uint8, and 0 or 1 where it is another integer, which most
    often is an index or a mask. Images are raw pixels for files that say what to do with such, and for others pixels
    divided by 255. Inputs that differ between files only as NHWC and NCHW, or by a single channel, are laid out anew.

    Args:
        paths: `.tflite` and `.onnx` files that compute the same. Inputs and outputs are matched with the first file's.
        input_file: A .npy for one input; an .npz by the inputs' names, and with `labels` if wished.
        data: A data set, or its source.
        batch: How many items one inference is about, unless an input without labels says so; None for as many as a
            file takes that takes one number only, or else 1.
        seed: Of random numbers.

    Raises:
        NotFoundError: If a file does not exist.
        IntegrityError: If a file is damaged.
        InvalidInputError: If something is no model, or files, input, data and labels do not fit each other.
    """
    if input_file is not None and data is not None:
        raise InvalidInputError("both an input and a data set are given; expected one of them: --input or --data")
    models = read_models(paths)
    dataset = load_for_model(data, models[0].inputs[0].shape) if isinstance(data, (str, Path)) else data
    if input_file is not None:
        question = of_given(input_file, models)
    elif dataset is not None:
        question = of_data(dataset, models)
    else:
        question = of_chance(models, batch, seed)
    asked: tuple[Values, ...] = question.values
    if question.pixels or question.labels is not None:  # of which one inference takes some
        asked = (question.values[0][: batch or items_at_once(models, 0) or 1],)
    ways = [[find_way(model, index, question) for index in range(len(model.inputs))] for model in models]
    scaled = any(way.scaled for found in ways for way in found)
    return ForeignFiles(
        files=tuple(_file(model, models, found, question, asked) for model, found in zip(models, ways, strict=True)),
        count=len(asked[0]) if asked[0].ndim else 1,
        source=f"{question.source}, {SCALED}" if scaled else question.source,
        notes=tuple(note for model, found in zip(models, ways, strict=True) for note in _notes(model, found)),
        labels=question.labels,
        data=dataset,
    )


def _file(
    model: LoneModel, models: list[LoneModel], ways: list[Way], question: Question, asked: tuple[Values, ...]
) -> ForeignFile:
    names = [other.path.name for other in models]
    name = model.path.name if names.count(model.path.name) == 1 else str(model.path)
    scheme = model.card.scheme if model.card else ""
    arrays = {}
    for index, (spec, way) in enumerate(zip(model.inputs, ways, strict=True)):
        arrays[spec.name] = values = way.apply(asked[index])
        _check(model, index, values, question.source)
    return ForeignFile(
        Candidate(name, scheme, model.path, None, model.path),
        arrays,
        model.output_order,
        question.values[0],
        ways[0],
    )


def _check(model: LoneModel, index: int, values: NDArray[Any], source: str) -> None:
    """Refuses what the file would refuse when it is run."""
    fixed, name = model.fixed_items(index), model.inputs[index].name
    if fixed is not None and values.shape[:1] != (fixed,):
        raise InvalidInputError(
            f"{model.path} takes exactly {fixed} items at once for {name!r}; {source} would be {len(values)}"
        )
    try:
        model.checker(index).check(values, finite=False)
    except InvalidInputError as error:
        raise InvalidInputError(f"{model.path}, asked about {source}: {error}") from error


def _notes(model: LoneModel, ways: list[Way]) -> list[str]:
    changed = [
        f"{model.path.name}: the values for {spec.name!r} are {way.layout}"
        for spec, way in zip(model.inputs, ways, strict=True)
        if way.layout
    ]
    return [*model.notes, *changed]
