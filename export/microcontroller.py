"""Models for microcontrollers: a `.h` and a `.cc` file for TensorFlow Lite for Microcontrollers, ready to compile."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from liteport.errors import ConversionError, InvalidInputError
from liteport.runtime.card import Preprocessing, TensorSpec
from liteport.runtime.contents import read_contents
from liteport.runtime.quantization import pixel_table

from . import c_source
from .micro_interpreter import interpreter_version, litert, smallest_arena

# Their branches are graphs of their own, whose operations the resolver would have to know too.
_CONTROL_FLOW = {"WHILE", "IF", "CALL_ONCE"}


@dataclass(frozen=True)
class CSources:
    """A model as C source.

    Attributes:
        prefix: What every name in them begins with.
        header: The `.h` file, C99 and C++11. ASCII, as is the other.
        source: The `.cc` file, C++11, which includes the header.
        arena_bytes: The smallest tensor arena that the model was seen to run in.
        ops: The kinds of operation that the model uses, each once.
        interpreter: The version of tflite-micro that the arena was measured with.
    """

    prefix: str
    header: str
    source: str
    arena_bytes: int
    ops: tuple[str, ...]
    interpreter: str


def c_array(
    tflite: bytes, *, name: str, labels: Sequence[str] | None, preprocessing: Preprocessing, file: str | None = None
) -> CSources:
    """Writes a full-integer model as C source, with all that a program needs to know of it.

    Args:
        tflite: A `.tflite` file with one int8 input and one int8 output, for one image a call.
        name: What to call the model; made a C identifier, which begins every name in the files.
        labels: Class names, as many as the output has values; or None.
        preprocessing: What turns raw pixels into model input.
        file: What the two files will be called, without suffix; by default that identifier.

    Raises:
        ConversionError: If the model is no full-integer one, or TensorFlow Lite for Microcontrollers refuses it; the
            message names the op it has no kernel for.
        InvalidInputError: If there are not as many labels as classes, or one cannot be a C string.
        IntegrityError: If the file is damaged.
        MissingDependencyError: If tflite-micro, which measures the arena, is not installed.
    """
    ops = tuple(dict.fromkeys(op.kind for op in read_contents(tflite, ".tflite").ops))
    if inner := _CONTROL_FLOW.intersection(ops):
        raise ConversionError(f"c-array cannot list the ops inside {min(inner)}; unroll the layer (unroll=True)")
    backend = litert(tflite)
    source, output = _only("input", backend.inputs), _only("output", backend.outputs)
    backend.close()
    classes = math.prod(size or 1 for size in output.shape)
    if labels is not None and len(labels) != classes:
        raise InvalidInputError(f"there are {len(labels)} labels; expected {classes}, one a class")
    prefix = c_source.identifier(name)
    facts = c_source.Facts(
        prefix=prefix,
        file=file or prefix,
        model=tflite,
        labels=labels,
        input=source,
        output=output,
        pixel_rows=_pixel_rows(preprocessing, source),
        preprocessing=_formula(preprocessing),
        ops=ops,
        arena_bytes=smallest_arena(tflite),
        provenance=f"Made by liteport {version('liteport')}; the model's SHA-256: {hashlib.sha256(tflite).hexdigest()}",
        interpreter=interpreter_version(),
    )
    return CSources(prefix, c_source.header(facts), c_source.source(facts), facts.arena_bytes, ops, facts.interpreter)


def _only(what: str, specs: Sequence[TensorSpec]) -> TensorSpec:
    """Returns the model's only input or output, for a batch of one."""
    if len(specs) != 1 or specs[0].dtype != "int8" or specs[0].scale is None:
        found = ", ".join(f"{spec.name!r} ({spec.dtype})" for spec in specs)
        raise ConversionError(f"c-array takes a full-integer model with one int8 {what}; found {found}")
    batch, *sizes = specs[0].shape
    if batch not in (None, 1) or None in sizes:
        raise ConversionError(f"c-array takes one image of a fixed size a call; {what} has shape {specs[0].shape}")
    return replace(specs[0], shape=(1, *sizes))


def _pixel_rows(preprocessing: Preprocessing, spec: TensorSpec) -> NDArray[np.int8]:
    """Folds preprocessing and quantization into one table, as the runtime does; see `c_source.Facts`."""
    rows = pixel_table(preprocessing, spec, spec.shape[-1] or 1).astype(np.int8, copy=False).reshape(-1, 256)
    return rows[:0] if (rows == np.arange(256) - 128).all() else rows


def _formula(preprocessing: Preprocessing) -> str:
    scale, offset = (_numbers(values) for values in (preprocessing.scale, preprocessing.offset))
    return f"pixel * {scale} + {offset}"


def _numbers(values: float | tuple[float, ...]) -> str:
    return f"({', '.join(map(repr, values))}, by channel)" if isinstance(values, tuple) else repr(values)
