"""How many instructions one inference takes on boards that nobody has on the desk.

Each variant answers single images in emulated Python on each board, and QEMU counts what the processor executes in
`predict`: the engine's work and the runtime's around it, with one thread. It is the same for the same code and image
wherever and whenever it is counted, so it can be compared between machines and from one version to the next. It is no
time: it knows nothing of clocks, of caches, or of how many instructions a processor finishes at once.

The same images are answered on this machine, to see whether the board sees the same in them.
"""

import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import BackendError, InvalidInputError
from liteport.terminal import ProgressCallback, no_progress

from ..environment import usable_cores
from ..results import Engine, InstructionCount
from .arm_environment import Environment
from .arm_system import check_machine
from .boards import ARCHITECTURES, Board, find_board
from .emulation import environments
from .guest import EMPTY

IMAGES = 32
"""How many images do: the median over them no longer moves by a hundredth of a percent."""

SECONDS = 15.0
"""Of a processor's time, for which a file answers on a board; small models are done with all images before."""

TIMEOUT = 300.0
_PROGRAM = ("-m", "liteport.benchmarks.devices.guest")
_QUESTIONS, _OUT = "images.npy", "answers.npz"
_SHOWN = 160


@dataclass(frozen=True)
class _Answers:
    """What one process answered.

    Attributes:
        engine: What ran the model there.
        values: (N, values) of the first images.
        instructions: Of each inference; empty where they were not counted.
    """

    engine: Engine
    values: NDArray[np.float64]
    instructions: tuple[int, ...]


_Outcome = _Answers | str
"""Or why there are no answers."""

_Key = tuple[str, str | None]
"""A file's name, and the board's; None for this machine."""


def check_boards(names: Sequence[str]) -> list[Board]:
    """Checks, before any long work starts, that boards can be emulated here.

    Returns:
        The boards of these names.

    Raises:
        InvalidInputError: If a name is unknown or given twice, or this machine is no Linux on x86-64.
        MissingDependencyError: If a program is missing that emulation takes.
    """
    boards = [find_board(name) for name in names]
    if not boards or len(set(names)) < len(names):
        raise InvalidInputError(f"boards are {', '.join(names) or 'none'}; expected one or more, each once")
    check_machine()
    return boards


def count_instructions(
    files: Mapping[str, Path],
    images: NDArray[Any],
    boards: Sequence[str],
    *,
    seconds: float = SECONDS,
    timeout: float = TIMEOUT,
    progress: ProgressCallback = no_progress,
) -> dict[str, tuple[InstructionCount, ...]]:
    """Counts the instructions of an inference of every file on every board, as many at once as there are cores.

    What the first use builds takes a minute or two and 0.5 GB of the user's cache, see `emulation`.

    Args:
        files: Model files by name; one that lies in its bundle is run as the variant that it is.
        images: (N, ...) items for `predict`, which are asked one by one; `IMAGES` will do.
        boards: Names from `BOARDS`.
        seconds: Of a processor's time, for which a file answers on a board: not all images, where that takes longer,
            but two or more.
        timeout: Seconds after which a process counts as hung.
        progress: Called as work proceeds.

    Returns:
        By the names of `files`, a count for each board. One that crashed, hung or was refused has the reason instead.

    Raises:
        InvalidInputError: If there are fewer than two images, a board is unknown, or this is no Linux on x86-64.
        MissingDependencyError: If a program is missing that emulation takes.
        NotFoundError: If liteport runs without having been installed.
        BackendError: If the emulated systems cannot be set up.
    """
    chosen = check_boards(boards)
    if len(images) < 2:
        raise InvalidInputError(f"there are {len(images)} images; expected two or more to count instructions with")
    architectures = list(dict.fromkeys(board.architecture for board in chosen))
    with environments(architectures, progress) as found, TemporaryDirectory(prefix="liteport-count-") as name:
        scratch = Path(name)
        np.save(scratch / _QUESTIONS, images)
        question = _Question(scratch, seconds, timeout)
        tasks: dict[_Key, Callable[[], _Outcome]] = {}
        for file, path in files.items():
            tasks[file, None] = partial(question.here, path)
            for board in chosen:
                if path.suffix in ARCHITECTURES[board.architecture].suffixes:
                    tasks[file, board.name] = partial(question.on_board, path, found[board.architecture], board)
        outcomes = _all_at_once(tasks, progress)
    return {
        file: tuple(_count(board, path, outcomes.get((file, board.name)), outcomes[file, None]) for board in chosen)
        for file, path in files.items()
    }


