"""An input that a user gives for model files: a .npy for a single one, an .npz by name."""

import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError, NotFoundError

LABELS = "labels"
# What numpy and zipfile raise for a file that is no array, is truncated, altered, encrypted or pickled.
_DAMAGE = (
    *(ValueError, TypeError, LookupError, EOFError, OSError, MemoryError, RuntimeError, SyntaxError),
    *(tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)


@dataclass(frozen=True, eq=False)
class GivenInput:
    """Values to ask model files about.

    Attributes:
        values: By name of the input; a .npy file's only array is called "".
        labels: The right class of each item, (N,) int64; None where not given.
    """

    values: dict[str, NDArray[Any]]
    labels: NDArray[np.int64] | None


def read_given(path: Path, known: Sequence[Sequence[str]]) -> GivenInput:
    """Reads a user's input.

    Args:
        path: A .npy file, or an .npz with an array for each input and, if wished, `labels`, unless that is an input.
        known: The names of each model file's inputs.

    Raises:
        NotFoundError: If there is no such file.
        InvalidInputError: If it holds no such arrays.
    """
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist; expected a .npy or .npz file with the input")
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            arrays = {"": loaded} if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except _DAMAGE as error:
        raise InvalidInputError(f"{path} holds no numbers; expected what numpy.save or numpy.savez wrote") from error
    if empty := [name for name, array in arrays.items() if array.size == 0]:
        raise InvalidInputError(f"{path} holds no values{f' for {empty[0]!r}' if empty[0] else ''}")
    if LABELS not in arrays or any(LABELS in names for names in known):
        return GivenInput(arrays, None)
    labels = arrays.pop(LABELS)
    counts = {array.shape[:1] for array in arrays.values()}
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or counts != {labels.shape} or labels.min() < 0:
        raise InvalidInputError(
            f"{LABELS} of {path} is {labels.dtype} {labels.shape}; expected a class's number, from 0, for each item"
        )
    return GivenInput(arrays, labels.astype(np.int64))
