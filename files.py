"""Writing that leaves either the whole new thing or the whole old one, never a half."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from liteport.errors import AlreadyExistsError, InvalidInputError


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a path beside `path` to write to, and renames it to `path` when the block ends well.

    The name given ends like `path` does, for writers that go by the suffix.
    When the block raises, what was written is removed and an older `path` stays as it was.
    """
    beside = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield beside
        beside.replace(path)
    except OSError as error:
        _name(error, path)
        raise
    finally:
        beside.unlink(missing_ok=True)


def check_new_folder(path: Path, *, force: bool, marker: str) -> None:
    """Checks that a folder may be made at `path`, before any long work starts.

    Args:
        path: The folder to be.
        force: Whether an existing one may be replaced.
        marker: A file that a folder of this kind holds; a folder without it is never replaced.

    Raises:
        AlreadyExistsError: If something is there and `force` is off.
        InvalidInputError: If what is there is not a folder of this kind; replacing it would lose the user's files.
        OSError: If the place cannot be written to.
    """
    _temporary_folder(path.resolve()).rmdir()
    _check_replaceable(path, force=force, marker=marker)


def _check_replaceable(path: Path, *, force: bool, marker: str) -> None:
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not force:
        raise AlreadyExistsError(f"{path} exists already; pass --force (force=True) to replace it, or another name")
    if not (path / marker).is_file():
        raise InvalidInputError(f"{path} holds no {marker}, so it is not replaced; name another folder")


def _temporary_folder(path: Path) -> Path:
    """Makes a folder on the file system on which `path` is to be, in the nearest folder there is on the way to it."""
    nearest = next(parent for parent in (*path.parents, path) if parent.exists())
    try:
        return Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=nearest))
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}, so nothing can be written there", str(path)) from error


@contextmanager
def new_folder(path: Path, *, force: bool, marker: str) -> Iterator[Path]:
    """Gives a temporary folder beside `path`, and renames it to `path` when the block ends well.

    Args:
        path: The folder to be; see `check_new_folder` for when it may exist.
        force: Whether an existing one may be replaced.
        marker: A file that a folder of this kind holds.

    Raises:
        AlreadyExistsError: If something is there and `force` is off.
        InvalidInputError: If what is there is not a folder of this kind.
        OSError: If the place cannot be written to.
    """
    check_new_folder(path, force=force, marker=marker)
    path = path.resolve()  # a link stays, and what it points to is made or replaced
    beside = _temporary_folder(path)
    try:
        yield beside
        beside.chmod(0o755)  # mkdtemp makes it private to its owner
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_replaceable(path, force=force, marker=marker)  # again: it took long, and someone else may have been here
        move_into_place(beside, path)
    except OSError as error:
        _name(error, path)
        raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _name(error: OSError, path: Path) -> None:
    """Has an error say what was being written, where the system does not: of a full disk it tells no name."""
    if error.filename is None and error.errno is not None:
        error.filename = str(path)


def move_into_place(beside: Path, path: Path) -> None:
    """Renames a finished folder to `path`; an older one there is set aside first and then removed."""
    if not path.exists():
        beside.rename(path)
        return
    aside = path.with_name(f"{beside.name}-old")
    path.rename(aside)
    try:
        beside.rename(path)
    except BaseException:  # Ctrl-C as well: the older one must not be lost
        if path.exists():  # another process was faster, and replaced it
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.rename(path)
        raise
    shutil.rmtree(aside, ignore_errors=True)