def _all_at_once(tasks: Mapping[_Key, Callable[[], _Outcome]], progress: ProgressCallback) -> dict[_Key, _Outcome]:
    """Does the tasks, one on each core at a time."""
    with ThreadPoolExecutor(len(usable_cores())) as pool:
        futures: dict[Future[_Outcome], _Key] = {pool.submit(task): key for key, task in tasks.items()}
        try:
            for done, future in enumerate(as_completed(futures)):
                progress("instructions", done, len(tasks), " on ".join(filter(None, futures[future])))
        except BaseException:  # Ctrl-C as well: what has not begun is left out
            pool.shutdown(cancel_futures=True)
            raise
    progress("instructions", len(tasks), len(tasks), f"{len(tasks)} runs")
    return {key: future.result() for future, key in futures.items()}


@dataclass(frozen=True)
class _Question:
    """What every process is asked.

    Attributes:
        scratch: A folder with the images.
        seconds: See `count_instructions`.
        timeout: Likewise.
    """

    scratch: Path
    seconds: float
    timeout: float

    def here(self, file: Path) -> _Outcome:
        """Has this machine answer."""
        return self._ask(lambda _: [sys.executable], file, counted=False)

    def on_board(self, file: Path, environment: Environment, board: Board) -> _Outcome:
        """Has an emulated board answer, and counts."""
        return self._ask(partial(environment.command, board), file, counted=True)

    def _ask(self, start: Callable[[Path | None], list[str]], file: Path, *, counted: bool) -> _Outcome:
        with TemporaryDirectory(dir=self.scratch) as name:
            folder = Path(name)
            marks, out = folder / "marks.txt", folder / _OUT
            arguments = [str(file.resolve()), str(self.scratch / _QUESTIONS), str(out), str(self.seconds)]
            try:
                _run([*start(marks if counted else None), *_PROGRAM, *arguments], folder, self.timeout)
                with np.load(out) as found:
                    values = found["answers"].reshape(len(found["answers"]), -1).astype(np.float64)
                    engine = Engine(*map(str, found["engine"]))
                return _Answers(engine, values, _differences(marks, len(values)) if counted else ())
            except BackendError as error:
                return str(error)


def _run(command: list[str], folder: Path, timeout: float) -> None:
    """Runs the guest in a folder of its own, and in the same environment on every machine."""
    variables = {
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "PATH": os.defpath,
        "PYTHONHASHSEED": "0",  # the order of sets, and so what is executed, depends on it
        "PYTHONWARNINGS": "ignore",
        "TMPDIR": str(folder),
    }
    with (folder / "log.txt").open("w+", encoding="utf-8", errors="replace") as log:
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BackendError(f"no answer within {timeout:g} s") from error
        log.seek(0)
        last = log.read().strip().rpartition("\n")[2][:_SHOWN]
    if done.returncode < 0:
        raise BackendError(f"the process was ended by {signal.Signals(-done.returncode).name}{last and f': {last}'}")
    if done.returncode:
        raise BackendError(last or f"the process ended with exit code {done.returncode}")
    if not (folder / _OUT).is_file():
        raise BackendError(f"the process gave no answers{last and f': {last}'}")


def _differences(marks: Path, count: int) -> tuple[int, ...]:
    """Returns the instructions of each inference, from what was executed when its marks were made.

    Raises:
        BackendError: If these are not the marks that the guest makes.
    """
    lines = marks.read_text(encoding="ascii").split() if marks.is_file() else []
    expected, found = 2 * (EMPTY + count), len(lines) if all(map(str.isdecimal, lines)) else "something else"
    if found != expected:
        raise BackendError(f"expected {expected} marks in the count of instructions, found {found}")
    totals = np.array(lines, np.int64)
    differences = totals[1::2] - totals[::2]
    own = round(statistics.median(differences[:EMPTY].tolist()))
    return tuple((differences[EMPTY:] - own).tolist())


def _count(board: Board, path: Path, there: _Outcome | None, here: _Outcome) -> InstructionCount:
    """Makes the result of one file on one board from what was found there and here."""
    if there is None:
        there = f"{board.architecture} has no engine for {path.suffix} files"
    if isinstance(there, str):
        return _failed(board, there)
    if isinstance(here, str):
        return _failed(board, f"on this machine, to compare with: {here}")
    count = min(len(there.values), len(here.values))
    ours, theirs = here.values[:count], there.values[:count]
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return _failed(board, "its answers are not finite")
    middle = statistics.median(there.instructions)
    return InstructionCount(
        board=board.name,
        cpu=board.cpu,
        engine=there.engine,
        instructions=round(middle),
        spread=(max(there.instructions) - min(there.instructions)) / middle,
        images=count,
        top1_agreement=float(np.mean(ours.argmax(axis=1) == theirs.argmax(axis=1))),
        max_abs_difference=float(np.abs(ours - theirs).max()),
        failure=None,
    )


def _failed(board: Board, reason: str) -> InstructionCount:
    return InstructionCount(board.name, board.cpu, None, None, None, 0, None, None, reason)
