"""The phases in which figures are taken: in turns, so that what disturbs a machine for a while disturbs all alike.

While latencies are taken nothing else runs: the workers wait for their turn, and so does this process.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from time import monotonic

import numpy as np

from liteport.terminal import ProgressCallback

from .environment import usable_cores
from .results import Settings
from .trial import Trial

THROUGHPUT_ROUNDS = 3
REFERENCES = ("tflite-float32", "onnx-float32")
"""The variants that others are compared with, in order of preference; a bundle without them has its first."""


@dataclass(frozen=True)
class Phases:
    """What every phase needs.

    Attributes:
        settings: How to measure.
        rng: Draws the order of turns.
        progress: Called as work proceeds.
    """

    settings: Settings
    rng: np.random.Generator
    progress: ProgressCallback

    def each(self, phase: str, trials: list[Trial], step: Callable[[Trial], None]) -> None:
        """Takes a step with one trial after the other."""
        if not trials:
            return
        for done, trial in enumerate(trials):
            self.progress(phase, done, len(trials), trial.name)
            trial.attempt(step)
        self.progress(phase, len(trials), len(trials), f"{len(trials)} variant{'s' if len(trials) > 1 else ''}")

    def take_latencies(self, trials: list[Trial]) -> list[Trial]:
        """Times single inferences in several launches, each with a process anew for every variant.

        Processes of one and the same file differ by up to a hundredth of their latency, each for as long as it lives:
        where its memory lies decides. One launch would take that for a difference of variants.

        Returns:
            The A/A controls: a trial for each subject's reference, timed among the others as one more variant.
        """
        controls = list[Trial]()
        try:
            self._take_latencies(trials, controls)
        finally:
            for control in controls:
                control.stop()
        return controls

    def _take_latencies(self, trials: list[Trial], controls: list[Trial]) -> None:
        clock = _Clock(self.settings, self.progress)
        for launch in range(self.settings.launches):
            self._launch((*trials, *controls))
            if launch == 0:
                controls += _controls(trials)
                self._launch(controls)
            everyone = (*trials, *controls)
            self._shuffled(everyone, Trial.warm_up)
            for _ in clock.rounds(launch):
                self._shuffled(everyone, Trial.take_turn)
                if all(trial.failure for trial in everyone):
                    return
            if launch == 0:
                for trial in trials:
                    trial.attempt(Trial.read_memory)
        clock.end()

    def _launch(self, trials: Iterable[Trial]) -> None:
        for step in (Trial.start, Trial.await_start):  # all start at once, and none disturbs the timed loading
            for trial in trials:
                trial.attempt(step)
        self._shuffled(trials, Trial.load)

    def _shuffled(self, trials: Iterable[Trial], step: Callable[[Trial], None]) -> None:
        """Takes a step with each, in a new random order."""
        among = list(trials)
        for index in self.rng.permutation(len(among)):
            among[index].attempt(step)

    def take_throughput(self, trials: list[Trial]) -> None:
        """Times calls of many images, on one core and on more by threads or by workers, up to all there are."""
        if not trials:
            return
        cores = usable_cores()
        pinning = self.settings.core is not None
        cells = ways(len(cores), self.settings.threads)
        for done, (threads, workers) in enumerate(cells):
            self.progress("throughput", done, len(cells), f"{threads} threads, {workers} workers")
            chosen = [self.settings.core] if self.settings.core is not None and threads * workers == 1 else cores
            for trial in trials:
                trial.attempt(partial(_reopen, threads=threads, cores=chosen if pinning else None))
            for _ in range(THROUGHPUT_ROUNDS):
                self._shuffled(trials, partial(Trial.take_calls, threads=threads, workers=workers))
        self.progress("throughput", len(cells), len(cells), f"{len(cells)} ways to use the cores")


class _Clock:
    """Says when a launch ends: after its share of the time, or after its rounds."""

    def __init__(self, settings: Settings, progress: ProgressCallback) -> None:
        self._settings, self._progress = settings, progress
        self._taken = 0

    def rounds(self, launch: int) -> Iterable[int]:
        settings, start, taken = self._settings, monotonic(), 0
        while True:
            self._tell(launch, monotonic() - start, taken)
            yield taken
            taken += 1
            self._taken += 1
            share = (settings.duration_s or 0) / settings.launches
            if taken >= settings.rounds and monotonic() - start >= share:
                return

    def _tell(self, launch: int, elapsed: float, taken: int) -> None:
        settings = self._settings
        if settings.duration_s is not None:
            total = settings.duration_s
            done = min(launch * total / settings.launches + elapsed, total - 0.5)
        else:
            total, done = settings.launches * settings.rounds, launch * settings.rounds + taken
        self._progress("latency", int(done), max(1, round(total)), f"launch {launch + 1} of {settings.launches}")

    def end(self) -> None:
        total = round(self._settings.duration_s or self._taken) or 1
        self._progress("latency", total, total, f"{self._taken} rounds in {self._settings.launches} launches")


def _reopen(trial: Trial, threads: int, cores: list[int] | None) -> None:
    trial.pin(trial.worker, cores)
    trial.open(trial.worker, threads)


def ways(cores: int, threads: int) -> list[tuple[int, int]]:
    """Returns the ways to use a machine's cores that are measured, as (threads, workers).

    That of the settings comes first, then powers of two and all cores, by threads and by workers.

    Args:
        cores: How many there are.
        threads: Those of the settings.
    """
    counts = sorted({min(1 << step, cores) for step in range(cores.bit_length() + 1)})
    found = [(threads, 1), *((count, 1) for count in counts), *((1, count) for count in counts)]
    return list(dict.fromkeys(found))


def reference_of(trials: list[Trial]) -> Trial | None:
    """Returns which of a subject's trials the others are compared with; None where none is left."""
    left = {trial.candidate.name: trial for trial in trials if trial.failure is None}
    return next((left[name] for name in (*REFERENCES, *left) if name in left), None)


def _controls(trials: list[Trial]) -> list[Trial]:
    subjects = {id(trial.subject): trial.subject for trial in trials}.values()
    chosen = (reference_of([trial for trial in trials if trial.subject is subject]) for subject in subjects)
    return [
        Trial(trial.subject, trial.candidate, trial.asked, trial.settings, trial.start_worker)
        for trial in chosen
        if trial is not None
    ]
