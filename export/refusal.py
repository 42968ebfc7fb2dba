"""Converters' own errors, told as one of ours: the operation, the layer it came from, and why."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile

from liteport.errors import ConversionError

_LONGEST = 300
_MOST_NAMED = 3

# MLIR's errors: error: loc(callsite(fused["Svd:", "model/layer/Svd@function"] at ...)): 'tf.Svd' op is ...
_LOCATED = re.compile(r"error: loc\((?P<where>.*?)\): (?P<reason>.*)")
_QUOTED = re.compile(r'"([^"]*)"')
_OPERATION = re.compile(r"^'tfl?\.(?P<kind>\w+)' op (?P<reason>.*)")
# The older quantizer's, which do not say where.
_BY_KIND = re.compile(r"not yet supported for op: '(?P<kind>\w+)'")

# What Keras puts above the error that a layer raised.
_KERAS = re.compile(r"Exception encountered when calling \S+\n\s*(?P<reason>\S.*)")
_COLOUR = re.compile(r"\x1b\[\d+m")

_NUMBERED = re.compile(r".+_\d+$")

# What MLIR means, in words.
_MEANINGS = {"is neither a custom op nor a flex op": "TensorFlow Lite has no such operation"}


@contextmanager
def told_as_refusal(
    who: str, *kinds: type[Exception], locate: Callable[[str], Sequence[str]] | None = None
) -> Iterator[None]:
    """Turns the errors by which a converter refuses a model into `ConversionError`.

    Converters print a screenful. Where it tells operations and their places in the graph, those are named; else the
    line that says "error:" is what matters, or else the first.

    Args:
        who: The converter's name.
        kinds: The exceptions that it is known to raise.
        locate: Gives the names of what operations of a kind compute, for errors that say no more than the kind.
    """
    try:
        yield
    except kinds as error:
        raise ConversionError(f"{who} refuses the model: {_reason(_text(error), locate)}") from error


def layers_of(name: str) -> tuple[str, ...]:
    """Returns the Keras layers that a tensor's or node's name tells of, as paths below the model; () where of none.

    Keras opens each layer's name scope twice, for building and for calling, so that TensorFlow numbers the second:
    layer `conv1` of `net` computes `net_1/conv1_1/Relu`. TensorFlow Lite joins the names of what it fuses by ";", and
    functions add "@" and theirs.
    """
    layers: dict[str, None] = {}
    for part in name.split(";"):
        scopes = part.split("@")[0].split("/")[:-1]
        numbered = [scope.rpartition("_")[0] for scope in takewhile(_NUMBERED.match, scopes)]
        if path := numbered[1:] or scopes[1:]:
            layers["/".join(path)] = None
    return tuple(layers)


def placed(kind: str, names: Sequence[str]) -> str:
    """Returns an operation's kind and the layers that are behind these names of nodes or tensors, in words."""
    layers = list(dict.fromkeys(layer for name in names for layer in layers_of(name)))
    if not layers:
        return kind
    more = f" and {len(layers) - _MOST_NAMED} more" if len(layers) > _MOST_NAMED else ""
    named = ", ".join(repr(layer) for layer in layers[:_MOST_NAMED])
    return f"{kind} in layer{'s' if len(layers) > 1 else ''} {named}{more}"


def _text(error: Exception) -> str:
    """What an error says: of a mere key its kind too, and of what Keras says of a layer's error that itself."""
    text = _COLOUR.sub("", repr(error) if isinstance(error, KeyError) else str(error) or repr(error))
    found = _KERAS.search(text)
    return found["reason"] if found else text


def _reason(text: str, locate: Callable[[str], Sequence[str]] | None) -> str:
    if found := _located(text):
        return "; ".join(found[:_MOST_NAMED])
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = next((line for line in lines if "error:" in line.lower()), lines[0])[:_LONGEST]
    kinds = dict.fromkeys(_BY_KIND.findall(text))
    if not kinds or locate is None:
        return line
    return f"{line.split(':')[0]}: {'; '.join(placed(kind, locate(kind)) for kind in kinds)}"


def _located(text: str) -> list[str]:
    """Returns what MLIR says of each operation, once for each place."""
    found: dict[tuple[str, str], str] = {}
    for match in _LOCATED.finditer(text):
        operation = _OPERATION.match(match["reason"])
        node = next((name for name in _QUOTED.findall(match["where"]) if "/" in name), "")
        if operation is None:
            continue
        reason = _MEANINGS.get(operation["reason"], operation["reason"])
        found.setdefault((operation["kind"], node), f"{placed(operation['kind'], [node])}: {reason}"[:_LONGEST])
    return list(dict.fromkeys(found.values()))
