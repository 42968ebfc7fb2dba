"""Which tensors of a float file and of a quantized file of one model are the same, and which layer makes them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from .activations import is_quantized, may_be_real
from .contents import Contents, Op
from .layer_names import LayerNames, parts
from .noise import Grid

QUANTIZE = ("QUANTIZE", "QuantizeLinear")
DEQUANTIZE = ("DEQUANTIZE", "DequantizeLinear")
WEIGHTED = {
    "CONV_2D": 0,
    "DEPTHWISE_CONV_2D": 3,
    "TRANSPOSE_CONV": 0,
    "FULLY_CONNECTED": 0,
    "Conv": 0,
    "ConvTranspose": 1,
    "Gemm": -1,
    "MatMul": -1,
}
"""Operations whose second input is a constant with a dimension of output channels, and which that is."""

_PASSES_WEIGHTS_ON = (*DEQUANTIZE, *QUANTIZE, "Cast")
_FARTHEST = 6  # operations between a tensor and the one with weights that it comes from: bias, activation, Q and DQ


@dataclass(frozen=True)
class Weights:
    """The constants that hold a layer's weights in the two files, and the operation they belong to."""

    tensor: str
    quantized_tensor: str
    op: str


@dataclass(frozen=True)
class Match:
    """A tensor that both files have.

    Attributes:
        tensor: Its name in the float file.
        quantized_tensor: Its name in the quantized file: of the integers, where it is quantized.
        grid: What it can hold in the quantized file; None where it is float there.
        is_input: Whether it is an input of the model.
        layer: The Keras layer or layers that lead to it.
        op: The float file's operations that do.
        covers: The tensors that these make, in order; `tensor` is the last.
        inputs: The matched tensors that these start from.
        weights: The weights among their constants.
    """

    tensor: str
    quantized_tensor: str
    grid: Grid | None
    is_input: bool
    layer: str
    op: str
    covers: tuple[str, ...]
    inputs: tuple[str, ...]
    weights: Weights | None


class Graph:
    """A file's operations, and where each tensor comes from."""

    def __init__(self, contents: Contents) -> None:
        """Takes what is in a file."""
        self.contents = contents
        self.producers: dict[int, Op] = {index: op for op in contents.ops for index in op.outputs if index >= 0}
        self._stands_for = self._quantized_forms()

    def _quantized_forms(self) -> dict[int, int]:
        """The integers that a float tensor becomes, or that it comes from, by way of a Q or DQ operation."""
        forms: dict[int, int] = {}
        for op in self.contents.ops:
            if op.kind in QUANTIZE:
                forms.setdefault(op.inputs[0], op.outputs[0])
            elif op.kind in DEQUANTIZE:
                forms[op.outputs[0]] = op.inputs[0]
        return forms

    def integers(self, index: int) -> int | None:
        """Returns the quantized tensor that holds this one's values: itself, or beyond a Q or DQ; else None."""
        for candidate in (index, self._stands_for.get(index)):
            if candidate is not None and is_quantized(self.contents.tensors[candidate]):
                return candidate
        return None

    def constant(self, index: int) -> int | None:
        """Returns the constant that a tensor is, or that it is dequantized or cast from; else None."""
        for _ in range(_FARTHEST):
            if index < 0 or self.contents.tensors[index].constant:
                return index if index >= 0 else None
            op = self.producers.get(index)
            if op is None or op.kind not in _PASSES_WEIGHTS_ON:
                return None
            index = op.inputs[0]
        return None

    def sources(self, op: Op) -> list[int]:
        """Returns an operation's inputs that depend on the model's."""
        return [index for index in op.inputs if index >= 0 and self.constant(index) is None]

    def weights(self, op: Op) -> int | None:
        """Returns the constant with an operation's weights; None where it has none."""
        return self.constant(op.inputs[1]) if op.kind in WEIGHTED and len(op.inputs) > 1 else None

    def weighted_before(self, index: int, kind: str) -> int | None:
        """Returns the weights of the operation of that kind which a tensor comes from by a few others; else None."""
        for _ in range(_FARTHEST):
            op = self.producers.get(index)
            if op is None:
                return None
            if op.kind == kind:
                return self.weights(op)
            sources = self.sources(op)
            if len(sources) != 1:
                return None
            index = sources[0]
        return None


