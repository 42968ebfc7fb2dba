"""Whether there is enough calibration data: what one half of it would have given, against the other half."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from liteport.runtime.contents import Contents, read_contents
from liteport.runtime.records import Stability

from .verify import top_class

Run = Callable[[bytes], Mapping[str, NDArray[np.float32]]]


def stability(variant: str, suffix: str, contents: tuple[bytes, bytes], run: Run | None) -> Stability:
    """Compares two files of one variant, each calibrated on a half of the data.

    Args:
        variant: Its id.
        suffix: Its files' ending.
        contents: The two files.
        run: Gives a file's outputs for the verification data; None where there is none.
    """
    ranges = [_ranges(read_contents(content, suffix)) for content in contents]
    differences = {
        name: max(abs(low - ranges[1][name][0]), abs(high - ranges[1][name][1]))
        / max(high - low, ranges[1][name][1] - ranges[1][name][0])
        for name, (low, high) in ranges[0].items()
        if name in ranges[1]
    }
    worst = max(differences, key=lambda name: differences[name])
    mean = agreement = None
    if run is not None:
        first, second = (next(iter(run(content).values())) for content in contents)
        mean = float(np.abs(first - second).mean())
        agreement = float((top_class(first) == top_class(second)).mean())
    return Stability(variant, float(np.median(list(differences.values()))), differences[worst], worst, mean, agreement)


def _ranges(contents: Contents) -> dict[str, tuple[float, float]]:
    """The real values between which each activation is represented: what calibration decided."""
    ranges = {}
    for tensor in contents.tensors:
        if not tensor.constant and len(tensor.scales) == 1 and tensor.dtype in ("int8", "uint8", "int16", "uint16"):
            limits, scale, zero = np.iinfo(tensor.dtype), tensor.scales[0], tensor.zero_points[0]
            ranges[tensor.name.removesuffix("_QuantizeLinear_Output")] = (
                (limits.min - zero) * scale,
                (limits.max - zero) * scale,
            )
    return ranges
