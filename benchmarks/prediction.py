"""The accuracy phase: every variant classifies the whole test split, on all cores at once; nothing is timed here."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from statistics import median
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from liteport.errors import BackendError
from liteport.terminal import ProgressCallback

from .environment import usable_cores
from .process import Worker
from .results import Settings
from .trial import Trial

CHUNK_NS = 1_000_000_000  # about the time of one request: progress is seen, and no answer is waited for long
HELP_NS = 5_000_000_000  # work from which on a second process, which takes about a second to start, is worth it


class _Task:
    """One variant's images in chunks, which its worker takes one after the other, and helpers of a slow one do too."""

    def __init__(self, trial: Trial, progress: ProgressCallback, lock: Lock) -> None:
        images, batch = len(trial.subject.data.test.images), trial.settings.batch
        self.ns_per_image = median(trial.batches) / batch
        step = batch * max(1, int(CHUNK_NS / median(trial.batches)))
        self.trial = trial
        self.left = deque(range(start, min(start + step, images)) for start in range(0, images, step))
        self.top1 = np.full(images, -1)
        self.workers: list[Worker] = []
        self._progress, self._lock = progress, lock

    @property
    def left_ns(self) -> float:
        """How long the chunks that nobody has taken will last."""
        return self.ns_per_image * sum(map(len, self.left))

    def run(self, worker: Worker) -> None:
        """Lets a worker that has loaded the variant take chunks until there are none."""
        self.workers.append(worker)
        while self.trial.failure is None and (chunk := self._take()) is not None:
            arguments = {"images": str(self.trial.images.all), "start": chunk.start, "stop": chunk.stop}
            worker.ask("predict", {**arguments, "batch": self.trial.settings.batch, "out": "predictions.npy"})
            self.top1[chunk.start : chunk.stop] = _top1(np.load(worker.folder / "predictions.npy"))
            self._tell()

    def _tell(self) -> None:
        images = len(self.top1)
        with self._lock:  # that of all tasks: who reports progress need not expect several threads
            done = int((self.top1 >= 0).sum())
            note = f"{images:,} images" if done == images else ""
            self._progress(f"accuracy of {self.trial.name}", done, images, note)

    def _take(self) -> range | None:
        try:
            return self.left.popleft()
        except IndexError:
            return None

    def stop(self) -> None:
        """Ends the workers; they have done their last work, unless Ctrl-C came first."""
        self.left.clear()
        for worker in self.workers:
            worker.kill()


def predict_all(
    trials: list[Trial], settings: Settings, start_worker: Callable[[], Worker], progress: ProgressCallback
) -> None:
    """Finds every variant's top class of each test image.

    As many processes work at once as there are cores for their threads. A core that has no variant left to begin
    helps with one that still has much to do.

    Args:
        trials: The variants, warm; each gets its `top1`, or its failure.
        settings: How many threads each has.
        start_worker: Starts a process for a helper.
        progress: Called after each chunk.
    """
    available = usable_cores()
    slots = max(1, len(available) // settings.threads)
    cores: SimpleQueue[int] = SimpleQueue()
    for core in available[:slots]:
        cores.put(core)

    def run(work: Callable[[_Task, int | None], None], task: _Task) -> None:
        core = cores.get()
        try:
            task.trial.attempt(lambda _: work(task, core if settings.core is not None else None))
        finally:
            cores.put(core)

    lock = Lock()
    tasks = [_Task(trial, progress, lock) for trial in trials if trial.failure is None]
    tasks.sort(key=lambda task: -task.left_ns)  # the slowest first: begun last, it would run on alone
    jobs = [partial(run, _work, task) for task in tasks]
    jobs += [partial(run, partial(_help, start_worker), task) for task in tasks for _ in range(slots - 1)]
    with ThreadPoolExecutor(slots) as pool:
        try:
            for future in [pool.submit(job) for job in jobs]:
                future.result()
        finally:
            for task in tasks:
                task.stop()
    for task in tasks:
        task.trial.top1 = task.top1


def _work(task: _Task, core: int | None) -> None:
    task.trial.pin(task.trial.worker, core)
    task.run(task.trial.worker)


def _help(start_worker: Callable[[], Worker], task: _Task, core: int | None) -> None:
    if task.left_ns > HELP_NS:
        with start_worker() as helper:
            task.trial.open(helper, core)
            task.run(helper)


def _top1(predictions: NDArray[np.float32]) -> NDArray[np.int64]:
    if not np.isfinite(predictions).all():
        raise BackendError("its predictions hold NaN or infinite values")
    top1: NDArray[np.int64] = predictions.argmax(axis=-1).astype(np.int64)
    return top1
