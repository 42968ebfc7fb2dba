"""The text of an ncnn model: layers in the order in which they run, a line each.

https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .limits import Source

NAME = "the ncnn model"

_MAGIC = "7767517"
_FIXED_FIELDS = 4  # kind, name, how many inputs and outputs
_FIRST_ARRAY = -23300  # the key of parameter 0 where its value is a list; that of parameter 1 is one below
_LONGEST_NAME = 255  # what ncnn has room for
_INPUT = "Input"
_WIDTH, _HEIGHT, _CHANNELS, _DEPTH = 0, 1, 2, 11  # an Input layer's parameters


@dataclass(frozen=True)
class Layer:
    """A line.

    Attributes:
        kind: What it computes.
        name: Its name.
        inputs: The values that it takes, by name.
        outputs: The values that it makes.
        parameters: By their number, as text.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: Mapping[int, str]

    def integer(self, number: int, default: int = 0) -> int:
        """Returns a parameter; the default where it is not stated or is no whole number."""
        text = self.parameters.get(number, "")
        return int(text) if text.lstrip("-").isdigit() else default

    @property
    def is_input(self) -> bool:
        """Whether it stands for an input of the model."""
        return self.kind == _INPUT

    def input_shape(self) -> tuple[int | None, ...]:
        """Of an Input layer what `Model` takes: the batch, then height, width and channels as far as there are any.

        () where sizes are not stated, or there are more.
        """
        width, height, channels, depth = (self.integer(key) for key in (_WIDTH, _HEIGHT, _CHANNELS, _DEPTH))
        if depth or width < 1 or (channels and height < 1):
            return ()
        return None, *(size for size in (height, width, channels) if size > 0)


def read_layers(source: Source, text: bytes) -> tuple[Layer, ...]:
    """Reads the layers.

    Args:
        source: Of the whole model, whose budget is used.
        text: The `.param` file.

    Raises:
        IntegrityError: If it is damaged, or a value is used before it is made or made twice.
    """
    source.spend(len(text))
    try:
        lines = [line for line in text.decode().splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise source.damaged("its list of layers is no text") from error
    if not lines or lines[0].strip() != _MAGIC:
        raise source.damaged(f"its list of layers begins with {(lines or [''])[0][:40]!r}, expected {_MAGIC}")
    counts = [int(word) for word in lines[1].split() if word.isdigit()] if len(lines) > 1 else []
    if len(counts) != 2 or len(lines) - 2 < counts[0]:
        raise source.damaged(f"it lists {max(0, len(lines) - 2)} layers and states {counts[:1] or 'no number of them'}")
    layers = tuple(_layer(source, line) for line in lines[2 : 2 + counts[0]])
    made = _check_order(source, layers)
    if made != counts[1]:
        raise source.damaged(f"its layers make {made} values and it states {counts[1]}")
    return layers


def _layer(source: Source, line: str) -> Layer:
    kind, name, *rest = (*line.split(), "", "")
    counts = [int(word) if word.isdigit() else -1 for word in rest[:2]]
    end = _FIXED_FIELDS - 2 + sum(counts)
    if len(counts) < 2 or min(counts) < 0 or len(rest) - 2 < end:
        raise source.damaged(f"{line[:80]!r} is no layer")
    values = rest[2:end]
    if max(map(len, (kind, name, *values))) > _LONGEST_NAME:
        raise source.damaged(f"{line[:80]!r} has a name of more than {_LONGEST_NAME} letters")
    parameters = dict(_parameters(source, rest[end:-2]))
    return Layer(kind, name, tuple(values[: counts[0]]), tuple(values[counts[0] :]), parameters)


def _parameters(source: Source, words: Sequence[str]) -> Iterator[tuple[int, str]]:
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.lstrip("-").isdigit():
            raise source.damaged(f"{word[:80]!r} is no parameter of a layer")
        number = int(key)
        yield (_FIRST_ARRAY - number if number <= _FIRST_ARRAY else number), value


def _check_order(source: Source, layers: Sequence[Layer]) -> int:
    """Checks that each value is made once and before it is used; returns how many there are."""
    made: set[str] = set()
    for layer in layers:
        for name in layer.inputs:
            if name not in made:
                raise source.damaged(f"layer {layer.name[:80]!r} takes {name[:80]!r} before anything makes it")
        for name in layer.outputs:
            if name in made:
                raise source.damaged(f"{name[:80]!r} is made twice")
            made.add(name)
    if not any(layer.is_input for layer in layers) or all(layer.is_input for layer in layers):
        raise source.damaged("it has no input, or no layer besides")
    return len(made)
