"""A model's engines: what keeps threads out of each other's way, and what lets several work side by side."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from liteport.errors import InvalidInputError

from .backends import Backend, Memory, Shapes


class Lane:
    """One engine, used by one thread at a time.

    Attributes:
        lock: Held while the engine is at work.
        preparation: Stands for what the engine was last made ready for: another object whenever that has changed.
    """

    def __init__(self, backend: Backend) -> None:
        self.lock = threading.Lock()
        self.preparation = object()
        self._shapes: Shapes | None = None
        self._memory: Memory | None = None
        self._backend: Backend | None = backend

    def run(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Runs the model once; see `Backend.run`."""
        shapes = tuple(array.shape for array in arrays)
        with self.lock:
            backend = self._open()
            if shapes == self._shapes:
                return backend.run(arrays)
            self._changed()
            results = backend.run(arrays)
            self._shapes = shapes  # now that it has gone well
            return results

    def memory(self, shapes: Shapes) -> tuple[Memory, object] | None:
        """Returns the engine's memory for inputs of these shapes, and the `preparation` while which it is valid."""
        with self.lock:
            backend = self._open()
            if self._memory is None or shapes != self._shapes:
                self._changed()
                self._memory = backend.memory(shapes)
                self._shapes = shapes
            return None if self._memory is None else (self._memory, self.preparation)

    def exchange(self, other: Callable[[Backend], Backend]) -> None:
        """Puts another engine in the place of this one, once that is idle, such as one that watches it."""
        with self.lock:
            self._backend = other(self._open())
            self._changed()

    def close(self) -> None:
        """Frees the engine, once it is idle."""
        with self.lock:
            self._changed()
            if self._backend is not None:
                self._backend.close()
            self._backend = None

    def _changed(self) -> None:
        self.preparation = object()
        self._shapes = self._memory = None

    def _open(self) -> Backend:
        if self._backend is None:
            raise closed()
        return self._backend


class Lanes:
    """The lanes of one model, made when they are first used.

    A worker has two at most: one for single items and one for batches. Where both are asked for in turn neither is
    prepared again and again, and a third would only cost memory: each holds its own copy of the weights.
    """

    def __init__(self, backend: Backend, *, only_one: bool = False) -> None:
        """Takes the engine that serves first.

        Args:
            backend: That engine.
            only_one: Whether it serves all, as where it keeps something from one call to the next.
        """
        self._only_one = only_one
        self._lanes: dict[tuple[bool, int], Lane] | None = {}
        self._first = backend
        self._guard = threading.Lock()

    def lane(self, items: int, worker: int = 0) -> Lane:
        """Returns a lane.

        Args:
            items: How many items it is to take at once.
            worker: Which of those that work side by side.

        Raises:
            InvalidInputError: If the model is closed.
            BackendError: If the engine does not load the file once more.
        """
        key = self._only_one or items == 1, worker
        with self._guard:
            lanes = self._opened()
            if key not in lanes:
                lanes[key] = Lane(self._first.another() if lanes else self._first)
            return lanes[key]

    def made(self) -> list[Lane]:
        """Returns the lanes that there are so far."""
        with self._guard:
            return list(self._opened().values())

    def check_open(self) -> None:
        """Raises the error for a model that is closed, if this one is."""
        self._opened()

    def _opened(self) -> dict[tuple[bool, int], Lane]:
        if self._lanes is None:
            raise closed()
        return self._lanes

    def close(self) -> None:
        """Frees all engines, each once it is idle. Closing twice is allowed."""
        with self._guard:
            lanes, self._lanes = self._lanes, None
        if lanes == {}:
            self._first.close()
        for lane in (lanes or {}).values():
            lane.close()


def closed() -> InvalidInputError:
    """Makes the error for a model that is closed."""
    return InvalidInputError("the model is closed; load it again")
