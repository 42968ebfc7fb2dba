"""Many items in parts: as many at once as an engine runs best, or as the file takes, by one worker or several."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError

from .card import TensorSpec

T = TypeVar("T")

# Measured per item, batches of 8 to 32 are the quickest of small classifiers; of large ones single images are as quick,
# and what lies between their layers fills the memory of small boards.
_MOST_ITEMS = 32
_MOST_BYTES = 1 << 20

_MOST_WORKERS = 256  # no CPU serves more; with 100,000 threads LiteRT crashes the process and ONNX Runtime hangs


@dataclass(frozen=True)
class Part:
    """Some of the items, as the engine gets them.

    Attributes:
        start: The first item.
        stop: The one after the last.
        size: How many the engine gets: those, filled up with zeros.
        known: How many of the first are in the part before as well, and dropped here.
        whole: Whether this is all there is.
        fixed: Whether the file takes no other number of items.
    """

    start: int
    stop: int
    size: int
    known: int
    whole: bool
    fixed: bool

    def taken(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Returns the part of an input's batch."""
        items = batch[self.start : self.stop]
        missing = self.size - len(items)
        return np.concatenate([items, np.zeros((missing, *items.shape[1:]), items.dtype)]) if missing else items

    def kept(self, results: list[NDArray[Any]], outputs: Sequence[TensorSpec]) -> list[NDArray[Any]]:
        """Returns the results of the items that no other part has.

        Raises:
            InvalidInputError: If a result does not have one entry an item.
        """
        count = self.stop - self.start
        if self.whole and count == self.size:
            return results
        for values, spec in zip(results, outputs, strict=True):
            if values.shape[:1] != (self.size,):
                raise InvalidInputError(
                    f"output {spec.name!r} has shape {values.shape} for {self.size} items, so they cannot be run in "
                    f"parts; pass {'exactly' if self.fixed else 'at most'} {self.size}"
                )
        return [values[self.known : count] for values in results]


def split(batch: NDArray[Any], fixed: int | None, workers: int) -> list[Part]:
    """Divides items into parts of one size, which spares the engine from being prepared for several.

    Where they do not divide evenly the last part begins with items of the one before.

    Args:
        batch: The items.
        fixed: How many the file takes at once, where it takes no other number.
        workers: How many work side by side.
    """
    count = len(batch)
    if count == 0:
        return []
    if fixed is None:
        most = min(_MOST_ITEMS, max(1, _MOST_BYTES // max(1, 4 * batch[0].size)))
        parts = max(-(-count // most), min(workers, count))
        size = -(-count // (-(-parts // workers) * workers))
    else:
        size = fixed
    if count <= size:
        return [Part(0, count, size, 0, whole=True, fixed=fixed is not None)]
    starts = [*range(0, count - size, size), count - size]
    ends = [0, *(start + size for start in starts)]
    return [
        Part(start, start + size, size, end - start, whole=False, fixed=fixed is not None)
        for start, end in zip(starts, ends, strict=False)
    ]


def side_by_side(run: Callable[[Part, int], T], parts: Sequence[Part], workers: int) -> list[T]:
    """Runs each part by one of several workers, whichever is free; a failure ends them all.

    Args:
        run: Gives a part's result; its second argument is the worker, from 0.
        parts: What there is to do.
        workers: How many work at once.

    Returns:
        One result a part, in order.
    """
    if workers == 1 or len(parts) == 1:
        return [run(part, 0) for part in parts]
    from concurrent.futures import ThreadPoolExecutor  # with logging, which one image after the other need not load

    results: dict[int, T] = {}
    queue = iter(list(enumerate(parts)))  # a list's iterator may be shared: it gives each item once

    def work(worker: int) -> None:
        try:
            for index, part in queue:
                results[index] = run(part, worker)
        finally:
            for _ in queue:  # after a failure nothing is left for the others
                pass

    with ThreadPoolExecutor(min(workers, len(parts))) as pool:
        try:
            for done in [pool.submit(work, worker) for worker in range(min(workers, len(parts)))]:
                done.result()
        finally:
            for _ in queue:
                pass
    return [results[index] for index in range(len(parts))]


def whole_number(what: str, count: Any, most: int = _MOST_WORKERS) -> int:
    """Refuses numbers of threads, workers and classes that make no sense.

    Raises:
        InvalidInputError: If it is no whole number from 1 to `most`.
    """
    try:
        number = operator.index(count)
    except TypeError:
        number = 0
    if not 1 <= number <= most:
        raise InvalidInputError(f"{what} is {count!r}, expected a whole number from 1 to {most}")
    return number
