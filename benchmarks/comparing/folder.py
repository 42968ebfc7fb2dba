"""The folder of a comparison: whose it is, and that only one comparison at a time works in it."""

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from liteport.errors import AlreadyExistsError, InvalidInputError

from .results import COMPARISON_FILE
from .setup import SETUP_FILE, Setup, record_setup

TRIALS, REPORT = "trials", "report"
_LOCK = ".lock"


@contextmanager
def opened(path: Path, setup: Setup, *, force: bool) -> Iterator[Path]:
    """Gives a comparison's folder, made where it is not there, for as long as the block lasts.

    Where no trial was begun in the end, such as for a mistyped design, the folder is left as it was.

    Args:
        path: The folder.
        setup: What is to be compared in it.
        force: Whether what another comparison left there is removed first.

    Raises:
        AlreadyExistsError: If it holds something, and no comparison.
        InvalidInputError: If it holds trials of another setup, or another comparison is at work there.
        IntegrityError: If the setup recorded there is damaged.
        OSError: If it cannot be written to.
    """
    path = path.resolve()
    if path.exists() and (not path.is_dir() or any(path.iterdir())) and not (path / SETUP_FILE).is_file():
        raise AlreadyExistsError(f"{path} holds no {SETUP_FILE}, so it is no comparison; name another folder")
    (path / TRIALS).mkdir(parents=True, exist_ok=True)
    with _locked(path):
        if force:
            _clear(path)
        for stray in (path / TRIALS).glob(".*"):  # of a process that was killed
            shutil.rmtree(stray)
        record_setup(setup, path, begun=any((path / TRIALS).iterdir()))
        try:
            yield path
        finally:
            if not any((path / TRIALS).iterdir()):
                _clear(path)
                for name in (SETUP_FILE, _LOCK):
                    (path / name).unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # it was there before, or holds what is not ours
                    (path / TRIALS).rmdir()
                    path.rmdir()


def _clear(path: Path) -> None:
    """Removes what a comparison writes."""
    for name in (TRIALS, REPORT):
        shutil.rmtree(path / name, ignore_errors=True)
    for name in (COMPARISON_FILE, "compare.html", "compare.md", "compare.csv", "pareto.png", "ray.log"):
        (path / name).unlink(missing_ok=True)
    (path / TRIALS).mkdir()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keeps others out; the system lets go of the lock however this process ends."""
    with (path / _LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InvalidInputError(
                f"another comparison works in {path}; wait for it, or name another folder"
            ) from error
        yield
