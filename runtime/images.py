"""Image files to raw pixels, by Pillow."""

import io
import os
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError, LiteportError, NotFoundError, require

_MODES = {1: "L", 3: "RGB"}


def open_image(source: Any, height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """Reads one image and fits it to a model's input.

    The camera's orientation (EXIF) is applied, transparency is laid on white, colours become gray or the reverse as
    the model needs, and the size is changed by Pillow's bilinear filter (which averages when it makes smaller).

    Args:
        source: A path, the bytes of an image file, or a `PIL.Image.Image`.
        height: Pixels.
        width: Pixels.
        channels: 1 for grayscale, 3 for RGB.

    Returns:
        Raw pixels, uint8, (height, width, channels).

    Raises:
        NotFoundError: If the path does not exist.
        InvalidInputError: If it is no image, is damaged, or is so large that it looks like an attack.
        MissingDependencyError: If Pillow is not installed.
    """
    if channels not in _MODES:
        raise InvalidInputError(f"the model takes {channels} channels; image files give 1 or 3, so pass an array")
    image_module = require("PIL.Image", "image")
    where = repr(os.fspath(source)) if isinstance(source, (str, os.PathLike)) else "the image"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", image_module.DecompressionBombWarning)
            image = _opened(source, image_module)
            return _fitted(image, image_module, (width, height), _MODES[channels])
    except LiteportError:
        raise
    except FileNotFoundError as error:
        raise NotFoundError(f"{where} does not exist; expected an image file") from error
    except (image_module.DecompressionBombError, image_module.DecompressionBombWarning) as error:
        raise InvalidInputError(f"{where} is refused: {error}") from error
    except image_module.UnidentifiedImageError as error:
        raise InvalidInputError(f"{where} is no image that Pillow can read") from error
    except (OSError, SyntaxError, ValueError, NotImplementedError) as error:  # Pillow's decoders raise all of these
        raise InvalidInputError(f"{where} cannot be read as an image: {error}") from error


def _opened(source: Any, image_module: Any) -> Any:
    if isinstance(source, (str, os.PathLike)):
        return image_module.open(source)
    if isinstance(source, (bytes, bytearray)):
        return image_module.open(io.BytesIO(source))
    if not isinstance(source, image_module.Image):
        raise InvalidInputError(
            f"the image is a {type(source).__name__}; expected a path, an image file's bytes, a PIL image or an array"
        )
    return source


def _fitted(image: Any, image_module: Any, size: tuple[int, int], mode: str) -> NDArray[np.uint8]:
    image.load()
    if 0 in image.size:
        raise ValueError("it has no pixels")
    if image.mode == "F":
        raise ValueError("its pixels are floating numbers of unknown range; convert it, or pass an array")
    image = require("PIL.ImageOps", "image").exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits a pixel, which Pillow's own conversion would clip
        pixels = np.asarray(image, dtype=np.float64)
        image = image_module.fromarray((np.clip(pixels, 0, 65535) / 257).round().astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = image_module.alpha_composite(image_module.new("RGBA", image.size, "white"), image)
    image = image.convert(mode).resize(size, image_module.Resampling.BILINEAR)
    return np.asarray(image).reshape(size[1], size[0], -1)
