"""An ONNX graph as the passes see it: who makes and who takes a value, its shape, and edits that keep this right."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import require

_FRESH = "/pass_"  # what names that a pass makes up end in, with a number


class Graph:
    """A model's main graph with what the passes look up."""

    def __init__(self, model: Any) -> None:
        """Takes a model over; it is changed in place.

        Args:
            model: A `ModelProto`.
        """
        self._onnx = require("onnx", "export")
        self.model = model
        self.opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
        self._made = 0
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        # What a loop or a branch takes from around it is left alone, like an output.
        captured = [name for node in model.graph.node for name in taken_by(node) if name not in node.input]
        self.outputs = frozenset([*(value.name for value in model.graph.output), *captured])
        self._shapes: dict[str, list[int | None]] = {}
        self._producers: dict[str, Any] | None = None
        self._consumers: dict[str, list[Any]] = {}
        self.infer()

    @property
    def nodes(self) -> Any:
        """The nodes, in the order in which they run."""
        return self.model.graph.node

    def infer(self) -> None:
        """Infers shapes, also those that are computed while the model runs."""
        inferred = self._onnx.shape_inference.infer_shapes(self.model, data_prop=True).graph
        for value in (*inferred.input, *inferred.value_info, *inferred.output):
            if value.type.tensor_type.HasField("shape"):
                sizes = value.type.tensor_type.shape.dim
                self._shapes[value.name] = [size.dim_value if size.HasField("dim_value") else None for size in sizes]

    def shape(self, name: str) -> list[int | None] | None:
        """The sizes of a value, None for free ones; None where even its rank is unknown."""
        tensor = self._constants.get(name)
        return list(tensor.dims) if tensor is not None else self._shapes.get(name)

    def constant(self, name: str) -> NDArray[Any] | None:
        """The value of a constant, or None."""
        tensor = self._constants.get(name)
        return None if tensor is None else np.asarray(self._onnx.numpy_helper.to_array(tensor))

    def add_constant(self, name: str, values: NDArray[Any]) -> str:
        """Adds a constant under a name like this one and returns its name."""
        name = self.fresh(name)
        self._constants[name] = self._onnx.numpy_helper.from_array(np.ascontiguousarray(values), name)
        self.model.graph.initializer.append(self._constants[name])
        return name

    def fresh(self, name: str) -> str:
        """A new name that reads like this one."""
        self._made += 1
        return f"{name.split(_FRESH)[0]}{_FRESH}{self._made}"

    def _index(self) -> dict[str, Any]:
        if self._producers is None:
            self._producers = {name: node for node in self.nodes for name in node.output}
            self._consumers = defaultdict(list)
            for node in self.nodes:
                for name in dict.fromkeys(node.input):
                    self._consumers[name].append(node)
        return self._producers

    def producer(self, name: str) -> Any:
        """The node that makes a value, or None."""
        return self._index().get(name)

    def consumers(self, name: str) -> list[Any]:
        """The nodes that take a value."""
        self._index()
        return self._consumers.get(name, [])

    def only_consumer(self, name: str) -> Any:
        """The node that takes a value, where nothing else does and it is no output; else None."""
        takers = self.consumers(name)
        return takers[0] if len(takers) == 1 and name not in self.outputs else None

    def insert(
        self, before: Any, kind: str, inputs: Sequence[str], shape: list[int | None] | None, **attributes: Any
    ) -> str:
        """Puts a new node before another.

        Args:
            before: The other.
            kind: The new node's operation.
            inputs: Its inputs.
            shape: The sizes of its value.
            **attributes: Its attributes.

        Returns:
            The name of its value, which reads like that of its first input.
        """
        output = self.fresh(inputs[0])
        position = next(number for number, node in enumerate(self.nodes) if node is before)
        self.nodes.insert(position, self._onnx.helper.make_node(kind, list(inputs), [output], **attributes))
        self._note(output, shape)
        return output

    def insert_after(
        self,
        node: Any,
        kind: str,
        inputs: Sequence[str],
        output: str,
        shape: list[int | None] | None,
        **attributes: Any,
    ) -> None:
        """Puts a new node that makes `output`, of this shape, right behind another."""
        position = next(number for number, other in enumerate(self.nodes) if other is node)
        self.nodes.insert(position + 1, self._onnx.helper.make_node(kind, list(inputs), [output], **attributes))
        self._note(output, shape)

    def remove(self, *nodes: Any) -> None:
        """Removes nodes."""
        for node in nodes:
            self.nodes.remove(node)
        self._producers = None

    def replace(self, old: Any, kind: str, inputs: Sequence[str], **attributes: Any) -> None:
        """Puts another operation in a node's place; it makes the same value."""
        old.CopyFrom(self._onnx.helper.make_node(kind, list(inputs), list(old.output), name=old.name, **attributes))
        self._producers = None

    def set_inputs(self, node: Any, inputs: Iterable[str]) -> None:
        """Changes what a node takes."""
        node.input[:] = list(inputs)
        self._producers = None

    def set_output(self, node: Any, name: str, shape: list[int | None] | None, index: int = 0) -> None:
        """Changes the name and shape of what a node makes."""
        node.output[index] = name
        self._note(name, shape)

    def rewire(self, old: str, new: str) -> bool:
        """Lets everything that takes one value take another instead; False where the old one is an output."""
        if old in self.outputs:
            return False
        for node in self.consumers(old):
            node.input[:] = [new if name == old else name for name in node.input]
        self._producers = None
        return True

    def bypass(self, node: Any) -> None:
        """Lets whatever takes a node's value take its first input instead, where every output keeps its name."""
        source, result = node.input[0], node.output[0]
        maker = self.producer(source)
        if not self.rewire(result, source) and maker is not None and self.only_consumer(source) is not None:
            shape, index = self.shape(result), list(maker.output).index(source)
            self.remove(node)
            self.set_output(maker, result, shape, index)

    def _note(self, name: str, shape: list[int | None] | None) -> None:
        self._producers = None
        if shape is None:
            self._shapes.pop(name, None)
        else:
            self._shapes[name] = list(shape)

    def drop_unused(self) -> None:
        """Removes nodes whose results nobody takes, then constants."""
        wanted = set(self.outputs)
        kept = []
        for node in reversed(self.nodes):
            if wanted.intersection(node.output):
                wanted.update(taken_by(node))
                kept.append(node)
        kept.reverse()
        tensors = [tensor for tensor in self.model.graph.initializer if tensor.name in wanted]
        replace_all(self.model.graph.node, kept)
        replace_all(self.model.graph.initializer, tensors)
        self._constants = {tensor.name: tensor for tensor in self.model.graph.initializer}
        self._producers = None
        del self.model.graph.value_info[:]  # some are of values that are gone; whoever needs shapes infers them

    def rename(self) -> None:
        """Drops what is unused, takes counters and traces of the passes out of names, and keeps names unique."""
        self.drop_unused()
        names = {name: name for name in [*(value.name for value in self.model.graph.input), *sorted(self.outputs)]}
        taken = set(names)
        # What nodes make comes first: it keeps the plain name where a constant reads like it.
        wishes = [(name, self._layer_name(node, name)) for node in self.nodes for name in node.output]
        wishes += [(name, _plain(name)) for node in self.nodes for name in node.input]
        for name, plain in wishes:
            if name and name not in names:
                unique, number = plain, 2
                while unique in taken:
                    unique, number = f"{plain}_{number}", number + 1
                names[name] = unique
                taken.add(unique)
        for tensor in self.model.graph.initializer:
            tensor.name = names[tensor.name]
        for number, node in enumerate(self.nodes):
            node.name = f"{node.op_type}_{number}"
            node.input[:] = [names[name] if name else "" for name in node.input]
            node.output[:] = [names[name] if name else "" for name in node.output]
        self._constants = {tensor.name: tensor for tensor in self.model.graph.initializer}
        self._producers = None

    def _layer_name(self, node: Any, name: str) -> str:
        """A value's plain name; tf2onnx forgets the layer where it merges two, but the weights' names still tell it."""
        plain = _plain(name)
        if "/" not in plain and node.op_type in plain:
            weights = next((_plain(given) for given in node.input[1:] if given in self._constants), "")
            return weights.rpartition("/")[0] or plain
        return plain


