"""What TensorFlow Lite for Microcontrollers makes of a model, by its own interpreter (package tflite-micro)."""

import os
import platform
import re
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import BackendError, ConversionError, MissingDependencyError, require
from liteport.runtime.backends import Backend, BackendInfo, Shapes, choose_engine
from liteport.terminal import muted

from .isolation import ScriptError, run_script

_WORKER = Path(__file__).with_name("micro_worker.py")
_TIMEOUT = 600  # seconds: far more than the search, or a thousand images of a model that fits a microcontroller, takes
_NO_KERNEL = re.compile(r"op ?code '?([A-Z0-9_]+)")
_FLOAT_ONLY = re.compile(r"INT8 != FLOAT32\).*; Node (?P<op>\w+) \(number")  # a kernel, but for float32 only


@dataclass(frozen=True)
class Agreement:
    """How the microcontroller's interpreter agrees with LiteRT on the same inputs.

    Its reference kernels compute bit for bit what LiteRT's built-in ones do; LiteRT's XNNPACK rounds otherwise, by one
    step a layer, which a softmax may widen.

    Attributes:
        samples: How many inputs.
        same_top: For how many of them the largest output is the same one.
        max_steps: Largest difference of an output, in quantization steps.
    """

    samples: int
    same_top: int
    max_steps: int


def interpreter_version() -> str:
    """Returns the version of tflite-micro.

    Raises:
        MissingDependencyError: If it is not installed; the message says how to install it, or where it can be.
    """
    host = f"{platform.system()} {platform.machine()}"
    if find_spec("tflite_micro") is None and host != "Linux x86_64":
        raise MissingDependencyError(
            f"tflite-micro, which measures the tensor arena, has packages for Linux x86_64 only, this is {host}; "
            "export c-array there"
        )
    require("tflite_micro", "micro")
    return version("tflite_micro")


def smallest_arena(tflite: bytes) -> int:
    """Searches the smallest tensor arena in which the interpreter allocates a model.

    Args:
        tflite: The `.tflite` file.

    Returns:
        Bytes, a multiple of 16.

    Raises:
        ConversionError: If the interpreter refuses the model; the message names the op it has no kernel for.
        MissingDependencyError: If tflite-micro is not installed.
    """
    return int(_run_worker(tflite, "arena"))


def run_micro(tflite: bytes, arena_bytes: int, inputs: NDArray[np.int8], *, processes: int = 1) -> NDArray[np.int8]:
    """Runs a model in the microcontroller's interpreter, on the reference kernels.

    Args:
        tflite: The `.tflite` file, with one int8 input and one int8 output.
        arena_bytes: The tensor arena's size.
        inputs: (N, ...), as the model takes them; N at least 1.
        processes: How many share the work.

    Returns:
        The outputs, (N, ...).

    Raises:
        ConversionError: If the interpreter refuses the model, or the arena is too small.
        MissingDependencyError: If tflite-micro is not installed.
    """
    parts = np.array_split(inputs, min(processes, len(inputs)))
    with ThreadPoolExecutor(len(parts)) as pool:
        return np.concatenate(list(pool.map(lambda part: _run_part(tflite, arena_bytes, part), parts)))


class MicroBackend:
    """Implements `Backend` with the microcontroller's interpreter, to verify a model as it will run there."""

    def __init__(self, tflite: bytes, arena_bytes: int) -> None:
        """Describes a model; a process is started for each run.

        Args:
            tflite: The `.tflite` file, with one int8 input and one int8 output.
            arena_bytes: The tensor arena's size.
        """
        self._tflite, self._arena_bytes = tflite, arena_bytes
        self.info = BackendInfo("tflite-micro", interpreter_version(), "reference kernels")
        model = litert(tflite)
        # A run takes one item after the other: any number of them.
        self.inputs = tuple(replace(spec, shape=(None, *spec.shape[1:])) for spec in model.inputs)
        self.outputs = tuple(replace(spec, shape=(None, *spec.shape[1:])) for spec in model.outputs)
        model.close()

    def run(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """See `Backend.run`."""
        (inputs,) = arrays
        try:
            return [run_micro(self._tflite, self._arena_bytes, inputs, processes=os.cpu_count() or 1)]
        except ConversionError as error:
            raise BackendError(str(error)) from error

    def memory(self, shapes: Shapes) -> None:
        """See `Backend.memory`; the interpreter is in another process."""

    def another(self) -> "MicroBackend":
        """See `Backend.another`."""
        return MicroBackend(self._tflite, self._arena_bytes)

    def close(self) -> None:
        """See `Backend.close`."""


def agreement(tflite: bytes, arena_bytes: int, inputs: NDArray[np.int8], *, processes: int = 1) -> Agreement:
    """Compares the microcontroller's interpreter with LiteRT; see `run_micro`."""
    found = run_micro(tflite, arena_bytes, inputs, processes=processes).reshape(len(inputs), -1)
    backend = litert(tflite)
    # One at a time, as the microcontroller does: a file may be of a fixed batch.
    expected = np.concatenate([backend.run([values[np.newaxis]])[0] for values in inputs]).reshape(found.shape)
    backend.close()
    return Agreement(
        samples=len(inputs),
        same_top=int((found.argmax(axis=1) == expected.argmax(axis=1)).sum()),
        max_steps=int(np.abs(found.astype(np.int16) - expected).max()),
    )


def litert(tflite: bytes) -> Backend:
    """Loads a model in the engine that runs it here."""
    with muted():
        return choose_engine(".tflite").load(tflite, threads=1)


def _run_part(tflite: bytes, arena_bytes: int, inputs: NDArray[np.int8]) -> NDArray[np.int8]:
    with tempfile.TemporaryDirectory(prefix="liteport-") as name:
        files = Path(name) / "inputs.npy", Path(name) / "outputs.npy"
        np.save(files[0], inputs)
        _run_worker(tflite, "run", str(arena_bytes), *map(str, files))
        outputs: NDArray[np.int8] = np.load(files[1])
    return outputs


def _run_worker(tflite: bytes, command: str, *arguments: str) -> str:
    interpreter_version()
    with tempfile.TemporaryDirectory(prefix="liteport-") as name:
        model = Path(name) / "model.tflite"
        model.write_bytes(tflite)
        try:
            return run_script(_WORKER, [command, str(model), *arguments], model.parent, timeout=_TIMEOUT)
        except ScriptError as error:
            who = "TensorFlow Lite for Microcontrollers"
            if missing := _NO_KERNEL.search(" ".join(error.lines)):
                raise ConversionError(f"{who} has no kernel for {missing[1]}") from error
            if missing := _FLOAT_ONLY.search("; ".join(error.lines)):
                raise ConversionError(f"{who} has no int8 kernel for {missing['op']}") from error
            raise ConversionError(f"{who} refuses the model: {'; '.join(error.lines[:2]) or error.reason}") from error
