"""Image files, PIL images and arrays to raw pixels, by Pillow: what a model is trained on is what a device gives it."""

import io
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError, LiteportError, NotFoundError, require

NOT_PIXELS = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
"""Formats that Pillow knows by name only, or hands to another program to draw, which untrusted files must not reach."""

MODES = {1: "L", 3: "RGB"}
"""Pillow's mode by the number of channels."""

_ENOUGH = 4  # times the wanted size: a JPEG may be decoded this small at once, before the filter does the rest
_ENOUGH_PIXELS = 512  # but not smaller than this, in which handwriting on paper is still looked for
# What Pillow's decoders were seen to raise, or may, on damaged files.
_DAMAGE = (
    OSError, SyntaxError, ValueError, RuntimeError, ArithmeticError, AttributeError, LookupError, TypeError, EOFError,
    MemoryError, struct.error, zlib.error,
)  # fmt: skip
_LOADING = threading.Lock()
_GRAY = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F"})  # Pillow's modes without colour
_ORIENTATION, _LYING = 0x0112, frozenset({5, 6, 7, 8})  # EXIF's tag, and those of its values that exchange the sides


class Head(NamedTuple):
    """What an image file says of itself.

    Attributes:
        height: Pixels, of the upright image.
        width: Pixels.
        gray: Whether its kind of pixels has no colour; a palette may have.
    """

    height: int
    width: int
    gray: bool


def image_suffixes() -> frozenset[str]:
    """Returns the suffixes, such as ".png", of the files that Pillow reads here.

    Raises:
        MissingDependencyError: If Pillow is not installed.
    """
    image_module = require("PIL.Image", "image")
    return frozenset(
        suffix
        for suffix, name in image_module.registered_extensions().items()
        if name in image_module.OPEN and name not in NOT_PIXELS
    )


def decode(source: Any, where: str, height: int, width: int) -> Any:
    """Opens, checks and decodes an image that will be fitted to a size.

    The first frame is taken where there are several, the camera's orientation (EXIF) is applied, and more than 8 bits
    become 8. A JPEG much larger than is needed is averaged by its decoder.

    Args:
        source: A path, the bytes of an image file, a `PIL.Image.Image`, or an array of any size: uint8 (H, W),
            (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA, or uint16 (H, W) or (H, W, 1), 65535 being white.
        where: What to call it in an error.
        height: Pixels; see `fitted`.
        width: Pixels.

    Returns:
        A `PIL.Image.Image` that is upright, decoded and nobody else's.

    Raises:
        NotFoundError: If the path does not exist.
        InvalidInputError: If it is no image, is damaged, or has more pixels than `PIL.Image.MAX_IMAGE_PIXELS`.
        MissingDependencyError: If Pillow is not installed.
    """
    image_module = require("PIL.Image", "image")
    enough = max(_ENOUGH * height, _ENOUGH * width, _ENOUGH_PIXELS)
    return _eight_bit(_decoded(source, where, enough, image_module), where, image_module)


def read_head(path: str | os.PathLike[str], where: str) -> Head:
    """Reads an image file's size and kind, and none of its pixels.

    Args:
        path: The file.
        where: What to call it in an error.

    Raises:
        NotFoundError: If it does not exist.
        InvalidInputError: If it is no image, or has more pixels than twice `PIL.Image.MAX_IMAGE_PIXELS`.
        MissingDependencyError: If Pillow is not installed.
    """
    image_module = require("PIL.Image", "image")
    with _told(where, image_module), image_module.open(path) as image:
        lying = image.getexif().get(_ORIENTATION) in _LYING
        height, width = reversed(image.size) if not lying else image.size
        return Head(height, width, image.mode in _GRAY)


def fitted(image: Any, height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """Brings a decoded image to a size and a number of channels.

    Transparency is laid on white. Colours become gray (ITU-R 601-2 luma) or the reverse. The size is changed, whatever
    the aspect ratio, by Pillow's bilinear filter, which averages over all pixels when it makes smaller.

    Args:
        image: What `decode` returned.
        height: Pixels.
        width: Pixels.
        channels: 1 for grayscale, 3 for RGB.

    Returns:
        Raw pixels, uint8, (height, width, channels).
    """
    image_module = require("PIL.Image", "image")
    pixels = _sized(flat(image).convert(MODES[channels]), height, width, image_module)
    return pixels.reshape(height, width, channels)


def resized(images: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Brings images in memory to a size, as `fitted` does.

    Args:
        images: uint8 (N, H, W, C), C one or three.
        height: Pixels.
        width: Pixels.

    Returns:
        uint8 (N, height, width, C).
    """
    if images.shape[1:3] == (height, width):
        return images
    image_module = require("PIL.Image", "image")
    result = np.empty((len(images), height, width, images.shape[3]), np.uint8)
    for place, image in enumerate(images):
        picture = image_module.fromarray(image[..., 0] if image.shape[2] == 1 else image)
        result[place] = _sized(picture, height, width, image_module).reshape(result.shape[1:])
    return result


def _sized(image: Any, height: int, width: int, image_module: Any) -> NDArray[np.uint8]:
    return np.asarray(image.resize((width, height), image_module.Resampling.BILINEAR))


def flat(image: Any) -> Any:
    """Lays a decoded image on white where it is transparent."""
    if not has_alpha(image):
        return image
    image_module = require("PIL.Image", "image")
    image = image.convert("RGBA")
    return image_module.alpha_composite(image_module.new("RGBA", image.size, "white"), image)


def has_alpha(image: Any) -> bool:
    """Tells whether parts of a decoded image are transparent, or may be."""
    return "A" in image.getbands() or "transparency" in image.info


def _decoded(source: Any, where: str, enough: int, image_module: Any) -> Any:
    if isinstance(source, np.ndarray):
        return _from_array(source, image_module)
    with _told(where, image_module):
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


@contextmanager
def _told(where: str, image_module: Any) -> Iterator[None]:
    """Says what is wrong with an image in our words."""
    try:
        yield
    except LiteportError:
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
