"""The script that runs a model in TensorFlow Lite for Microcontrollers, in a process without anything else.

    python micro_worker.py arena MODEL                      prints the smallest tensor arena, in bytes
    python micro_worker.py run MODEL ARENA INPUTS OUTPUTS   runs a .npy of inputs (N, ...), writes one of outputs

It imports nothing of liteport. Reasons to refuse a model are the interpreter's own lines on standard error.
"""

import os
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np

STEP = 16  # the alignment of the arena, hence of its size
LARGEST = 1 << 28  # 256 MiB: no microcontroller has as much; pages that stay untouched cost nothing


def interpreter(content: bytes, arena: int) -> Any:
    """Makes an interpreter; RuntimeError if it refuses the model or the arena is too small."""
    from tflite_micro import runtime

    return runtime.Interpreter.from_bytes(content, arena_size=arena)


def allocates(content: bytes, arena: int) -> bool:
    """Tells whether an arena is large enough.

    Tried in a child: where not even the interpreter's own objects fit, it writes through a null pointer.
    """
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # it complains of every arena that is too small
        try:
            interpreter(content, arena)
        except RuntimeError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def smallest_arena(content: bytes) -> int:
    """Returns the smallest arena that is large enough, a multiple of `STEP` bytes, by bisection."""
    interpreter(content, LARGEST)  # a model that is refused as such ends the search before it begins
    too_small, enough = 0, LARGEST
    while enough - too_small > STEP:
        middle = (too_small + enough) // 2 // STEP * STEP
        if allocates(content, middle):
            enough = middle
        else:
            too_small = middle
    return enough


def run(content: bytes, arena: int, inputs: Any) -> Any:
    """Runs inputs (N, ...) one after the other and returns the outputs (N, ...)."""
    engine = interpreter(content, arena)
    outputs = []
    for values in inputs:
        engine.set_input(values[np.newaxis], 0)
        engine.invoke()
        outputs.append(engine.get_output(0)[0])
        engine.reset()  # recurrent layers keep their state from one call to the next
    return np.stack(outputs)


def main(command: str, model: str, *rest: str) -> None:
    """Does what the command line says."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the crashes of `allocates` are no news
    content = Path(model).read_bytes()
    try:
        if command == "arena":
            print(smallest_arena(content))
        else:
            arena, inputs, outputs = rest
            np.save(outputs, run(content, int(arena), np.load(inputs)))
    except (RuntimeError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
