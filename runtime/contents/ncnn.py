"""ncnn models: a list of layers and their weights (`ncnn_params`, `ncnn_weights`), and what liteport adds at the end.

A document that is embedded stands behind the weights, where ncnn does not read (`trailer`).
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model_files import parted
from .description import Contents, Op, Tensor
from .limits import Source
from .ncnn_params import NAME, Layer, read_layers
from .ncnn_weights import Stored, read_weights
from .trailer import document_spans, model_end, with_trailer

SUFFIX = ".param"

_SHARED = "Split"  # a layer that only lets several take a value


def read(content: bytes) -> Contents:
    """Reads what is in an ncnn model.

    Raises:
        IntegrityError: If it is damaged.
    """
    source = Source(content, NAME)
    layers, weights = _read(source)
    tensors: list[Tensor] = []
    places: dict[str, int] = {}
    for layer in layers:
        for name in layer.outputs:
            if layer.kind == _SHARED:
                places[name] = places[layer.inputs[0]]
            else:
                places[name] = len(tensors)
                tensors.append(Tensor(name, "float32", layer.input_shape() if layer.is_input else ()))
    constants: dict[int, list[int]] = {}
    for stored in weights:
        constants.setdefault(stored.layer, []).append(len(tensors))
        tensors.append(Tensor(stored.name, stored.dtype, stored.shape, constant=True, size_bytes=stored.size_bytes))
    ops = tuple(
        Op(
            layer.kind,
            None,
            (*(places[name] for name in layer.inputs), *constants.get(index, ())),
            tuple(places[name] for name in layer.outputs),
            layer.name,
        )
        for index, layer in enumerate(layers)
        if not layer.is_input and layer.kind != _SHARED
    )
    return Contents(
        format="ncnn",
        inputs=tuple(places[layer.outputs[0]] for layer in layers if layer.is_input),
        outputs=tuple(places[name] for name in output_names(layers)),
        tensors=tuple(tensors),
        ops=ops,
        minimum_runtime=None,
        opsets={},
        producer="",
        metadata={name: content[start:end] for name, (start, end) in metadata_spans(content).items()},
    )


def check(content: bytes) -> None:
    """Checks an ncnn model, of whose two files ncnn itself asks little.

    Raises:
        IntegrityError: If it is damaged, or list and weights are not of one model.
    """
    _read(Source(content, NAME))


def read_model_layers(content: bytes) -> tuple[tuple[Layer, ...], bool]:
    """Reads the layers alone, and whether weights are stored in half precision.

    Raises:
        IntegrityError: If it is damaged.
    """
    layers, weights = _read(Source(content, NAME))
    return layers, any(stored.dtype == "float16" for stored in weights)


def stored_values(content: bytes, layers: Sequence[Layer]) -> Iterator[tuple[Stored, NDArray[Any]]]:
    """Gives the arrays of weights that are floats, as one dimension each.

    Raises:
        IntegrityError: If the model is damaged.
    """
    start = len(parted(content, SUFFIX)[0]) + 1
    for stored in read_weights(Source(content, NAME), layers, start, model_end(content, NAME))[0]:
        if stored.dtype.startswith("float"):
            yield stored, np.frombuffer(content, stored.dtype, math.prod(stored.shape), start + stored.tag_bytes)
        start += stored.size_bytes


def _read(source: Source) -> tuple[tuple[Layer, ...], list[Stored]]:
    text, _ = parted(source.content, SUFFIX)
    layers = read_layers(source, text)
    start, end = len(text) + 1, model_end(source.content, NAME)
    return layers, read_weights(source, layers, start, end)[0]


def output_names(layers: Sequence[Layer]) -> list[str]:
    """Returns the values that no layer takes."""
    taken = {name for layer in layers for name in layer.inputs}
    return [name for layer in layers for name in layer.outputs if name not in taken]


def metadata_spans(content: bytes) -> dict[str, tuple[int, int]]:
    """Returns where the embedded document starts and ends, if there is one; see `document_spans`."""
    return document_spans(content, NAME)


def with_document(content: bytes, document: bytes) -> bytes:
    """Returns a model with a document at its end; one that was there is replaced."""
    return with_trailer(content, NAME, document)
