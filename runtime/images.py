"""Image files, PIL images and arrays to raw pixels, by Pillow."""

import io
import os
import struct
import threading
import zlib
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError, NotFoundError, require

from . import paper

Invert = bool | Literal["auto"]
"""Whether dark ink on light paper is turned into the reverse; see `open_image`."""

_MODES = {1: "L", 3: "RGB"}
# Formats that Pillow knows by name only, or hands to another program to draw, which untrusted files must not reach.
NOT_PIXELS = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
_ENOUGH = 4  # times the model's size: a JPEG may be decoded this small at once, before the filter does the rest
# What Pillow's decoders were seen to raise, or may, on damaged files.
_DAMAGE = (
    OSError, SyntaxError, ValueError, RuntimeError, ArithmeticError, AttributeError, LookupError, TypeError, EOFError,
    MemoryError, struct.error, zlib.error,
)  # fmt: skip
_LOADING = threading.Lock()


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
    image_module = require("PIL.Image", "image")
    where = f"{os.fspath(source)!r}" if isinstance(source, (str, os.PathLike)) else "the image"
    enough = max(_ENOUGH * height, _ENOUGH * width, paper.WORKING_SIZE)
    image = _eight_bit(_decoded(source, where, enough, image_module), where, image_module)
    if invert:
        gray = _drawing(image)
        if invert != "auto" or paper.is_dark_on_light(gray):
            prepared = paper.prepare(gray, height, width)
            if prepared is None:
                raise InvalidInputError(
                    f"{where} is blank paper, with no ink on it; leave invert off to take it as it is"
                )
            return prepared[..., np.newaxis]
    flat = _on_white(image, image_module).convert(_MODES[channels])
    return np.asarray(flat.resize((width, height), image_module.Resampling.BILINEAR)).reshape(height, width, channels)


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
    if channels not in _MODES:
        raise InvalidInputError(f"the model takes {channels} channels; image files give 1 or 3, so pass an array")
    if invert not in (False, True, "auto"):
        raise InvalidInputError(f"invert is {invert!r}; expected False, True or 'auto'")
    if invert and channels != 1:
        raise InvalidInputError(
            f"invert={invert!r} is for models of one channel, as MNIST's are; this one takes {channels}: leave it off"
        )


def _decoded(source: Any, where: str, enough: int, image_module: Any) -> Any:
    """Opens, checks and decodes; the result is upright and nobody else's."""
    if isinstance(source, np.ndarray):
        return _from_array(source, image_module)
    try:
        if isinstance(source, image_module.Image):
            with _LOADING:  # a file that is not read yet has one position, which threads would share
                source.load()
            return _upright(source)
        if isinstance(source, (bytes, bytearray, memoryview)):
            source = io.BytesIO(source)
        elif not isinstance(source, (str, os.PathLike)):
            raise InvalidInputError(
                f"{where} is a {type(source).__name__}; expected a path, an image file's bytes, a PIL image or an array"
            )
        with image_module.open(source) as image:
            _check_size(image, where, image_module)
            image.draft(None, (enough, enough))
            image.load()
            _check_size(image, where, image_module)  # of an icon's or a movie's picture, which the header leaves open
            return _upright(image)
    except InvalidInputError:
        raise
    except FileNotFoundError as error:
        raise NotFoundError(f"{where} does not exist; expected an image file") from error
    except (image_module.DecompressionBombError, image_module.DecompressionBombWarning) as error:
        raise InvalidInputError(f"{where} is refused: {error}") from error
    except image_module.UnidentifiedImageError as error:
        raise InvalidInputError(f"{where} is no image that Pillow can read") from error
    except _DAMAGE as error:
        raise InvalidInputError(f"{where} cannot be read as an image: {str(error) or type(error).__name__}") from error


def _check_size(image: Any, where: str, image_module: Any) -> None:
    if image.format in NOT_PIXELS:
        raise InvalidInputError(f"{where} is {image.format}, which holds no pixels that Pillow decodes; save it as PNG")
    limit = image_module.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise InvalidInputError(
            f"{where} is refused: {image.width}×{image.height} pixels, more than {limit}, may be a decompression bomb; "
            "if you trust it, raise PIL.Image.MAX_IMAGE_PIXELS"
        )


def _upright(image: Any) -> Any:
    if 0 in image.size:
        raise ValueError("it has no pixels")
    return require("PIL.ImageOps", "image").exif_transpose(image)


def _from_array(array: NDArray[Any], image_module: Any) -> Any:
    plain = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    kind = plain.dtype.newbyteorder("=")
    if not (plain.ndim == 2 and kind in (np.uint8, np.uint16)) and not (
        plain.ndim == 3 and plain.shape[2] in (3, 4) and kind == np.uint8
    ):
        raise InvalidInputError(
            f"the image is an array of {array.dtype} {array.shape}; expected uint8 (H, W), (H, W, 1), (H, W, 3) or "
            "(H, W, 4), or uint16 (H, W) or (H, W, 1)"
        )
    if 0 in plain.shape:
        raise InvalidInputError(f"the image has no pixels: its shape is {array.shape}")
    return image_module.fromarray(np.ascontiguousarray(plain, kind))


def _eight_bit(image: Any, where: str, image_module: Any) -> Any:
    """Brings the modes that Pillow converts wrongly or not at all to those that it converts well."""
    if image.mode == "F":
        raise InvalidInputError(
            f"{where} has floating numbers of unknown range as pixels; convert it, or pass an array"
        )
    if image.mode in ("La", "RGBa"):  # alpha multiplied in
        return image.convert(image.mode.upper())
    if image.mode == "LAB":
        return image.convert("RGB")
    if not image.mode.startswith("I"):
        return image
    # More than 8 bits, which Pillow's own conversion would clip.
    pixels = np.asarray(image)
    if pixels.min() < 0 or pixels.max() > 65535:
        raise InvalidInputError(
            f"{where} has integers from {pixels.min()} to {pixels.max()} as pixels; expected 16 bits, 0 to 65535"
        )
    clear = image.info.get("transparency")
    gray = (np.where(pixels == clear, 65535, pixels) / 257).round().astype(np.uint8)
    return image_module.fromarray(gray)


def _has_alpha(image: Any) -> bool:
    return "A" in image.getbands() or "transparency" in image.info


def _on_white(image: Any, image_module: Any) -> Any:
    if not _has_alpha(image):
        return image
    image = image.convert("RGBA")
    return image_module.alpha_composite(image_module.new("RGBA", image.size, "white"), image)


def _drawing(image: Any) -> NDArray[np.uint8]:
    """The image in gray and no larger than is needed; a transparent one as dark ink on white, whatever its colours."""
    clear = _has_alpha(image)
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
