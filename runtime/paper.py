"""Dark ink on light paper, prepared as the digits of MNIST were: light ink on nothing, of one size, centred.

Models of MNIST's kind know only such images. Here a photograph or a scan becomes one, in four steps:

1. The paper's own brightness is estimated by a gray-scale closing, which fills whatever is dark and narrow (Serra,
   "Image Analysis and Mathematical Morphology", 1982), and divided out: what is seen is the light that falls on a
   place times how much of it the place reflects. Uneven lighting goes with it.
2. What is left falls into paper and ink at Otsu's threshold ("A Threshold Selection Method from Gray-Level
   Histograms", IEEE Trans. SMC, 1979). Paper becomes 0, the ink's own level 255; shades between stay shades.
3. Connected spots that are small against the largest one are dirt and left out.
4. The ink is scaled, its aspect ratio kept, to fit 20×20 pixels of 28×28, its centre of mass in their middle (LeCun,
   Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document Recognition", Proc. IEEE, 1998, and the
   notes at MNIST's site); the same shares of other sizes.
"""

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import require

WORKING_SIZE = 512
"""Pixels of the longer edge that are enough to work with: a digit on a twentieth of it still has MNIST's 20."""

_BOX = 20 / 28  # MNIST: the ink's longer side, as a share of the image's
_TILES = 32  # along the shorter edge: paper is estimated from tiles, which average noise away
_WIDEST_STROKE = 3 / 8  # of the longer edge, or 3/4 of the shorter: what is narrower is ink, what is wider is shade
_FAINTEST = 0.1  # how much darker than the paper ink must be, at least
_CLEAR = 0.35  # difference in the logarithm of brightness that light alone does not make
_EDGE = 0.25  # how dark the faintest part of a stroke's edge is, as a share of the ink
_DIRT = 0.05  # spots of less ink than this share of the largest one

Gray = NDArray[np.float32]
Mask = NDArray[np.bool_]


def is_dark_on_light(gray: NDArray[np.uint8]) -> bool:
    """Tells dark ink on light paper from the reverse, by the background: what the image's border shows.

    Args:
        gray: (H, W).

    Returns:
        Whether what differs most from the border is darker than it. Where nothing does: whether the image is light.
    """
    # Uneven light takes a share of what a place reflects, which the logarithm makes a difference; near black, where
    # shares mean nothing, 16 keeps it small.
    light = np.log(gray + np.float32(16))
    difference = light - _border_plane(light)
    below, above = -np.percentile(difference, 0.1), np.percentile(difference, 99.9)
    if max(below, above) < _CLEAR:
        return bool(np.median(gray) > 127)
    return bool(below > above)


def _border_plane(gray: Gray) -> Gray:
    """The plane through the brightness of the image's border, for lighting that comes from one side."""
    rows, columns = np.mgrid[: gray.shape[0], : gray.shape[1]]
    border = np.ones(gray.shape, bool)
    border[1:-1, 1:-1] = False
    terms = np.stack([rows[border], columns[border], np.ones(border.sum())], axis=1)
    values = gray[border].astype(np.float64)
    kept = np.ones(len(values), bool)
    for _ in range(3):  # a stroke may touch the border: what is far off the plane is left out of it
        plane = np.linalg.lstsq(terms[kept], values[kept], rcond=None)[0]
        far = np.abs(values - terms @ plane)
        kept = far <= max(0.01, 3 * np.median(far))
    surface: Gray = (plane[0] * rows + plane[1] * columns + plane[2]).astype(np.float32)
    return surface


def prepare(gray: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8] | None:
    """Makes of dark ink on light paper what MNIST has: light ink on 0, size-normalized and centred.

    Args:
        gray: (H, W); see `WORKING_SIZE`.
        height: Pixels of the model's input.
        width: Pixels of the model's input.

    Returns:
        (height, width); None if there is no ink.
    """
    ink = _ink(gray)
    if ink is None:
        return None
    ink = _cleaned(ink)
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    return _centred(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], height, width)


def _ink(gray: NDArray[np.uint8]) -> Gray | None:
    """How much ink there is: 0 for paper, 1 where the ink is as dark as it usually is; None if the paper is blank."""
    darkness: Gray = (1 - gray / np.maximum(_paper(gray), 1)).astype(np.float32)
    if np.ptp(darkness) < _FAINTEST:
        return None
    threshold = _otsu(darkness)
    inked = darkness > threshold
    nothing = float(np.median(darkness[~inked]))
    noise = 1.4826 * float(np.median(np.abs(darkness[~inked] - nothing)))  # a normal distribution's, from the median
    full = float(np.percentile(darkness[inked], 75))
    if full - nothing < max(_FAINTEST, 4 * noise):
        return None
    ink: Gray = np.clip((darkness - nothing) / (full - nothing), 0, 1).astype(np.float32)
    ink[ink < min(0.5, max(_EDGE / 2, 3 * noise / (full - nothing)))] = 0
    return ink


