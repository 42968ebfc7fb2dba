"""Models of one file, and models of two: a text that lists the layers, and their weights.

Everywhere but on disk a model of two files is one `bytes`: the text, a zero byte, which text never has, and the
weights. So what reads, checks or runs a model's content need not know of files.
"""

import os
from pathlib import Path

from liteport.errors import IntegrityError, InvalidInputError

SECOND = {".param": ".bin"}
"""The ending of the second file by that of the first; ncnn's."""

_BETWEEN = b"\0"


def files_of(path: Path) -> tuple[Path, ...]:
    """Returns the paths of all files of a model, given that of the first."""
    return (path, path.with_suffix(SECOND[path.suffix])) if path.suffix in SECOND else (path,)


def joined(parts: tuple[bytes, ...]) -> bytes:
    """Returns a model's content, given that of its files."""
    return _BETWEEN.join(parts)


def parted(content: bytes, suffix: str) -> tuple[bytes, ...]:
    """Returns the content of each of a model's files.

    Args:
        content: The model.
        suffix: The ending of its first file.

    Raises:
        IntegrityError: If the model has one part where there must be two.
    """
    if suffix not in SECOND:
        return (content,)
    first, between, second = content.partition(_BETWEEN)
    if not between:
        raise IntegrityError(f"the {suffix} file comes without its {SECOND[suffix]} file; copy or export both again")
    return first, second


def read_model(path: Path, most: int | None = None) -> bytes:
    """Reads a model's content.

    Args:
        path: Its file, or the first of its two.
        most: The most bytes that a file may have; None for any number.

    Raises:
        IntegrityError: If the second of two files is missing, or the first is no text.
        InvalidInputError: If a file is larger.
        OSError: If a file cannot be read.
    """
    files = files_of(path)
    if missing := [other for other in files[1:] if not other.is_file()]:
        raise IntegrityError(f"{missing[0]} does not exist; {path.name} is one of two files, which go together")
    parts = tuple(_read(file, most) for file in files)
    if len(parts) > 1 and _BETWEEN in parts[0]:
        raise IntegrityError(f"{path} is no text; expected a list of layers, as ncnn's {path.suffix} files are")
    return joined(parts)


def _read(path: Path, most: int | None) -> bytes:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if most is not None and size > most:
            raise InvalidInputError(f"{path} has {size} bytes; expected a model of at most {most}")
        return file.read()
