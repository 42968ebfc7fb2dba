"""Emulated Raspberry Pis: Python environments for Arm that run on this machine under QEMU's user-mode emulation.

They are built once and kept in a folder of the user's cache, which LITEPORT_ARM_CACHE moves. What the recipe or
liteport's own code has left behind is built anew.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from liteport.terminal import ProgressCallback, no_progress

from .arm_environment import Environment
from .arm_system import check_machine
from .boards import ARCHITECTURES
from .wheel import build_wheel

_PHASE = "emulated boards"


def cache_folder() -> Path:
    """Returns where environments are kept: LITEPORT_ARM_CACHE, or `liteport/arm` in the user's cache folder."""
    if chosen := os.environ.get("LITEPORT_ARM_CACHE"):
        return Path(chosen).resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "liteport/arm"


@contextmanager
def environments(names: Sequence[str], progress: ProgressCallback = no_progress) -> Iterator[dict[str, Environment]]:
    """Gives environments that are up to date, building what is missing; none changes until the block ends.

    Args:
        names: Names of architectures.
        progress: Called as the set-up proceeds.

    Raises:
        InvalidInputError: If this machine is no Linux on x86-64.
        MissingDependencyError: If a program is missing that this takes.
        NotFoundError: If liteport runs without having been installed.
        BackendError: If something cannot be downloaded or installed.
    """
    check_machine()
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="liteport-wheel-") as folder, (cache / "lock").open("w") as lock:
        wheel = build_wheel(Path(folder))
        found = {name: Environment(ARCHITECTURES[name], cache) for name in names}
        # Who uses environments shares the lock, who builds them has it alone. In between another may have been here.
        _take(lock.fileno(), fcntl.LOCK_SH, progress)
        while not all(step.done() for environment in found.values() for step in environment.steps(wheel)):
            _take(lock.fileno(), fcntl.LOCK_EX, progress)
            _build(list(found.values()), wheel, progress)
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield found


def _take(lock: int, kind: int, progress: ProgressCallback) -> None:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        progress(_PHASE, 0, 1, "waiting for another liteport that builds or uses them")
        fcntl.flock(lock, kind)


def _build(environments: list[Environment], wheel: Path, progress: ProgressCallback) -> None:
    """Does what is to be done: first what they share, then each side by side."""
    total = 1 + len(environments)
    progress(_PHASE, 0, total, "unpacking QEMU")
    for step in environments[0].shared_steps():
        step.do()

    def build(environment: Environment) -> str:
        for step in environment.steps(wheel):
            step.do()
        return environment.architecture.name

    names = " and ".join(environment.architecture.name for environment in environments)
    progress(_PHASE, 1, total, f"unpacking and installing Python of {names}")
    with ThreadPoolExecutor() as pool:
        for done, name in enumerate(pool.map(build, environments), start=2):
            progress(_PHASE, done, total, f"{name} is ready")
