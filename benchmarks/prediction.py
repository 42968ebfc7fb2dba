"""The accuracy phase: every variant classifies the test split and altered copies of it, on all cores at once.

Nothing is timed here. Images stand in a random order: what a slow variant has no time for leaves a sample.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from liteport.errors import BackendError
from liteport.terminal import ProgressCallback

from .asking import TEST
from .environment import usable_cores
from .process import Worker
from .results import Settings
from .trial import Trial

CHUNK_NS = 1_000_000_000  # about the time of one request: progress is seen, and no answer is waited for long
HELP_NS = 5_000_000_000  # work from which on a second process, which takes about a second to start, is worth it
FEWEST = 500  # images that a sample has at least, if there are as many


class _Task:
    """One variant's images in chunks, which its worker takes one after the other, and helpers of a slow one do too."""

    def __init__(self, trial: Trial, sizes: dict[str, int], progress: ProgressCallback, lock: Lock) -> None:
        settings = trial.settings
        batch = settings.throughput_batch
        self.ns_per_image = 1e9 / trial.rates()[0].images_per_second
        counts = sample_sizes(sizes, self.ns_per_image, settings.accuracy_time_s)
        step = batch * max(1, int(CHUNK_NS / (self.ns_per_image * batch)))
        self.trial = trial
        self.left = deque(
            (name, range(start, min(start + step, count)))
            for name, count in counts.items()
            for start in range(0, count, step)
        )
        self.found = {name: (np.full(count, -1), np.zeros(count, np.float32)) for name, count in counts.items()}
        self.workers: list[Worker] = []
        self._progress, self._lock = progress, lock

    @property
    def left_ns(self) -> float:
        """How long the chunks that nobody has taken will last."""
        return self.ns_per_image * sum(len(chunk) for _, chunk in self.left)

    def run(self, worker: Worker) -> None:
        """Lets a worker that has loaded the variant take chunks until there are none."""
        self.workers.append(worker)
        while self.trial.failure is None and (taken := self._take()) is not None:
            name, chunk = taken
            arguments = {"images": str(self.trial.asked.sets[name]), "start": chunk.start, "stop": chunk.stop}
            batch = self.trial.settings.throughput_batch
            worker.ask("predict", {**arguments, "batch": batch, "out": "predictions.npy"})
            part = slice(chunk.start, chunk.stop)
            top1, confidence = self.found[name]
            top1[part], confidence[part] = _likeliest(np.load(worker.folder / "predictions.npy"))
            self._tell()

    def _tell(self) -> None:
        images = sum(len(top1) for top1, _ in self.found.values())
        with self._lock:  # that of all tasks: who reports progress need not expect several threads
            done = sum(int((top1 >= 0).sum()) for top1, _ in self.found.values())
            note = f"{images:,} images" if done == images else ""
            self._progress(f"accuracy of {self.trial.name}", done, images, note)

    def _take(self) -> tuple[str, range] | None:
        try:
            return self.left.popleft()
        except IndexError:
            return None

    def stop(self) -> None:
        """Ends the workers; they have done their last work, unless Ctrl-C came first."""
        self.left.clear()
        for worker in self.workers:
            worker.kill()


def sample_sizes(sizes: dict[str, int], ns_per_image: float, seconds: float) -> dict[str, int]:
    """Returns how many images of each set a variant is asked about.

    All, where half of the time is enough for the test split and half for the altered copies; else as many as fit, out
    of 500, 1,000, 2,000, 4,000 and so on, but 500 at least. In such steps the same seed gives the same sample in spite
    of a time per image that is never quite the same.

    Args:
        sizes: Images of each set.
        ns_per_image: What one takes.
        seconds: The time that a variant has.
    """
    others = len(sizes) - 1

    def fitting(name: str, size: int) -> int:
        share = 0.5 if others else 1.0
        fit = int(seconds * 1e9 / ns_per_image * (share if name == TEST else share / others))
        return size if fit >= size else min(size, FEWEST << max(0, (fit // FEWEST).bit_length() - 1))

    return {name: fitting(name, size) for name, size in sizes.items()}


def predict_all(trials: list[Trial], settings: Settings, progress: ProgressCallback) -> None:
    """Finds every variant's top class of each image.

    As many processes work at once as there are cores for their threads. A core that has no variant left to begin
    helps with one that still has much to do.

    Args:
        trials: The variants, warm; each gets its `found`, or its failure.
        settings: How many threads each has.
        progress: Called after each chunk.
    """
    available = usable_cores()
    slots = max(1, len(available) // settings.threads)
    cores: SimpleQueue[int] = SimpleQueue()
    for core in available[:slots]:
        cores.put(core)

    def run(work: Callable[[_Task, list[int] | None], None], task: _Task) -> None:
        core = cores.get()
        try:
            task.trial.attempt(lambda _: work(task, [core] if settings.core is not None else None))
        finally:
            cores.put(core)

    lock = Lock()
    sizes = {path: len(np.load(path, mmap_mode="r")) for trial in trials for path in trial.asked.sets.values()}
    tasks = [
        _Task(trial, {name: sizes[path] for name, path in trial.asked.sets.items()}, progress, lock)
        for trial in trials
        if trial.failure is None
    ]
    tasks.sort(key=lambda task: -task.left_ns)  # the slowest first: begun last, it would run on alone
    jobs = [partial(run, _work, task) for task in tasks]
    jobs += [partial(run, _help, task) for task in tasks for _ in range(slots - 1)]
    with ThreadPoolExecutor(slots) as pool:
        try:
            for future in [pool.submit(job) for job in jobs]:
                future.result()
        finally:
            for task in tasks:
                task.stop()
    for task in tasks:
        task.trial.found = task.found


def _work(task: _Task, cores: list[int] | None) -> None:
    task.trial.pin(task.trial.worker, cores)
    task.trial.open(task.trial.worker, task.trial.settings.threads)
    task.run(task.trial.worker)


def _help(task: _Task, cores: list[int] | None) -> None:
    if task.left_ns > HELP_NS:
        with task.trial.start_worker() as helper:
            task.trial.pin(helper, cores)
            task.trial.open(helper, task.trial.settings.threads)
            task.run(helper)


def _likeliest(predictions: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Returns each image's top class, and its probability."""
    if not np.isfinite(predictions).all():
        raise BackendError("its predictions hold NaN or infinite values")
    top1: NDArray[np.int64] = predictions.argmax(axis=-1).astype(np.int64)
    return top1, predictions.max(axis=-1)
