"""What runs in the process that `isolation` starts: one model, one engine, one answer in JSON.

It reads the model on standard input and answers `{"refusal": null}`, or the reason, on standard output. Native
libraries may write there as well, so what they take for standard output is standard error.
"""

import contextlib
import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import BackendError, InvalidInputError

from .backends import ENGINES, Backend
from .card import TensorSpec

# Address space, which engines take more of than of memory. Measured: 0.2 GiB for an engine and its libraries, 4 times
# the model's size, 72 MiB a thread (a stack and a heap). Far above that, so that nothing in order is refused, and for
# activations; yet a shape like [1, 100000, 100000] stops here, before it drives all else out of memory.
_SPACE = 4 << 30
_SPACE_PER_BYTE = 8
_SPACE_PER_THREAD = 128 << 20

_MOST_INPUT_BYTES = 1 << 30  # of all inputs together at batch 1: a hundred times a large image
_MOST_COMPLAINT_BYTES = 1 << 20
_SEED = 0


def main(package: str, threads: int, signature: str | None) -> None:
    """Tries the model and answers.

    Args:
        package: The engine's.
        threads: How many one call may use.
        signature: Which of the model's, where it has several.
    """
    answer = os.dup(1)
    os.dup2(2, 1)
    content = sys.stdin.buffer.read()
    _limit(len(content), threads)
    refusal = _refusal(content, package, threads, signature)
    os.write(answer, json.dumps({"refusal": refusal}).encode())  # far below what a pipe takes at once


def _limit(size: int, threads: int) -> None:
    """Bounds what this process may take, where the system can."""
    with contextlib.suppress(OSError):  # only Linux has it: where memory runs out, this process goes first
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return
    space = _SPACE + _SPACE_PER_BYTE * size + _SPACE_PER_THREAD * threads
    # A crash leaves no core file, and what is written on standard error fills no disk; ncnn's weights are in a file.
    for kind, most in (("RLIMIT_AS", space), ("RLIMIT_CORE", 0), ("RLIMIT_FSIZE", _MOST_COMPLAINT_BYTES + size)):
        hard = resource.getrlimit(number := getattr(resource, kind))[1]
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(ValueError, OSError, OverflowError):  # macOS refuses some, 32 bits cannot state others
            resource.setrlimit(number, (bound, hard))


def _refusal(content: bytes, package: str, threads: int, signature: str | None) -> str | None:
    """Returns why the engine does not take or run the model; None where it does."""
    engine = next(engine for engine in ENGINES if engine.package == package)
    try:
        backend = engine.load(content, threads, signature)
        for arrays in _made_up(backend.inputs):
            _run(backend, arrays)
    except InvalidInputError:  # no such signature: loading it after this says the same
        return None
    except (BackendError, ValueError) as error:
        return str(error)
    except MemoryError:
        return f"{package} needs more memory for this model than any classifier"
    return None


def _run(backend: Backend, arrays: Sequence[NDArray[Any]]) -> None:
    """Runs the model once; raises BackendError if it fails on input that it must take."""
    try:
        backend.run(arrays)
    except BackendError:
        if not any(_guessed(spec) for spec in backend.inputs):
            raise


def _guessed(spec: TensorSpec) -> bool:
    """Whether input made from the spec alone may not suit: of free sizes only the batch's is known to go with 1."""
    return None in spec.shape[1:] or (spec.scale is None and np.dtype(spec.dtype).kind != "f")


def _made_up(specs: Sequence[TensorSpec]) -> Iterator[list[NDArray[Any]]]:
    """Gives zeros and then random input, free sizes being 1.

    Raises:
        ValueError: If the inputs are too large; nothing is reserved then.
    """
    shapes = [tuple(size or 1 for size in spec.shape) for spec in specs]
    dtypes = [np.dtype(spec.dtype) for spec in specs]
    total = sum(math.prod(shape) * dtype.itemsize for shape, dtype in zip(shapes, dtypes, strict=True))
    if total > _MOST_INPUT_BYTES:
        raise ValueError(f"the model's inputs take {total} bytes, expected at most {_MOST_INPUT_BYTES}")
    yield [np.zeros(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
    random = np.random.default_rng(_SEED)
    yield [_random(random, spec, shape) for spec, shape in zip(specs, shapes, strict=True)]


def _random(random: np.random.Generator, spec: TensorSpec, shape: tuple[int, ...]) -> NDArray[Any]:
    dtype = np.dtype(spec.dtype)
    if dtype.kind == "f":
        return random.standard_normal(shape, np.float32).astype(dtype)
    if spec.scale is None:  # an index or a size, as likely as not
        return random.integers(0, 2, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, shape, dtype, endpoint=True)
