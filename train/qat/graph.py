"""A model as data: the class, config, weights and inputs of each layer, to be rewritten and built anew."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError

Shape = tuple[int | None, ...]


@dataclass(frozen=True, eq=False)
class Call:
    """A layer at its place in a model.

    Attributes:
        name: Unique in the model.
        kind: The layer's class.
        config: What `kind.from_config` takes; name and dtype are set when it is built.
        inputs: The names of the calls whose outputs it takes; the model's input has a name of that sort too.
        shape: Of its output, the batch first.
        weights: As `Layer.get_weights` gives them; none leaves those that the layer is made with.
        origin: The name of the layer that it stems from.
        shared: The name of an earlier call whose layer it is, too; empty where the layer is its own.
    """

    name: str
    kind: type[keras.layers.Layer]
    config: Mapping[str, Any]
    inputs: tuple[str, ...]
    shape: Shape
    weights: tuple[NDArray[Any], ...] = ()
    origin: str = ""
    shared: str = ""


@dataclass(frozen=True, eq=False)
class Graph:
    """A model with one input and one output.

    Attributes:
        name: Of the model.
        input: The name of its input.
        input_shape: The batch first.
        calls: Each after those that it takes values from.
        output: The name of the call whose output is the model's.
    """

    name: str
    input: str
    input_shape: Shape
    calls: tuple[Call, ...]
    output: str
    _takers: dict[str, list[Call]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        takers: dict[str, list[Call]] = {name: [] for name in (self.input, *(call.name for call in self.calls))}
        for call in self.calls:
            for name in call.inputs:
                takers[name].append(call)
        object.__setattr__(self, "_takers", takers)

    def only_taker(self, name: str) -> Call | None:
        """Returns the call that takes a value, if it is the only one and the value is not the model's output."""
        takers = self._takers[name]
        return takers[0] if len(takers) == 1 and name != self.output else None


def read(model: keras.Model, sharing: tuple[type[keras.layers.Layer], ...] = ()) -> Graph:
    """Turns a model into data; models within it are dissolved.

    Args:
        model: Sequential or functional, built, with one input and one output.
        sharing: Classes of layers with weights that may be used more than once.

    Raises:
        InvalidInputError: If it is of another kind, uses a layer with weights twice, calls something that is not a
            layer, or gives a layer more than values to take.
    """
    _check_kind(model)
    reader = _Reader(sharing)
    source = model.inputs[0]
    name: str = source._keras_history.operation.name  # there is no public way from a tensor to its layer
    reader.names[name] += 1
    output = reader.add(model, name)
    return Graph(model.name, name, tuple(source.shape), tuple(reader.calls), output)


def build(graph: Graph) -> keras.Model:
    """Builds the model, functional and in float32 whatever Keras's global policy is."""
    values = {graph.input: keras.Input(batch_shape=graph.input_shape, dtype="float32", name=graph.input)}
    made: dict[str, keras.layers.Layer] = {}
    for call in graph.calls:
        config = {**call.config, "name": call.name, "dtype": "float32"}
        layer = made[call.name] = made[call.shared] if call.shared else call.kind.from_config(config)
        taken = [values[name] for name in call.inputs]
        values[call.name] = layer(taken if len(taken) > 1 else taken[0])
        if call.weights:
            layer.set_weights(call.weights)
    return keras.Model(values[graph.input], values[graph.output], name=graph.name)


class _Reader:
    """Collects the calls of a model and of those within it."""

    def __init__(self, sharing: tuple[type[keras.layers.Layer], ...]) -> None:
        self.calls: list[Call] = []
        self.names: Counter[str] = Counter()
        self._sharing = sharing
        self._weighted: dict[int, str] = {}

    def add(self, model: keras.Model, given: str) -> str:
        """Adds the calls of a model that is applied to the value `given`; returns the name of its output."""
        names = {id(model.inputs[0]): given}
        waiting = [model.outputs[0]]
        while waiting:
            tensor = waiting[-1]
            node = _node(tensor)
            ahead = [source for source in node.input_tensors if id(source) not in names]
            waiting.extend(reversed(ahead))
            if not ahead:
                waiting.pop()
                if id(tensor) not in names:
                    names[id(tensor)] = self._call(node, tuple(names[id(source)] for source in node.input_tensors))
        return names[id(model.outputs[0])]

    def _call(self, node: Any, inputs: tuple[str, ...]) -> str:
        layer = node.operation
        if not isinstance(layer, keras.layers.Layer):
            raise InvalidInputError(
                f"the operation {layer.name!r} ({type(layer).__name__}) is not a layer; "
                "expected layers alone, such as keras.layers.Add in place of +"
            )
        _check_arguments(node)
        if isinstance(layer, keras.Model):
            _check_kind(layer)
            return self.add(layer, inputs[0])
        weights = tuple(layer.get_weights())
        shared = self._weighted.get(id(layer), "")
        if shared and not isinstance(layer, self._sharing):
            raise InvalidInputError(f"the layer {layer.name!r} is used twice; expected a layer with its own weights")
        name = self._unique(layer.name)
        if weights:
            self._weighted.setdefault(id(layer), name)
        shape = tuple(node.outputs[0].shape)
        self.calls.append(Call(name, type(layer), layer.get_config(), inputs, shape, weights, layer.name, shared))
        return name

    def _unique(self, name: str) -> str:
        """Tells layers of dissolved models, and the places of a layer without weights, apart."""
        self.names[name] += 1
        return name if self.names[name] == 1 else self._unique(f"{name}_{self.names[name]}")


def _node(tensor: Any) -> Any:
    """The place in the model where a tensor is made."""
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def _check_kind(model: Any) -> None:
    inputs, outputs = (getattr(model, name, None) or () for name in ("inputs", "outputs"))
    if not isinstance(model, keras.Model) or not inputs:
        raise InvalidInputError(
            f"expected a built Sequential or functional Keras model, found {getattr(model, 'name', model)!r} of the "
            f"class {type(model).__name__}"
        )
    if (len(inputs), len(outputs)) != (1, 1):
        raise InvalidInputError(
            f"expected a model with one input and one output, found {model.name!r} with {len(inputs)} and "
            f"{len(outputs)}"
        )


def _check_arguments(node: Any) -> None:
    """Accepts `training=False` in a call: what it freezes, batch norm, is folded."""
    more = [value for value in node.arguments.args[1:] if value is not None]
    named = {name: value for name, value in node.arguments.kwargs.items() if value not in (None, False)}
    if more or named:
        raise InvalidInputError(
            f"the layer {node.operation.name!r} is called with {named or more}; expected values to take alone"
        )


def numbers(values: Any) -> NDArray[np.float64]:
    """Returns weights in double precision, in which they are combined before they are rounded once."""
    return np.asarray(values, dtype=np.float64)
