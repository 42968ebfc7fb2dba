"""A bundle's variants on trial: by liteport's own worker, by a stand-in for it, or by a program without liteport."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np

from liteport.benchmarks import process
from liteport.benchmarks.asking import Asked
from liteport.benchmarks.environment import usable_cores
from liteport.benchmarks.inputs import Subject, resolve
from liteport.benchmarks.phases import Phases
from liteport.benchmarks.process import Worker
from liteport.benchmarks.results import Settings
from liteport.benchmarks.trial import Trial
from liteport.terminal import no_progress

STAND_INS = Path(__file__).with_name("stand_ins.py")
CORE = usable_cores()[-1]
TIMEOUT_S = 120.0


class Bench:
    """A bundle, and what its variants are asked.

    Args:
        bundle: Its folder.
        folder: Where the images are written, and workers run.
    """

    def __init__(self, bundle: Path, folder: Path) -> None:
        self.bundle, self.folder = bundle, folder
        self.subject: Subject = resolve(bundle, None, None)[0]
        assert self.subject.data is not None, "of a bundle it is always known"
        self.images = folder / "few.npy"
        np.save(self.images, self.subject.data.test.images[:32])
        self.known = {candidate.name: candidate for candidate in self.subject.candidates}

    def trial(self, variant: str, settings: Settings, *stand_in: str) -> Trial:
        """Makes a trial of a variant, by liteport's worker or by the stand-in that is named."""
        candidate = replace(self.known[variant], name=" ".join((*stand_in, variant)))
        return Trial(self.subject, candidate, Asked(self.images), settings, lambda: self._start(*stand_in))

    def _start(self, *stand_in: str) -> Worker:
        command = (sys.executable, str(STAND_INS), *stand_in) if stand_in else process.COMMAND
        with mock.patch.object(process, "COMMAND", command):
            return Worker(self.folder, TIMEOUT_S)

    def alone(self, way: str, variant: str, runs: int) -> list[int]:
        """Times a variant's file in a process of its own, without liteport."""
        out = self.folder / "times.npy"
        arguments = (way, self.known[variant].file.absolute(), self.images, CORE, runs, out)
        subprocess.run([sys.executable, STAND_INS, *map(str, arguments)], check=True, capture_output=True)
        return [int(ns) for ns in np.load(out)]


def take(trials: list[Trial], settings: Settings) -> list[Trial]:
    """Takes latencies as the benchmark does, and returns its A/A controls."""
    controls = Phases(settings, np.random.default_rng(settings.seed), no_progress).take_latencies(trials)
    for trial in (*trials, *controls):
        trial.stop()
        if trial.failure:
            sys.exit(f"{trial.name}: {trial.failure}")
    return controls
