"""Trials on this machine: some at a time, each in a folder of its own."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from ..environment import usable_cores
from .children import Children
from .setup import Setup, Spec
from .trial import Outcome, run_trial

TellTrial = Callable[[Spec, str], None]
"""Called with a trial and what it does now; from several threads."""


def run_here(specs: Iterable[Spec], setup: Setup, folder: Path, jobs: int, tell: TellTrial) -> Iterator[Outcome]:
    """Runs trials and yields how each ended, as it does.

    Args:
        specs: What to run.
        setup: How.
        folder: Has, or gets, a folder for each trial.
        jobs: Trials at a time, which share the cores evenly; one alone computes as it likes.
        tell: Told of each trial's steps.
    """
    children = Children(threads=None if jobs == 1 else max(1, len(usable_cores()) // jobs))

    def run(spec: Spec) -> Outcome:
        def told(doing: str) -> None:
            tell(spec, doing)

        return run_trial(spec, setup, folder / spec.name, setup.data, children, told)

    with ThreadPoolExecutor(jobs) as pool:
        left: set[Future[Outcome]] = {pool.submit(run, spec) for spec in specs}
        try:
            while left:
                done, left = wait(left, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            children.stop()  # those that still run where this is given up, such as by Ctrl-C
            pool.shutdown(cancel_futures=True)
