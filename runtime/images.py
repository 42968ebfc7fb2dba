"""Image files, PIL images and arrays to raw pixels, by Pillow."""

import os
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError
from liteport.pixels import MODES, NOT_PIXELS, decode, fitted, has_alpha

from . import paper

__all__ = ["NOT_PIXELS", "Invert", "image_size", "open_image"]

Invert = bool | Literal["auto"]
"""Whether dark ink on light paper is turned into the reverse; see `open_image`."""


def open_image(source: Any, height: int, width: int, channels: int, invert: Invert = False) -> NDArray[np.uint8]:
    """Reads one image and fits it to a model's input.

    The first frame is taken where there are several, and the camera's orientation (EXIF) is applied. Transparency is
    laid on white. Colours become gray (ITU-R 601-2 luma) or the reverse as the model needs, 16 bits become 8. The
    size is changed to the model's, whatever the aspect ratio, by Pillow's bilinear filter, which averages over all
    pixels when it makes smaller; of a large JPEG, the decoder itself averages at first.

    With `invert`, dark ink on light paper becomes what MNIST has: light ink on 0, size-normalized and centred, the
    paper's uneven lighting removed; see `liteport.runtime.paper`. Paper fills the image then, with one drawing on it.
    A transparent image's paper is what is transparent, whatever the colour of the ink.

    Args:
        source: A path, the bytes of an image file, a `PIL.Image.Image`, or an array of any size: uint8 (H, W),
            (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA, or uint16 (H, W) or (H, W, 1), 65535 being white.
        height: Pixels.
        width: Pixels.
        channels: 1 for grayscale, 3 for RGB.
        invert: True for an image that is dark on light, "auto" to decide that by the image's border: what is light on
            dark is then treated as with False. For models of one channel.

    Returns:
        Raw pixels, uint8, (height, width, channels).

    Raises:
        NotFoundError: If the path does not exist.
        InvalidInputError: If it is no image, is damaged, has more pixels than `PIL.Image.MAX_IMAGE_PIXELS`, or is
            blank paper.
        MissingDependencyError: If Pillow is not installed.
    """
    _check_options(channels, invert)
    where = f"{os.fspath(source)!r}" if isinstance(source, (str, os.PathLike)) else "the image"
    image = decode(source, where, height, width)
    if invert:
        gray = _drawing(image)
        if invert != "auto" or paper.is_dark_on_light(gray):
            prepared = paper.prepare(gray, height, width)
            if prepared is None:
                raise InvalidInputError(
                    f"{where} is blank paper, with no ink on it; leave invert off to take it as it is"
                )
            return prepared[..., np.newaxis]
    return fitted(image, height, width, channels)


def image_size(shape: Sequence[int | None], invert: Invert = False) -> tuple[int, int, int]:
    """Tells what `open_image` needs of a model, once for many images.

    Args:
        shape: The model's input, (N, H, W, C).
        invert: As for `open_image`.

    Returns:
        Height, width, channels.

    Raises:
        InvalidInputError: If the input is no image, or `invert` is not for it.
    """
    sizes = [size for size in shape[1:] if size is not None]
    if len(shape) != 4 or len(sizes) != 3:
        raise InvalidInputError(f"the model's input has shape {list(shape)}, so pass an array instead of an image")
    height, width, channels = sizes
    _check_options(channels, invert)
    return height, width, channels


def _check_options(channels: int, invert: Invert) -> None:
    if channels not in MODES:
        raise InvalidInputError(f"the model takes {channels} channels; image files give 1 or 3, so pass an array")
    if invert not in (False, True, "auto"):
        raise InvalidInputError(f"invert is {invert!r}; expected False, True or 'auto'")
    if invert and channels != 1:
        raise InvalidInputError(
            f"invert={invert!r} is for models of one channel, as MNIST's are; this one takes {channels}: leave it off"
        )


def _drawing(image: Any) -> NDArray[np.uint8]:
    """The image in gray and no larger than is needed; a transparent one as dark ink on white, whatever its colours."""
    clear = has_alpha(image)
    image = image.convert("RGBA").convert("LA") if clear else image.convert("L")
    image = image.reduce(max(1, round(max(image.size) / paper.WORKING_SIZE)))
    if not clear:
        return np.asarray(image)
    values = np.asarray(image, dtype=np.float32)
    gray, alpha = values[..., 0], values[..., 1] / 255
    border = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
    if border.mean() < 0.5 and (gray * alpha).sum() > 127.5 * alpha.sum():  # light ink
        gray = 255 - gray
    return (gray * alpha + 255 * (1 - alpha)).round().astype(np.uint8)
