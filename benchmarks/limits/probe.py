"""A machine's roofline: how fast it multiplies at most, and how fast it reads memory.

The model: S. Williams, A. Waterman, D. Patterson, "Roofline: An Insightful Visual Performance Model for Multicore
Architectures", Communications of the ACM 52 (2009).
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import require
from liteport.runtime.backends import ENGINES, Engine, installed

from ..results import Bandwidth, Peak, Roofline
from . import onnx_probe, tflite_probe

# Rows, depth and columns of the products, the smaller ones first. On an AVX-512 server the third came nearest to what
# the core can do; smaller caches favour the second, matrix extensions and many threads the last.
SIZES = ((32, 128, 128), (96, 256, 256), (256, 512, 512), (512, 1024, 1024))
SMALLEST_SET, LARGEST_SET = 1 << 18, 1 << 26  # bytes read again and again
_TURN_S = 0.07  # of one measurement
_IDLE_S = 0.01
_LONGEST_RUN_S = 0.05  # of one product; larger ones are left out where they would take longer
_FEWEST_RUNS = 3
_SEED = 0

_Run = Callable[[], object]


@dataclass(frozen=True)
class _Multiplier:
    """Something that multiplies matrices.

    Attributes:
        engine: Its name.
        compute: The type that it multiplies.
        prepare: Makes the product of a size ready to be run.
    """

    engine: str
    compute: str
    prepare: Callable[[tuple[int, int, int]], _Run]


# The files that engines are asked to multiply by. ncnn computes batches item by item, and so is no
# measure; nor is MNN, which has no product of integers here.
_PRODUCTS: dict[str, Callable[[NDArray[Any], int], bytes]] = {
    ".tflite": tflite_probe.product_file,
    ".onnx": lambda weights, rows: onnx_probe.product_file(np.ascontiguousarray(weights.T), rows),
}


def measure_roofline(threads: int) -> Roofline:
    """Measures what this machine can do at most, in about three seconds; to be called in a process of its own.

    Peaks are of the fastest run of some products, by the fastest of the installed engines; rates of reading are the
    fastest too: what a neighbour takes for a while is no limit. Products and sets are smaller on a machine that is slow
    or has little memory.

    Args:
        threads: Threads to use. numpy's own product is not tried: the library behind it has threads of its own, on
            all cores that there were when it was imported.

    Raises:
        MissingDependencyError: If psutil is not installed.
        BackendError: If an engine refuses a product, which none does that is in order.
    """
    best: dict[str, Peak] = {}
    for multiplier in _multipliers(threads):
        rate = _peak(multiplier)
        if multiplier.compute not in best or rate > best[multiplier.compute].macs_per_second:
            best[multiplier.compute] = Peak(multiplier.compute, multiplier.engine, rate)
    return Roofline(tuple(best.values()), _bandwidths(threads))


def _multipliers(threads: int) -> Iterator[_Multiplier]:
    suffixes = set()
    for engine in ENGINES:
        first = engine.suffix not in suffixes  # of a kind, as when a file is loaded
        if installed(engine) and engine.suffix in _PRODUCTS and first:
            suffixes.add(engine.suffix)
            for compute in ("float32", "int8"):
                yield _Multiplier(engine.package, compute, partial(_by_engine, engine, compute, threads))


def _peak(multiplier: _Multiplier) -> float:
    """Returns multiply-accumulates per second of a multiplier's fastest run."""
    rate = 0.0
    for size in SIZES:
        macs = size[0] * size[1] * size[2]
        if rate and macs / rate > _LONGEST_RUN_S:
            break
        rate = max(rate, macs / min(_times(multiplier.prepare(size))))
    return rate


def _by_engine(engine: Engine, compute: str, threads: int, size: tuple[int, int, int]) -> _Run:
    rows, depth, columns = size
    generator = np.random.default_rng(_SEED)
    weights = _random(generator, (columns, depth), compute)
    backend = engine.load(_PRODUCTS[engine.suffix](weights, rows), threads)
    spec = backend.inputs[0]
    data = _random(generator, (rows, depth), spec.dtype)
    memory = backend.memory(((rows, depth),))
    if memory is None:
        return partial(backend.run, [data])
    memory.inputs[0][...] = data
    return lambda: memory.invoke()  # holds the memory, which what is invoked does not


def _random(generator: np.random.Generator, shape: tuple[int, int], dtype: str) -> NDArray[Any]:
    if dtype == "float32":
        return generator.standard_normal(shape, np.float32)
    limits = np.iinfo(dtype)
    return generator.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def _bandwidths(threads: int) -> tuple[Bandwidth, ...]:
    """Measures rates of reading by size, up to a quarter of the memory that is free."""
    free: int = require("psutil", "benchmarks").virtual_memory().available
    largest = max(SMALLEST_SET, min(LARGEST_SET, free // 4))
    sizes = [SMALLEST_SET << step for step in range((largest // SMALLEST_SET).bit_length())]
    memory = np.ones(sizes[-1], np.uint8)  # written to: pages of zeros would all be the same one
    readers = [_Reader(np.maximum.reduce, memory), _Reader(np.bitwise_or.reduce, memory.view(np.uint64))]
    with ThreadPoolExecutor(threads) as pool:
        rates = [max(reader.rate(size, threads, pool) for reader in readers) for size in sizes]
    return tuple(map(Bandwidth, sizes, rates))


class _Reader:
    """A reduction that does little more than to read; which one is faster depends on the processor and the size."""

    def __init__(self, reduce: Callable[[NDArray[Any]], object], memory: NDArray[Any]) -> None:
        self._reduce = reduce
        self._memory = memory
        self._idle = median(_times(partial(reduce, memory[:1]), _IDLE_S))  # what a call costs that reads nothing

    def rate(self, size: int, threads: int, pool: ThreadPoolExecutor) -> float:
        """Returns bytes per second, where each thread reads a part of its own again and again."""
        count = size // self._memory.itemsize // threads
        parts = [self._memory[index * count : (index + 1) * count] for index in range(threads)]
        times = [min(found) for found in pool.map(_times, [partial(self._reduce, part) for part in parts])]
        return sum(parts[0].nbytes / max(found - self._idle, found / 2) for found in times)


def _times(run: _Run, turn_s: float | None = None) -> list[float]:
    """Returns how many seconds each of some runs takes, after one that is not timed."""
    run()
    times: list[float] = []
    end = time.perf_counter() + (turn_s or _TURN_S)
    while len(times) < _FEWEST_RUNS or time.perf_counter() < end:
        begin = time.perf_counter_ns()
        run()
        times.append((time.perf_counter_ns() - begin) / 1e9)
    return times