def _plain(name: str) -> str:
    return re.sub(rf":0|__\d+|{_FRESH}\d+", "", name.removeprefix("PartitionedCall/")) or "value"


def taken_by(node: Any) -> Iterator[str]:
    """The values that a node takes, and those that the graphs inside it take from around it."""
    yield from node.input
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            for nested in inner.node:
                yield from taken_by(nested)
            yield from (value.name for value in inner.output)


def replace_all(container: Any, items: Sequence[Any]) -> None:
    """Fills a repeated field with messages, some of which may be in it already."""
    copies = [type(item).FromString(item.SerializeToString()) for item in items]
    del container[:]
    container.extend(copies)


def attribute(node: Any, name: str, default: Any = None) -> Any:
    """An attribute's value, or the default."""
    get = require("onnx", "export").helper.get_attribute_value
    return next((get(entry) for entry in node.attribute if entry.name == name), default)


def set_attribute(node: Any, name: str, value: Any) -> None:
    """Sets an attribute."""
    kept = [entry for entry in node.attribute if entry.name != name]
    replace_all(node.attribute, [*kept, require("onnx", "export").helper.make_attribute(name, value)])


def axes_of(graph: Graph, node: Any) -> list[int] | None:
    """The axes that a node works on, an attribute or an input by its version; None where it names none."""
    given = attribute(node, "axes")
    if given is None and len(node.input) > 1 and node.input[1]:
        values = graph.constant(node.input[1])
        return None if values is None else [int(axis) for axis in values.reshape(-1)]
    return None if given is None else list(given)
