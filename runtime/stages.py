"""Where the time of one `predict` or `run` goes: before the engine's work, in it, and after it."""

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter_ns
from typing import Any

from numpy.typing import ArrayLike, NDArray

from .backends import Backend, Memory, Shapes
from .model import Model

_SETTLING = 3  # untimed: the engine is prepared, the shortcut is found, and the caches fill


@dataclass(frozen=True)
class StageTimes:
    """Nanoseconds of each stage, one entry a call, in order; together they are the whole call.

    Attributes:
        preprocess_ns: From what was given to what the engine reads: checks, pixels to the file's type, quantization.
        invoke_ns: The engine's own work; where the engine lets nobody into its memory, with copies into and out of it.
        postprocess_ns: From the engine's output to what is returned: dequantization, softmax, the copy.
    """

    preprocess_ns: tuple[int, ...]
    invoke_ns: tuple[int, ...]
    postprocess_ns: tuple[int, ...]


def time_stages(model: Model, given: ArrayLike | Mapping[str, ArrayLike], runs: int) -> StageTimes | None:
    """Times the stages of calls, on the very path that calls take: a clock is put in front of the engine meanwhile.

    The clock's readings and two more calls of Python, some tenths of a microsecond, count towards the stages.

    Args:
        model: The model; nobody else may use it meanwhile. It is left as it was, apart from what a model with
            variables remembers.
        given: What `predict` takes, or a dictionary as `run` takes it.
        runs: How many calls are timed, one at least.

    Returns:
        The times; None where one call is no single run of the engine, as of many images, so that stages mix.

    Raises:
        InvalidInputError: If `given` does not fit.
        BackendError: If the engine fails.
    """
    ask = partial(model.run, given) if isinstance(given, Mapping) else partial(model.predict, given)
    ask()  # so that all engines are there
    spans: list[tuple[int, int]] = []
    lanes = model._lanes.made()
    for lane in lanes:
        lane.exchange(partial(_Timed, spans=spans))
    calls = []
    collecting = gc.isenabled()
    try:
        for _ in range(_SETTLING):
            ask()
        if len(spans) != _SETTLING:
            return None
        spans.clear()
        gc.disable()  # as timeit does: a collection belongs to the program around
        for _ in range(runs):
            begin = perf_counter_ns()
            ask()
            calls.append((begin, perf_counter_ns()))
    finally:
        if collecting:
            gc.enable()
        for lane in lanes:
            lane.exchange(_timed_one)
    pairs = list(zip(calls, spans, strict=True))
    return StageTimes(
        tuple(start - begin for (begin, _), (start, _) in pairs),
        tuple(stop - start for _, (start, stop) in pairs),
        tuple(end - stop for (_, end), (_, stop) in pairs),
    )


class _Timed:
    """Implements `Backend` with another one, and notes when each of its runs starts and stops."""

    def __init__(self, backend: Backend, spans: list[tuple[int, int]]) -> None:
        self.backend = backend
        self.info, self.inputs, self.outputs = backend.info, backend.inputs, backend.outputs
        self._spans = spans

    def run(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        start = perf_counter_ns()
        results = self.backend.run(arrays)
        self._spans.append((start, perf_counter_ns()))
        return results

    def memory(self, shapes: Shapes) -> Memory | None:
        memory = self.backend.memory(shapes)
        if memory is None:
            return None
        invoke, note = memory.invoke, self._spans.append

        def timed() -> None:
            start = perf_counter_ns()
            invoke()
            note((start, perf_counter_ns()))

        return replace(memory, invoke=timed)

    def another(self) -> Backend:
        return self.backend.another()

    def close(self) -> None:
        self.backend.close()


def _timed_one(backend: Backend) -> Backend:
    """Returns what a clock stands in front of."""
    assert isinstance(backend, _Timed), "exchanged by none but time_stages"
    return backend.backend
