"""One variant on its way through the phases of a benchmark."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import BackendError
from liteport.runtime.schema import parse

from .asking import TEST, Asked
from .inputs import Candidate, Subject
from .limits.survey import Survey
from .lone_files.agreement import agreement
from .process import Worker
from .results import Agreement, Engine, LayerError, Settings, Throughput

TURN_NS = 5_000_000
"""About how long a turn lasts: short beside what a shared machine does to its guests, long beside asking for it."""
MOST_RUNS = 50
STAGE_RUNS = 200
CALLS = 3
CALLS_NS = 500_000_000


@dataclass
class Trial:
    """A variant, its worker, and what was found so far; a failure ends it.

    Attributes:
        launches: Timed inferences by launch and round.
        found: Top class and confidence of each image answered, by the name of the set.
    """

    subject: Subject
    candidate: Candidate
    asked: Asked
    settings: Settings
    start_worker: Callable[[], Worker]
    failure: str | None = None
    engine: Engine | None = None
    load_ns: list[int] = field(default_factory=list)
    first_ns: list[int] = field(default_factory=list)
    warm_up_runs: int = 0
    steady: bool = True
    switches: int | None = 0
    runs: int = 0
    launches: list[list[tuple[int, ...]]] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)
    throughput: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    peak_bytes: int = 0
    found: dict[str, tuple[NDArray[np.int64], NDArray[np.float32]]] = field(default_factory=dict)
    outputs: list[NDArray[Any]] = field(default_factory=list)
    agreement: Agreement | None = None
    layer_errors: tuple[LayerError, ...] = ()
    survey: Survey = field(default_factory=partial(Survey, (), None, {}))
    _worker: Worker | None = None

    @property
    def name(self) -> str:
        """The variant's name among those of all bundles."""
        return f"{self.subject.name} {self.candidate.name}"

    @property
    def worker(self) -> Worker:
        """The process that runs the variant now."""
        assert self._worker is not None, "start comes first"
        return self._worker

    def attempt(self, step: Callable[["Trial"], None]) -> None:
        """Takes a step unless an earlier one failed, and keeps the reason if this one does."""
        if self.failure is None:
            try:
                step(self)
            except BackendError as error:
                self.failure = str(error)
                self.stop()

    def start(self) -> None:
        """Starts a process, which another one then follows in the next launch."""
        self.stop()
        self._worker = self.start_worker()

    def await_start(self) -> None:
        """Waits until the process has imported what it needs."""
        self.worker.ask("memory")

    def stop(self) -> None:
        """Ends the process, if there is one."""
        if self._worker is not None:
            self._worker.close()

    @staticmethod
    def pin(worker: Worker, cores: list[int] | None) -> None:
        """Binds a worker to cores, unless that is left to the system."""
        if cores is not None:
            worker.ask("pin", {"cores": cores})

    def open(self, worker: Worker, threads: int) -> dict[str, Any]:
        """Lets a worker load the variant, and returns what it says of that."""
        candidate, arguments = self.candidate, {"inputs": str(self.asked.few), "batch": self.settings.batch}
        where = {"path": str(candidate.path.absolute()), "variant": candidate.variant}
        return worker.ask("load", {**where, **arguments, "threads": threads})

    def load(self) -> None:
        """Loads the variant on the core that latencies are taken on, and takes the first inference."""
        core = self.settings.core
        self.pin(self.worker, None if core is None else [core])
        loaded = self.open(self.worker, self.settings.threads)
        self.load_ns.append(loaded["ns"])
        self.engine = Engine(*loaded["engine"])
        self.first_ns += self.worker.ask("latency", {"runs": 1, "settle": False})["ns"]

    def warm_up(self) -> None:
        """Runs until the latency no longer changes, and begins a launch."""
        found = self.worker.ask("warm_up")
        self.warm_up_runs += found["runs"]
        self.steady = self.steady and found["steady"]
        if not self.launches:
            self.runs = self.settings.turn_runs or max(1, min(MOST_RUNS, round(TURN_NS / found["ns"])))
        self.launches.append([])

    def take_turn(self) -> None:
        """Times one round's inferences."""
        answer = self.worker.ask("latency", {"runs": self.runs, "settle": True})
        self.launches[-1].append(tuple(answer["ns"]))
        took = answer["switches"]
        self.switches = None if took is None or self.switches is None else self.switches + took

    def read_memory(self) -> None:
        """Reads the peak of resident memory; to be done before batches raise it."""
        self.peak_bytes = self.worker.ask("memory")["peak_bytes"]

    def time_stages(self) -> None:
        """Times preprocessing, the engine's work and postprocessing apart."""
        few = max(1, min(STAGE_RUNS, round(CALLS_NS / median(self.launches[-1][-1]))))
        self.stages = self.worker.ask("stages", {"runs": few})

    def take_calls(self, threads: int, workers: int) -> None:
        """Times calls of many images; what runs on one core stays pinned to it."""
        arguments = {"images": str(self.asked.sets[TEST]), "batch": self.settings.throughput_batch}
        answer = self.worker.ask("throughput", {**arguments, "workers": workers, "calls": CALLS, "budget_ns": CALLS_NS})
        self.throughput.setdefault((threads, workers), []).extend(answer["ns"])

    def read_outputs(self) -> None:
        """Reads what the model answers to the arrays it was timed on."""
        self.worker.ask("outputs", {"out": "outputs.npz"})
        with np.load(self.worker.folder / "outputs.npz") as file:
            values = [file[name] for name in file.files]
        self.outputs = [values[index] for index in self.asked.outputs]

    def compare_outputs(self, reference: "Trial") -> None:
        """Compares these outputs with the reference's."""
        self.agreement = agreement(self.outputs, reference.outputs, self.asked.source)

    def survey_file(self) -> None:
        """Finds out what the file's operations need, in a process of its own; no survey means that it is not known."""
        with contextlib.suppress(BackendError), self.start_worker() as worker:
            found = worker.ask("survey", {"file": str(self.candidate.file.absolute())})
            self.survey = parse(Survey, found, "the survey")

    def find_layer_errors(self, reference: str, images: Path) -> None:
        """Compares the variant layer by layer with a float one of its engine."""
        where = {"bundle": str(self.candidate.path.absolute()), "variant": self.candidate.variant}
        answer = self.worker.ask("layer_errors", {**where, "reference": reference, "images": str(images)})
        self.layer_errors = tuple(LayerError(**layer) for layer in answer["layers"])

    def rates(self) -> tuple[Throughput, ...]:
        """Images per second, by threads and workers."""
        batch = self.settings.throughput_batch
        return tuple(
            Throughput(threads, workers, batch, 1e9 * workers * batch / median(calls), tuple(calls))
            for (threads, workers), calls in self.throughput.items()
        )
