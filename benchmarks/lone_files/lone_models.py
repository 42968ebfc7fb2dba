"""Model files without a bundle, read and matched with each other."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from liteport.errors import InvalidInputError, LiteportError, NotFoundError
from liteport.runtime import Preprocessing
from liteport.runtime.backends import EXPECTED, RUNNABLE
from liteport.runtime.card import ModelCard
from liteport.runtime.inputs import Input
from liteport.runtime.lone_file import read_lone_file

from .tensor_matching import match
from .tensor_specs import Specs, read_specs


@dataclass(frozen=True, eq=False)
class LoneModel:
    """A model file.

    Attributes:
        path: The file.
        content: What is in it.
        card: What it says of itself; None where liteport did not write it.
        inputs: Its inputs, in the order of the first file's.
        outputs: Its outputs, in their own order.
        output_order: For each of the first file's outputs the index of this file's own.
        notes: How inputs and outputs were matched, where that is worth saying.
    """

    path: Path
    content: bytes = field(repr=False)
    card: ModelCard | None
    inputs: Specs
    outputs: Specs
    output_order: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def checker(self, index: int) -> Input:
        """Returns what checks values for an input as `Model` does."""
        spec = self.inputs[index]
        infos = self.card.inputs if self.card else ()
        preprocessing: Preprocessing | None = next((i.preprocessing for i in infos if i.name == spec.name), None)
        return Input(spec, preprocessing)

    def fixed_items(self, index: int) -> int | None:
        """Returns the only number of items that an input takes; None where it takes any.

        A file of liteport's does: its items are known to be such, and are run in parts.
        """
        shape = self.inputs[index].shape
        return shape[0] if shape and self.card is None else None


def read_models(paths: Sequence[Path]) -> list[LoneModel]:
    """Reads model files that compute the same.

    Raises:
        NotFoundError: If one does not exist.
        IntegrityError: If one is damaged.
        InvalidInputError: If none is given, one is given twice, is no model file, or does not fit the first.
    """
    if not paths:
        raise InvalidInputError("no model file was given; expected the paths of some")
    if len({path.resolve() for path in paths}) < len(paths):
        raise InvalidInputError(f"a file was given twice: {', '.join(map(str, paths))}")
    models = [_read(path) for path in paths]
    return [_matched(model, models[0]) for model in models]


def _read(path: Path) -> LoneModel:
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist; expected {EXPECTED}")
    if path.suffix not in RUNNABLE:
        raise InvalidInputError(f"{path} is no model; expected {EXPECTED}")
    try:
        file = read_lone_file(path)
        inputs, outputs = read_specs(file.content, path.suffix)
        if not inputs or not outputs:
            raise InvalidInputError(
                f"it has {len(inputs)} inputs and {len(outputs)} outputs; expected one of each at least"
            )
    except LiteportError as error:
        raise type(error)(f"{path}: {error}") from error
    return LoneModel(path, file.content, file.card, inputs, outputs)


def _matched(model: LoneModel, first: LoneModel) -> LoneModel:
    try:
        inputs, of_inputs = match(model.inputs, first.inputs, "input")
        outputs, of_outputs = match(model.outputs, first.outputs, "output")
    except InvalidInputError as error:
        raise InvalidInputError(f"{model.path} cannot be compared with {first.path}: {error}") from error
    return replace(
        model,
        inputs=tuple(model.inputs[index] for index in inputs),
        output_order=outputs,
        notes=tuple(f"{model.path.name}: {note}" for note in (of_inputs, of_outputs) if note),
    )
