"""What ONNX engines should be given: the rules of ONNX's own checker that damage breaks, and one file alone.

The rules are those of the intermediate representation, https://github.com/onnx/onnx/blob/main/docs/IR.md.
"""

from collections.abc import Iterable, Mapping, Sequence

from .calls import check_calls
from .limits import Source
from .onnx import (
    ATTRIBUTE_NAME,
    ENTRY_KEY,
    ENTRY_VALUE,
    GRAPH_INITIALIZERS,
    GRAPH_INPUTS,
    GRAPH_NODES,
    GRAPH_OUTPUTS,
    GRAPH_SPARSE,
    GRAPH_VALUES,
    MODEL_GRAPH,
    MODEL_IR_VERSION,
    MODEL_METADATA,
    MODEL_OPSETS,
    NAME,
    NODE_ATTRIBUTES,
    NODE_DOMAIN,
    NODE_INPUTS,
    NODE_OPERATOR,
    NODE_OUTPUTS,
    OPSET_DOMAIN,
    OPSET_VERSION,
    own_domain,
    value_of,
)
from .onnx_data import check_sparse, check_tensor
from .protobuf import Message

_MODEL_FUNCTIONS = 25
_FUNCTION_NAME, _FUNCTION_INPUTS, _FUNCTION_OUTPUTS, _FUNCTION_NODES = 1, 4, 5, 7
_FUNCTION_OPSETS, _FUNCTION_DOMAIN, _FUNCTION_OVERLOAD = 9, 10, 13
_NODE_OVERLOAD = 8
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE = (5, 10), (6, 11), (22, 23)
_MOST_LEVELS = 16  # of graphs within graphs; exporters write two or three
_MOST_NODES = 1 << 20  # once every function is written out where it is called, as engines do

_Function = tuple[str, str, str]  # domain, name, overload


def check(content: bytes) -> None:
    """Checks an `.onnx` file.

    Raises:
        IntegrityError: If it is damaged, contradicts itself, or keeps data elsewhere.
    """
    source = Source(content, NAME)
    model = Message(source)
    graphs, functions = model.messages(MODEL_GRAPH), model.messages(_MODEL_FUNCTIONS)
    if len(graphs) != 1 or model.integer(MODEL_IR_VERSION) < 1:
        raise source.damaged(f"it holds {len(graphs)} graphs and has format version {model.integer(MODEL_IR_VERSION)}")
    for entry in model.messages(MODEL_METADATA):
        entry.text(ENTRY_KEY)
        entry.text(ENTRY_VALUE)
    names = {_function(function): index for index, function in enumerate(functions)}
    if len(names) != len(functions):
        raise source.damaged("it holds two functions of one name")
    bodies = [_Body(_opsets(source, model, MODEL_OPSETS), names)]
    bodies[0].graph(graphs[0], [], 0)
    for function in functions:
        body = _Body(_opsets(source, function, _FUNCTION_OPSETS), names)
        made = set(function.texts(_FUNCTION_INPUTS))
        body.nodes(function.messages(_FUNCTION_NODES), made, [], 0)
        body.expect(function.texts(_FUNCTION_OUTPUTS), [made], source)
        bodies.append(body)
    check_calls(source, [[index + 1 for index in body.calls] for body in bodies])
    _check_expansion(source, bodies)


def _function(message: Message) -> _Function:
    domain, name, overload = (message.text(n) for n in (_FUNCTION_DOMAIN, _FUNCTION_NAME, _FUNCTION_OVERLOAD))
    return own_domain(domain), name, overload


def _opsets(source: Source, message: Message, field: int) -> set[str]:
    entries = message.messages(field)
    if any(entry.integer(OPSET_VERSION) < 1 for entry in entries):
        raise source.damaged("it names an operator set without a version")
    return {own_domain(entry.text(OPSET_DOMAIN)) for entry in entries}


