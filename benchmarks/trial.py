"""One variant on its way through the phases of a benchmark."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import BackendError
from liteport.runtime import Variant

from .inputs import Subject
from .process import Worker
from .results import Engine, Settings

BATCHES = 3


@dataclass(frozen=True)
class Images:
    """A test split as files that every worker maps into its memory.

    Attributes:
        all: The .npy file of the whole split, uint8 (N, H, W, C).
        few: The .npy file of the images that one-image work takes in turn; few, since a worker holds them.
    """

    all: Path
    few: Path


@dataclass
class Trial:
    """A variant, its worker, and what was found so far; a failure ends it."""

    subject: Subject
    variant: Variant
    worker: Worker
    images: Images
    settings: Settings
    failure: str | None = None
    engine: Engine | None = None
    load_ns: int = 0
    first_ns: int = 0
    warm_up_runs: int = 0
    steady: bool = False
    rounds: list[tuple[int, ...]] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    peak_memory_bytes: int = 0
    top1: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def name(self) -> str:
        """The variant's name among those of all bundles."""
        return f"{self.subject.name} {self.variant.id}"

    def attempt(self, step: Callable[["Trial"], None]) -> None:
        """Takes a step unless an earlier one failed, and keeps the reason if this one does."""
        if self.failure is None:
            try:
                step(self)
            except BackendError as error:
                self.failure = str(error)
                self.worker.kill()

    @staticmethod
    def pin(worker: Worker, core: int | None) -> None:
        """Binds a worker to a core, unless that is left to the system."""
        if core is not None:
            worker.ask("pin", {"cores": [core]})

    def open(self, worker: Worker, core: int | None) -> dict[str, Any]:
        """Lets a worker load the variant, and returns what it says of that."""
        self.pin(worker, core)
        arguments = {"bundle": str(self.subject.path.absolute()), "variant": self.variant.id}
        return worker.ask("load", {**arguments, "threads": self.settings.threads, "images": str(self.images.few)})

    def load(self) -> None:
        """Loads the variant on the core that latencies are taken on, and takes the first inference."""
        loaded = self.open(self.worker, self.settings.core)
        self.load_ns, self.engine = loaded["ns"], Engine(*loaded["engine"])
        (self.first_ns,) = self.worker.ask("latency", {"runs": 1, "settle": False})["ns"]

    def warm_up(self) -> None:
        """Runs until the latency no longer changes."""
        found = self.worker.ask("warm_up")
        self.warm_up_runs, self.steady = found["runs"], found["steady"]

    def take_turn(self) -> None:
        """Times one round's inferences of one image."""
        self.rounds.append(tuple(self.worker.ask("latency", {"runs": self.settings.runs, "settle": True})["ns"]))

    def read_memory(self) -> None:
        """Reads the peak of resident memory; to be done before batches raise it."""
        self.peak_memory_bytes = self.worker.ask("memory")["peak_bytes"]

    def take_batches(self) -> None:
        """Times one round's batches."""
        arguments = {"images": str(self.images.all), "batch": self.settings.batch, "batches": BATCHES}
        self.batches += self.worker.ask("throughput", arguments)["ns"]