def match_tensors(reference: Contents, quantized: Contents) -> tuple[Match, ...]:
    """Matches the tensors of a float file with those of a quantized file of the same engine, by name.

    A TFLite operation that does the work of several is named after all of them, "a;b;c": any part will do.

    Args:
        reference: What is in the float file.
        quantized: What is in the quantized file.

    Returns:
        In the order of computation. Inputs of the model are among them where the quantized file has them quantized.
    """
    graph, other = Graph(reference), Graph(quantized)
    mine, theirs = _computed(reference), _computed(quantized)
    found = _pair(reference, mine, quantized, theirs)
    names = LayerNames(reference.tensors[index].name for index in mine)
    inputs = set(reference.inputs)
    pairs = []
    for index in mine:
        if index not in found:
            continue
        integers = other.integers(found[index])
        if index in inputs and integers is None:
            continue  # a float input: equal by definition, and no layer makes it
        pairs.append(_match(graph, other, index, found, integers, names))
    return tuple(pairs)


def _computed(contents: Contents) -> list[int]:
    """The tensors that may hold real values and are no constants, in the order in which they come to be."""
    made = [index for op in contents.ops for index in op.outputs if index >= 0]
    return [i for i in dict.fromkeys((*contents.inputs, *made)) if may_be_real(contents.tensors[i])]


def _pair(reference: Contents, mine: list[int], quantized: Contents, theirs: list[int]) -> dict[int, int]:
    """Indices in the quantized file by indices in the float file."""
    exact = {quantized.tensors[index].name: index for index in theirs}
    found = {i: exact[reference.tensors[i].name] for i in mine if reference.tensors[i].name in exact}
    taken = set(found.values())
    counts = Counter(part for index in theirs for part in parts(quantized.tensors[index].name))
    by_part = {
        part: index
        for index in theirs
        if index not in taken
        for part in parts(quantized.tensors[index].name)
        if counts[part] == 1
    }
    # From the end: where the quantized file fuses what the float file does in steps, its result is the last step's.
    for index in reversed(mine):
        if index not in found:
            for part in parts(reference.tensors[index].name):
                if by_part.get(part) not in (None, *taken):
                    found[index] = by_part[part]
                    taken.add(by_part[part])
                    break
    return found


def _match(
    graph: Graph, other: Graph, index: int, found: Mapping[int, int], integers: int | None, names: LayerNames
) -> Match:
    tensors = graph.contents.tensors
    ops, inputs = _way(graph, index, found)
    covers = [tensors[output].name for op in ops for output in op.outputs if output >= 0]
    weights = _weights(graph, other, ops, found[index])
    theirs = other.contents.tensors[found[index] if integers is None else integers]
    return Match(
        tensor=tensors[index].name,
        quantized_tensor=theirs.name,
        grid=None if integers is None else Grid(theirs.scales[0], (*theirs.zero_points, 0)[0], theirs.dtype),
        is_input=index in graph.contents.inputs,
        layer=names.of(graph.contents, index, [*([weights.tensor] if weights else []), *covers]),
        op="+".join(op.kind for op in ops) or "input",
        covers=tuple(covers),
        inputs=tuple(tensors[i].name for i in inputs),
        weights=weights,
    )


def _way(graph: Graph, index: int, found: Mapping[int, int]) -> tuple[list[Op], list[int]]:
    """The operations that make a tensor out of the matched ones nearest to it, in order, and these."""
    ops: list[Op] = []
    inputs: dict[int, None] = {}
    pending = [index]
    while pending:
        op = graph.producers.get(pending.pop())
        if op is None or op in ops or not any(may_be_real(graph.contents.tensors[i]) for i in op.outputs if i >= 0):
            continue  # shapes are no values
        ops.insert(0, op)
        for source in graph.sources(op):
            if source in found or source in graph.contents.inputs:
                inputs[source] = None
            else:
                pending.append(source)
    return ops, list(inputs)


def _weights(graph: Graph, other: Graph, ops: list[Op], index: int) -> Weights | None:
    for op in ops:
        mine = graph.weights(op)
        theirs = None if mine is None else other.weighted_before(index, op.kind)
        if mine is not None and theirs is not None:
            return Weights(graph.contents.tensors[mine].name, other.contents.tensors[theirs].name, op.kind)
    return None
