"""Whether the older TFLite runtime runs a variant too, and gives the same answers."""

import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.runtime.backends import Backend
from liteport.runtime.contents import read_contents
from liteport.runtime.inputs import Input
from liteport.runtime.records import RuntimeTrial

from .isolation import stop_when
from .job import Job, noise
from .tflite_runtime import PACKAGE, VERSION, OldRuntime, Unavailable, find_environment, try_in

_COUNT = 16

_Arrays = Mapping[str, NDArray[Any]]


class Trials:
    """Tries files in the older runtime, each in a process of its own, while the export goes on."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(1, initializer=stop_when, initargs=(self._stop,))  # waits for other processes
        self._runtime = self._pool.submit(find_environment)
        self._trials: dict[str, Future[RuntimeTrial]] = {}

    def start(self, variant: str, content: bytes, backend: Backend) -> None:
        """Has a file tried.

        Args:
            variant: The variant's id.
            content: Its `.tflite` file.
            backend: The same file, loaded by the newer runtime, whose answers are expected.
        """
        job = self._job
        samples = (job.reference.samples if job.reference else job.calibration) or noise(
            job.traced.inputs, _COUNT, job.wishes.seed
        )
        few = samples.first(job.traced.inputs[0].shape[0] or _COUNT).inputs
        preprocessing = {info.name: info.preprocessing for info in job.inputs}
        arrays = [Input(spec, preprocessing[spec.name]).prepare(few[spec.name]) for spec in backend.inputs]
        feeds = {spec.name: array for spec, array in zip(backend.inputs, arrays, strict=True)}
        expected = {spec.name: array for spec, array in zip(backend.outputs, backend.run(arrays), strict=True)}
        self._trials[variant] = self._pool.submit(_tried, self._runtime, content, feeds, expected)

    def results(self, variant: str) -> tuple[RuntimeTrial, ...]:
        """Returns what came of a variant's trial; nothing where it was not started."""
        return (self._trials[variant].result(),) if variant in self._trials else ()

    def close(self) -> None:
        """Ends the trials, also those that have not run and the making of the environment."""
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)


def requirement(trials: tuple[RuntimeTrial, ...]) -> str:
    """Says in words what runs a variant."""
    words = {True: "seen to run with", False: "not with", None: "not tried with"}
    texts = []
    for outcome, text in words.items():
        names = [
            f"{trial.name} {trial.version}{f' ({trial.note})' if trial.note else ''}"
            for trial in trials
            if trial.ran is outcome
        ]
        if names:
            texts.append(f"{text} {', '.join(names)}")
    return "; ".join(texts)


def _tried(
    found: "Future[OldRuntime | Unavailable]", content: bytes, feeds: _Arrays, expected: _Arrays
) -> RuntimeTrial:
    runtime = found.result()
    if isinstance(runtime, Unavailable):
        return RuntimeTrial(PACKAGE, VERSION, ran=None, note=runtime.reason)
    trial = try_in(runtime, content, feeds, expected)
    if trial.max_difference is None:
        return RuntimeTrial(trial.name, trial.version, ran=False, note=trial.reason)
    step = _output_step(content)
    if not trial.max_difference <= max(_allowed(array, step) for array in expected.values()):
        note = f"its answers differ by up to {trial.max_difference:.3g}"
        return RuntimeTrial(trial.name, trial.version, ran=False, note=note)
    return RuntimeTrial(trial.name, trial.version, ran=True, note=None)


def _output_step(content: bytes) -> float:
    """The largest step of the integers that a file itself turns into floating outputs; 0.0 where it does not."""
    contents = read_contents(content, ".tflite")
    steps = [
        max(contents.tensors[op.inputs[0]].scales, default=0.0)
        for op in contents.ops
        if op.kind == "DEQUANTIZE" and op.outputs[0] in contents.outputs
    ]
    return max(steps, default=0.0)


def _allowed(expected: NDArray[Any], step: float) -> float:
    """How far answers may differ: kernels of two versions round differently, while nonsense differs by much more."""
    values = expected.astype(np.float64)
    return max(0.1 * float(np.ptp(values)), 2 * (step if expected.dtype.kind == "f" else 1.0))