def _check_expansion(source: Source, bodies: Sequence["_Body"]) -> None:
    """Refuses functions that call each other so often that written out they fill any memory."""
    sizes: dict[int, int] = {}
    while len(sizes) < len(bodies):  # ends, since calls have no circle
        for index, body in enumerate(bodies):
            called = [call + 1 for call in body.calls]
            if index not in sizes and all(call in sizes for call in called):
                sizes[index] = body.count + sum(sizes[call] for call in called)
    if max(sizes.values()) > _MOST_NODES:
        raise source.damaged(f"its functions stand for more than {_MOST_NODES} operations")


class _Body:
    """The main graph or a function, with the graphs inside.

    Attributes:
        calls: The index of each function that is called, as often as it is.
        count: How many operations there are.
    """

    def __init__(self, opsets: set[str], functions: Mapping[_Function, int]) -> None:
        self._opsets = opsets
        self._functions = functions
        self.calls: list[int] = []
        self.count = 0

    def graph(self, graph: Message, outer: list[set[str]], level: int) -> None:
        """Checks a graph; `outer` are the names that the graphs around it have made so far."""
        if level > _MOST_LEVELS:
            raise graph.source.damaged(f"it holds graphs within graphs, more than {_MOST_LEVELS} deep")
        constants = [check_tensor(message) for message in graph.messages(GRAPH_INITIALIZERS)]
        constants += [check_sparse(message) for message in graph.messages(GRAPH_SPARSE)]
        inputs, outputs = ([value_of(entry).name for entry in graph.messages(n)] for n in (GRAPH_INPUTS, GRAPH_OUTPUTS))
        for entry in graph.messages(GRAPH_VALUES):
            value_of(entry)
        for names in (constants, inputs):
            if "" in names or len(set(names)) != len(names):
                raise graph.source.damaged("two of a graph's inputs or constants have one name, or one has none")
        made = {*constants, *inputs}
        self.nodes(graph.messages(GRAPH_NODES), made, outer, level)
        self.expect(outputs, [made, *outer], graph.source)

    def nodes(self, nodes: Iterable[Message], made: set[str], outer: list[set[str]], level: int) -> None:
        """Checks nodes in their order, each name made before it is used and once; adds to `made`."""
        scopes = [made, *outer]
        for node in nodes:
            self.count += 1
            domain, operator = own_domain(node.text(NODE_DOMAIN)), node.text(NODE_OPERATOR)
            called = self._functions.get((domain, operator, node.text(_NODE_OVERLOAD)))
            if called is not None:
                self.calls.append(called)
            if not operator or domain not in self._opsets:
                raise node.source.damaged(f"it uses the operator {operator[:80]!r} of an unnamed set {domain[:80]!r}")
            self.expect(node.texts(NODE_INPUTS), scopes, node.source)
            for attribute in node.messages(NODE_ATTRIBUTES):
                self._attribute(attribute, scopes, level)
            for name in filter(None, node.texts(NODE_OUTPUTS)):
                if name in made:
                    raise node.source.damaged(f"{name[:80]!r} is made twice")
                made.add(name)

    def _attribute(self, attribute: Message, scopes: list[set[str]], level: int) -> None:
        if not attribute.text(ATTRIBUTE_NAME):
            raise attribute.source.damaged("an attribute has no name")
        for number in _ATTRIBUTE_TENSORS:
            for message in attribute.messages(number):
                check_tensor(message)
        for number in _ATTRIBUTE_SPARSE:
            for message in attribute.messages(number):
                check_sparse(message)
        for number in _ATTRIBUTE_GRAPHS:
            for message in attribute.messages(number):
                self.graph(message, scopes, level + 1)

    def expect(self, names: Iterable[str], scopes: Sequence[set[str]], source: Source) -> None:
        """Checks that names were made; "" stands for an optional input that is absent."""
        for name in filter(None, names):
            if not any(name in scope for scope in scopes):
                raise source.damaged(f"{name[:80]!r} is used before anything makes it")
