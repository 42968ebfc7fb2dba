"""The process that runs one variant and nothing else: `python -m liteport.benchmarks.worker`.

It reads a JSON object a line on standard input, `{"command": name, "arguments": {...}}`, and answers each with one
line: `{"result": {...}}`, or `{"error": "why"}` where liteport refuses. Anything worse ends the process, which its
parent notices. It imports numpy and `liteport.runtime` alone, so that its memory is what a user of the variant needs.
"""

import gc
import json
import os
import resource
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import LiteportError
from liteport.runtime import Model, load

from .latency import is_steady

WARM_UP_CHUNK = 10
WARM_UP_LIMIT_NS = 2_000_000_000
SETTLING_RUNS = 3  # untimed, at the start of a turn: they bring back the caches that the other variants' turns took

Pixels = NDArray[np.uint8]


class Session:
    """Holds the variant between commands; each method but `serve` is a command of the same name."""

    def __init__(self) -> None:
        self._model: Model | None = None
        self._images: Pixels | None = None
        self._taken = 0

    @property
    def model(self) -> Model:
        """The variant that was loaded."""
        assert self._model is not None, "load comes first"
        return self._model

    def pin(self, cores: list[int]) -> dict[str, Any]:
        """Binds the process to these cores."""
        os.sched_setaffinity(0, cores)
        return {}

    def load(self, bundle: str, variant: str, threads: int, images: str) -> dict[str, Any]:
        """Loads the variant, timed with the import of its engine, and the images for one-image work."""
        self._images = np.load(images)
        begin = perf_counter_ns()
        self._model = load(bundle, variant=variant, threads=threads)
        elapsed = perf_counter_ns() - begin
        backend = self._model.backend
        return {"ns": elapsed, "engine": [backend.name, backend.version, backend.provider]}

    def latency(self, runs: int, settle: bool) -> dict[str, Any]:
        """Times inferences of one image, a different one in each turn."""
        if settle:
            self._time(SETTLING_RUNS)
        return {"ns": self._time(runs)}

    def warm_up(self) -> dict[str, Any]:
        """Runs until the latency no longer changes, or two seconds have passed."""
        medians: list[float] = []
        begin = perf_counter_ns()
        while not is_steady(medians) and perf_counter_ns() - begin < WARM_UP_LIMIT_NS:
            medians.append(statistics.median(self._time(WARM_UP_CHUNK)))
        return {"runs": WARM_UP_CHUNK * len(medians), "steady": is_steady(medians)}

    def memory(self) -> dict[str, Any]:
        """Tells the peak resident memory of this process so far."""
        return {"peak_bytes": peak_resident_bytes()}

    def throughput(self, images: str, batch: int, batches: int) -> dict[str, Any]:
        """Times batches, after one that is not timed."""
        pixels = np.load(images, mmap_mode="r")
        # A test split smaller than the batch is gone through again.
        chosen = np.ascontiguousarray(np.take(pixels, range(batch), axis=0, mode="wrap"))
        self.model.predict(chosen)
        return {"ns": [_timed(self.model, chosen) for _ in range(batches)]}

    def predict(self, images: str, start: int, stop: int, batch: int, out: str) -> dict[str, Any]:
        """Writes the predictions of images `start` to `stop` to a .npy file."""
        pixels = np.load(images, mmap_mode="r")
        bounds = range(start, stop, batch)
        np.save(out, np.concatenate([self.model.predict(np.array(pixels[i : min(i + batch, stop)])) for i in bounds]))
        return {}

    def _time(self, runs: int) -> list[int]:
        assert self._images is not None, "load comes first"
        count, first = len(self._images), self._taken
        turns = [self._images[i % count][np.newaxis] for i in range(first, first + runs)]
        self._taken += runs
        gc.disable()  # as timeit does: a collection belongs to the program around, not to the inference
        try:
            return [_timed(self.model, image) for image in turns]
        finally:
            gc.enable()


COMMANDS: dict[str, Callable[..., dict[str, Any]]] = {
    "pin": Session.pin,
    "load": Session.load,
    "latency": Session.latency,
    "warm_up": Session.warm_up,
    "memory": Session.memory,
    "throughput": Session.throughput,
    "predict": Session.predict,
}


def _timed(model: Model, images: Pixels) -> int:
    begin = perf_counter_ns()
    model.predict(images)
    return perf_counter_ns() - begin


def peak_resident_bytes() -> int:
    """Returns the most memory that this process has held resident, in bytes.

    Linux: `VmHWM`, since getrusage's figure survives exec and may be the parent's. macOS states it in bytes,
    other systems in KiB.
    """
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def serve(requests: IO[str], answers: IO[str]) -> None:
    """Answers requests until there are no more."""
    session = Session()
    for line in requests:
        request = json.loads(line)
        try:
            answer: dict[str, Any] = {"result": COMMANDS[request["command"]](session, **request["arguments"])}
        except LiteportError as error:
            answer = {"error": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def main() -> None:
    """Serves on standard input and output; whatever native libraries print goes to standard error instead."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
