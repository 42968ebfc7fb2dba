"""The process that runs one variant and nothing else: `python -m liteport.benchmarks.worker`.

It reads a JSON object a line on standard input, `{"command": name, "arguments": {...}}`, and answers each with one
line: `{"result": {...}}`, or `{"error": "why"}` where liteport refuses. Anything worse ends the process, which its
parent notices. It imports numpy and `liteport.runtime` alone, so that its memory is what a user of the variant needs.
"""

import gc
import json
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import LiteportError
from liteport.runtime import Model, load

from .conditions import involuntary_switches
from .steadiness import is_steady, median_of

WARM_UP_CHUNK = 10
WARM_UP_LIMIT_NS = 2_000_000_000
SETTLING_RUNS = 3  # untimed, at the start of a turn: they bring back the caches that the other variants' turns took

Pixels = NDArray[np.uint8]


class Session:
    """Holds the variant between commands; each method is a command of the same name."""

    def __init__(self) -> None:
        self._model: Model | None = None
        self._images: Pixels | None = None
        self._arrays: dict[str, NDArray[Any]] = {}
        self._batch = 1
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

    def load(self, path: str, variant: str | None, threads: int, inputs: str, batch: int) -> dict[str, Any]:
        """Loads the variant, timed with the import of its engine.

        `inputs` is a .npy file of images, which `predict` is asked about in turn, or an .npz file with an array for
        each input of a model, which `run` is asked about.
        """
        if inputs.endswith(".npz"):
            with np.load(inputs) as file:
                self._arrays = dict(file)
        else:
            self._images = np.load(inputs)
        self._batch = batch
        begin = perf_counter_ns()
        self._model = load(path, variant=variant, threads=threads)
        elapsed = perf_counter_ns() - begin
        backend = self._model.backend
        return {"ns": elapsed, "engine": [backend.name, backend.version, backend.provider]}

    def latency(self, runs: int, settle: bool) -> dict[str, Any]:
        """Times inferences, of other images in each."""
        if settle:
            self._time(SETTLING_RUNS)
        before = involuntary_switches()
        times = self._time(runs)
        after = involuntary_switches()
        return {"ns": times, "switches": None if before is None or after is None else after - before}

    def warm_up(self) -> dict[str, Any]:
        """Runs until the latency no longer changes, or two seconds have passed."""
        medians: list[float] = []
        begin = perf_counter_ns()
        while not is_steady(medians) and perf_counter_ns() - begin < WARM_UP_LIMIT_NS:
            medians.append(median_of(self._time(WARM_UP_CHUNK)))
        return {"runs": WARM_UP_CHUNK * len(medians), "steady": is_steady(medians), "ns": medians[-1]}

    def memory(self) -> dict[str, Any]:
        """Tells the peak resident memory of this process so far."""
        return {"peak_bytes": peak_resident_bytes()}

    def stages(self, runs: int) -> dict[str, Any]:
        """Times the stages of one inference apart; the answer is empty where they cannot be told apart."""
        from liteport.runtime.stages import time_stages

        given = self._arrays if self._images is None else _wrapped(self._images, 0, self._batch)
        stages = time_stages(self.model, given, runs)
        if stages is None:
            return {}
        times = {"preprocess": stages.preprocess_ns, "invoke": stages.invoke_ns, "postprocess": stages.postprocess_ns}
        return {name: median_of(values) for name, values in times.items()}

    def throughput(self, images: str, batch: int, workers: int, calls: int, budget_ns: int) -> dict[str, Any]:
        """Times calls of `workers` batches after one that is not timed: as many as fit the time, one at least."""
        chosen = _wrapped(np.load(images, mmap_mode="r"), 0, batch * workers)
        self.model.predict(chosen, workers=workers)
        times: list[int] = []
        while len(times) < calls and sum(times) < budget_ns:
            begin = perf_counter_ns()
            self.model.predict(chosen, workers=workers)
            times.append(perf_counter_ns() - begin)
        return {"ns": times}

    def predict(self, images: str, start: int, stop: int, batch: int, out: str) -> dict[str, Any]:
        """Writes the predictions of images `start` to `stop` to a .npy file."""
        pixels = np.load(images, mmap_mode="r")
        bounds = range(start, stop, batch)
        np.save(out, np.concatenate([self.model.predict(np.array(pixels[i : min(i + batch, stop)])) for i in bounds]))
        return {}

    def outputs(self, out: str) -> dict[str, Any]:
        """Writes every output for the arrays of `load` to an .npz file, in the model's order."""
        results = self.model.run(self._arrays)
        np.savez(out, *(results[spec.name] for spec in self.model.outputs))
        return {}

    def roofline(self, threads: int) -> dict[str, Any]:
        """Measures what this machine can do at most."""
        import dataclasses

        from .limits.probe import measure_roofline

        return dataclasses.asdict(measure_roofline(threads))

    def survey(self, file: str) -> dict[str, Any]:
        """Tells what a file's operations need; it is run once for that, on zeros."""
        import dataclasses

        from liteport.runtime.model_files import read_model

        from .limits.survey import survey

        path = Path(file)
        return dataclasses.asdict(survey(read_model(path), path.suffix))

    def layer_errors(self, bundle: str, variant: str, reference: str, images: str) -> dict[str, Any]:
        """Compares a variant with a float one of its engine, layer by layer."""
        from .layer_errors import find_layer_errors

        return {"layers": find_layer_errors(Path(bundle), variant, reference, np.load(images))}

    def _time(self, runs: int) -> list[int]:
        first, self._taken = self._taken, self._taken + runs
        if self._images is None:
            ask: Callable[[Any], object] = self.model.run
            turns: list[Any] = [self._arrays] * runs
        else:
            ask, images, batch = self.model.predict, self._images, self._batch
            turns = [_wrapped(images, i * batch, batch) for i in range(first, first + runs)]
        times = []
        gc.disable()  # as timeit does: a collection belongs to the program around, not to the inference
        try:
            for given in turns:
                begin = perf_counter_ns()
                ask(given)
                times.append(perf_counter_ns() - begin)
        finally:
            gc.enable()
        return times


COMMANDS: dict[str, Callable[..., dict[str, Any]]] = {
    "pin": Session.pin,
    "load": Session.load,
    "latency": Session.latency,
    "warm_up": Session.warm_up,
    "memory": Session.memory,
    "stages": Session.stages,
    "throughput": Session.throughput,
    "predict": Session.predict,
    "outputs": Session.outputs,
    "roofline": Session.roofline,
    "survey": Session.survey,
    "layer_errors": Session.layer_errors,
}


def _wrapped(images: Pixels, start: int, count: int) -> Pixels:
    """Returns `count` images from `start` on, going through them again from the first where there are no more."""
    if count == 1:
        one: Pixels = images[start % len(images)][np.newaxis]
        return one
    return np.ascontiguousarray(np.take(images, range(start, start + count), axis=0, mode="wrap"))


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
