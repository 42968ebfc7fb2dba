"""The way of the usual case: raw pixels into the engine's own memory, probabilities out of it.

After each inference the processor's caches are cold, and every call that can be left out shows.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import BackendError

from .backends import Memory
from .backends.base import one_line
from .lanes import Lane

Shortcut = Callable[[NDArray[np.uint8]], NDArray[np.float32] | None]


def make_shortcut(
    lane: Lane,
    memory: Memory,
    preparation: object,
    write: Callable[[NDArray[np.uint8]], object],
    decode: Callable[[NDArray[Any]], NDArray[np.float32]],
) -> Shortcut:
    """Makes the function that classifies images of one shape, on one lane.

    Args:
        lane: The lane.
        memory: Its engine's, ready for the images' shape.
        preparation: The lane's while which the memory is valid.
        write: Writes images into that memory.
        decode: Makes probabilities of the output, as a copy.

    Returns:
        What gives the probabilities, or None once the engine is ready for other shapes, or closed. It raises
        `BackendError` if the engine fails.
    """
    lock, output, invoke, failures = lane.lock, memory.outputs[0], memory.invoke, memory.failures

    def classify(images: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        with lock:
            if lane.preparation is not preparation:
                return None
            write(images)
            try:
                invoke()
            except failures as error:
                raise BackendError(f"the engine failed: {one_line(error)}") from error
            return decode(output)

    return classify
