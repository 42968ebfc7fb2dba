"""What runs on an emulated board, and on this machine to compare with.

    python -m liteport.benchmarks.devices.guest FILE IMAGES OUT SECONDS

Predicts the images of IMAGES (.npy) one by one, with one thread, and writes the answers, and what gave them, to OUT
(.npz). Between calls it marks where it is, by a system call that an emulator's plugin notices. It imports numpy and
`liteport.runtime` alone.
"""

import gc
import os
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import LiteportError
from liteport.runtime import Model, load

mark = os.getsid
"""Marks a spot, called with 0. It costs some hundred instructions, which `EMPTY` pairs with nothing between measure."""

EMPTY = 8
_WARM_UP = 12  # Python adapts its bytecode, and the runtime finds its shortest way, within the first calls
_LEAST = 2


def answer(model: Model, images: NDArray[Any], seconds: float) -> NDArray[np.float32]:
    """Predicts single images, with marks around each, until so many seconds of processor time were used.

    Returns:
        The answers to the first images, as many as there was time for, and to two at least.
    """
    begin = time.process_time()
    singles = [images[i : i + 1] for i in range(len(images))]
    for done in range(_WARM_UP):
        if done >= _LEAST and time.process_time() - begin > seconds / 2:
            break
        shape = model.predict(singles[0]).shape[1:]
    # Each answer is copied and freed, as if it were used up: kept, it would change how memory for the next is found.
    kept = np.empty((len(singles), *shape), np.float32)
    gc.disable()  # a collection belongs to the program around, not to the inference
    for _ in range(EMPTY):
        mark(0)
        mark(0)
    for done, image in enumerate(singles, start=1):
        mark(0)
        probabilities = model.predict(image)
        mark(0)
        kept[done - 1] = probabilities[0]
        del probabilities
        if done >= _LEAST and time.process_time() - begin > seconds:
            break
    gc.enable()
    return kept[:done]


def main(file: str, images: str, out: str, seconds: str) -> None:
    """Loads the model, answers and writes."""
    try:
        with load(file) as model:
            answers = answer(model, np.load(images), float(seconds))
            engine = [model.backend.name, model.backend.version, model.backend.provider]
    except LiteportError as error:
        sys.exit(str(error))
    np.savez(out, answers=answers, engine=np.array(engine))


if __name__ == "__main__":
    main(*sys.argv[1:])