def _paper(gray: NDArray[np.uint8]) -> Gray:
    """The brightness that the paper has, or would have were there no ink on it."""
    height, width = gray.shape
    tile = -(-min(height, width) // _TILES)
    padded = np.pad(gray, ((0, -height % tile), (0, -width % tile)), mode="edge")
    tiles = padded.reshape(padded.shape[0] // tile, tile, padded.shape[1] // tile, tile)
    light = np.percentile(tiles, 75, axis=(1, 3)).astype(np.float32)
    reach = max(1, round(min(max(light.shape) * _WIDEST_STROKE, min(light.shape) * 2 * _WIDEST_STROKE) / 2))
    # Windows may lie half outside, so that brightness may fall towards the border.
    closed = -_highest(-_highest(np.pad(light, 2 * reach, mode="edge"), reach), reach)
    return _resized(closed, *padded.shape)[:height, :width]


def _highest(values: NDArray[Any], reach: int) -> NDArray[Any]:
    """The highest value within `reach`, in both directions: the dilation by a square, where that lies inside."""
    for _ in range(2):
        shifted = (values[start : len(values) - 2 * reach + start] for start in range(2 * reach + 1))
        values = functools.reduce(np.maximum, shifted).T
    return values


def _otsu(values: Gray) -> float:
    """The threshold that parts the values into two classes of the least variance within."""
    counts, edges = np.histogram(values, 256)
    middles = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    sums = np.cumsum(counts * middles)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1:][np.nan_to_num(between).argmax()])


def _cleaned(ink: Gray) -> Gray:
    """Leaves out the spots that hold little ink."""
    labels = _connected(ink > _EDGE)
    amounts = np.bincount(labels.ravel(), weights=ink.ravel())
    amounts[0] = 0
    return np.where((amounts >= _DIRT * amounts.max())[labels] & (labels > 0), ink, np.float32(0))


def _connected(mask: Mask) -> NDArray[np.int32]:
    """Numbers the connected spots of a mask, by the highest index of their pixels; 0 where the mask is off.

    Every pixel takes its neighbours' highest number, and then that number's own, which makes the way short that a
    number has to go along a stroke (Shiloach and Vishkin, "An O(log n) Parallel Connectivity Algorithm", 1982).
    """
    numbers = np.where(mask, np.arange(1, mask.size + 1, dtype=np.int32).reshape(mask.shape), np.int32(0))
    nothing = np.zeros(1, np.int32)
    while True:
        before = numbers
        numbers = np.where(mask, _highest(np.pad(numbers, 1), 1), 0)
        numbers = np.concatenate([nothing, numbers.ravel()])[numbers]
        if (numbers == before).all():
            return numbers


def _centred(ink: Gray, height: int, width: int) -> NDArray[np.uint8]:
    """Scales ink into the box and puts its centre of mass in the image's middle, as far as it then still fits."""
    scale = min(height * _BOX / ink.shape[0], width * _BOX / ink.shape[1])
    small = _resized(ink, *(max(1, round(size * scale)) for size in ink.shape))
    small = np.clip(np.round(small * 255), 0, 255).astype(np.uint8)
    amounts = small / max(1, small.sum())
    image = np.zeros((height, width), np.uint8)
    corner = []
    for axis, size in enumerate((height, width)):
        # To pixel 14 of 0 to 27: in MNIST itself all centres of mass are within half a pixel of there.
        centre = (np.arange(small.shape[axis]) * amounts.sum(axis=1 - axis)).sum()
        corner.append(int(np.clip(round(size / 2 - centre), 0, size - small.shape[axis])))
    image[corner[0] : corner[0] + small.shape[0], corner[1] : corner[1] + small.shape[1]] = small
    return image


def _resized(values: Gray, height: int, width: int) -> Gray:
    """Pillow's bilinear filter, which averages when it makes smaller."""
    image_module = require("PIL.Image", "image")
    image = image_module.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(image.resize((width, height), image_module.Resampling.BILINEAR), dtype=np.float32)
