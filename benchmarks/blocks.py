"""Writing arrays in parts, as the images of a data set may be more than memory holds."""

from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_BYTES_AT_ONCE = 1 << 24


def read_blocks(read: Callable[[NDArray[np.int64]], NDArray[Any]], order: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
    """Reads items in an order, some at once: about 16 MB.

    Args:
        read: Returns the items at indices, (n, ...).
        order: (N,) indices, at least one.
    """
    first = read(order[:1])
    step = max(1, _BYTES_AT_ONCE // max(1, first.nbytes))
    yield first
    for start in range(1, len(order), step):
        yield read(order[start : start + step])


def write_npy(file: IO[bytes], blocks: Iterator[NDArray[Any]], count: int) -> None:
    """Writes blocks one after the other as one .npy.

    Args:
        file: Where to.
        blocks: (n, ...) of one type and shape.
        count: How many items they are together, at least one.

    Raises:
        OSError: If the disk is full.
    """
    first = np.ascontiguousarray(next(blocks))
    header = {
        "descr": np.lib.format.dtype_to_descr(first.dtype),
        "fortran_order": False,
        "shape": (count, *first.shape[1:]),
    }
    np.lib.format.write_array_header_1_0(file, header)
    file.write(first.data)
    for block in blocks:
        file.write(np.ascontiguousarray(block).data)
