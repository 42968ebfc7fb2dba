"""Which tensor of one model file is which of another's, and how values are laid out for both."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError
from liteport.runtime import TensorSpec

Shape = tuple[int | None, ...]

AS_IT_IS = ""
# In order of preference: the first that makes a shape fit is taken.
_LAYOUTS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    AS_IT_IS: lambda values: values,
    "transposed to NCHW": lambda values: np.moveaxis(values, -1, 1),
    "transposed to NHWC": lambda values: np.moveaxis(values, 1, -1),
    "without the channel": lambda values: values[..., 0],
    "with a channel": lambda values: values[..., np.newaxis],
}
_OF_IMAGES = {"transposed to NCHW": 4, "transposed to NHWC": 4, "without the channel": 4, "with a channel": 3}
_NAME_OF_OLD_TFLITE = "serving_default_"


def layout(shape: Sequence[int | None], wanted: Shape) -> str | None:
    """Tells how values must be laid out anew to fit a tensor: by one of the ways in which images differ between files.

    Args:
        shape: The values' shape, items first.
        wanted: The tensor's, None where free; () stands for any. The number of items is not looked at.

    Returns:
        The layout's name, `AS_IT_IS` where nothing must be done; None where none fits.
    """
    if not wanted:
        return AS_IT_IS
    probe = np.broadcast_to(np.uint8(0), [size or 0 for size in shape])  # 0 marks what is free, as no size is 0
    for name, change in _LAYOUTS.items():
        if probe.ndim != _OF_IMAGES.get(name, probe.ndim) or (name == "without the channel" and shape[-1] != 1):
            continue
        if _fits(change(probe).shape, wanted):
            return name
    return None


def laid_out(values: NDArray[Any], name: str) -> NDArray[Any]:
    """Lays values out as `layout` has said; contiguous, as engines want it."""
    return np.asarray(_LAYOUTS[name](values), order="C")


def match(theirs: Sequence[TensorSpec], ours: Sequence[TensorSpec], what: str) -> tuple[tuple[int, ...], str]:
    """Finds which tensor of a file stands for which of the first file's.

    One stands for one, several by their names, or else by their shapes where these leave no choice. Outputs that
    neither tells apart are taken in order, which is said; inputs then are an error, as what is asked would differ.

    Args:
        theirs: The file's inputs, or its outputs.
        ours: Those of the first file.
        what: "input" or "output".

    Returns:
        For each of ours the index of theirs; and how they were matched, where that is worth saying.

    Raises:
        InvalidInputError: If they do not match.
    """
    if len(theirs) != len(ours):
        raise InvalidInputError(
            f"it has {_listed(theirs)} as {what}s, the first file {_listed(ours)}; expected as many"
        )
    names = [_plain(spec.name) for spec in theirs]
    wanted = [_plain(spec.name) for spec in ours]
    note = ""
    if len(ours) == 1:
        order = [0]
    elif len(set(names)) == len(names) and set(names) == set(wanted):
        order = [names.index(name) for name in wanted]
    else:
        able = [[i for i, spec in enumerate(theirs) if _comparable(spec, our)] for our in ours]
        order, note = [found[0] for found in able if len(found) == 1], f"{what}s are matched by their shapes"
        if len(set(order)) < len(ours):
            if what == "input":
                raise InvalidInputError(
                    f"it has {_listed(theirs)} as {what}s, the first file {_listed(ours)}; expected the same names"
                )
            order, note = list(range(len(ours))), f"{what}s are compared in order, as their names differ"
    for our, index in zip(ours, order, strict=True):
        if not _comparable(theirs[index], our):
            raise InvalidInputError(
                f"its {what} {_listed([theirs[index]])} does not fit the first file's {_listed([our])}"
            )
    return tuple(order), note


def _comparable(their: TensorSpec, our: TensorSpec) -> bool:
    return not our.shape or layout(our.shape, their.shape) is not None


def _fits(found: Sequence[int], wanted: Shape) -> bool:
    return len(found) == len(wanted) and all(
        size in (None, got) or got == 0 for size, got in zip(wanted[1:], found[1:], strict=True)
    )


def _plain(name: str) -> str:
    """Returns a name without what TensorFlow's converters put around it."""
    return name.removeprefix(_NAME_OF_OLD_TFLITE).partition(":")[0]


def _listed(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{spec.name!r} {[*spec.shape]}" for spec in specs)
