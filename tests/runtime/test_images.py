import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from liteport.errors import InvalidInputError, MissingDependencyError, NotFoundError
from liteport.runtime.images import open_image

# Left column dark, the rest light: what turns or mirrors it shows.
HALVES = np.array([[10, 200, 200], [10, 200, 200]], np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def gray(source: Any, height: int, width: int) -> NDArray[np.uint8]:
    pixels = open_image(source, height, width, 1)
    assert pixels.shape == (height, width, 1)
    assert pixels.dtype == np.uint8
    return pixels[..., 0]


@pytest.fixture
def png(tmp_path: Path) -> Path:
    path = tmp_path / "halves.png"
    Image.fromarray(HALVES).save(path)
    return path


@pytest.mark.parametrize("form", [str, Path, Path.read_bytes, lambda p: bytearray(p.read_bytes()), Image.open])
def test_each_form_of_an_image_is_read(form: Callable[[Path], Any], png: Path) -> None:
    np.testing.assert_array_equal(gray(form(png), 2, 3), HALVES)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF", "PPM"])
def test_lossless_files_keep_their_pixels(kind: str) -> None:
    np.testing.assert_array_equal(gray(encoded(Image.fromarray(HALVES), kind), 2, 3), HALVES)


# What must be done to the stored pixels, by the EXIF orientation (Exif 2.3, tag 0x0112).
ORIENTATIONS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.T,
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).T,
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_cameras_orientation_is_applied(orientation: int) -> None:
    stored = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = ORIENTATIONS[orientation](stored)
    content = encoded(Image.fromarray(stored), exif=exif.tobytes())
    np.testing.assert_array_equal(gray(content, *upright.shape), upright)


def test_colours_become_gray_and_gray_becomes_colours() -> None:
    red = Image.new("RGB", (2, 2), (255, 0, 0))
    assert (gray(encoded(red), 2, 2) == 76).all()  # ITU-R 601-2: 0.299 of 255
    pixels = open_image(encoded(Image.fromarray(HALVES)), 2, 3, 3)
    np.testing.assert_array_equal(pixels, np.repeat(HALVES[..., None], 3, axis=-1))


def test_transparency_is_laid_on_white() -> None:
    clear = Image.new("RGBA", (2, 2), (0, 0, 0, 0))
    half = Image.new("LA", (2, 2), (0, 128))
    assert (gray(encoded(clear), 2, 2) == 255).all()
    assert (gray(encoded(half), 2, 2) == 127).all()
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "L").convert("P")
    palette.putpalette([0, 0, 0, 90, 90, 90])
    np.testing.assert_array_equal(gray(encoded(palette, transparency=0), 1, 2), [[255, 90]])


def test_a_palette_is_looked_up() -> None:
    palette = Image.fromarray(np.array([[0, 1, 2]], np.uint8)).convert("P")
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    pixels = open_image(encoded(palette), 1, 3, 3)
    np.testing.assert_array_equal(pixels[0], [[255, 0, 0], [0, 255, 0], [0, 0, 255]])


def test_one_bit_a_pixel_becomes_black_and_white() -> None:
    np.testing.assert_array_equal(gray(encoded(Image.fromarray(HALVES > 100)), 2, 3), (HALVES > 100) * 255)


def test_sixteen_bits_a_pixel_are_scaled_not_clipped() -> None:
    deep = Image.fromarray(np.array([[0, 257 * 100, 65535]], np.uint16))
    np.testing.assert_array_equal(gray(encoded(deep), 1, 3), [[0, 100, 255]])


def test_making_smaller_averages() -> None:
    stripes = Image.fromarray(np.tile(np.array([0, 200], np.uint8), (64, 32)))
    # 100 lies between; the filter is cut off at the edges, which weighs one stripe more. Picking gives 0 or 200.
    np.testing.assert_allclose(gray(stripes, 8, 8), 100, atol=20)


def test_the_image_given_stays_as_it_was() -> None:
    image = Image.fromarray(HALVES)
    gray(image, 1, 1)
    np.testing.assert_array_equal(np.asarray(image), HALVES)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nope\.png' does not exist; expected an image file"):
        open_image(tmp_path / "nope.png", 28, 28, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no image that Pillow can read"),
        (b"hello", "is no image that Pillow can read"),
        (encoded(Image.fromarray(HALVES))[:40], "cannot be read as an image|is no image"),
        (encoded(Image.effect_noise((64, 64), 50))[:-600], "cannot be read as an image: .*truncated"),
        (encoded(Image.effect_noise((64, 64), 50), "JPEG")[:-600], "cannot be read as an image: .*truncated"),
        (b"DDS " + bytes(124) + bytes(100), "cannot be read as an image"),
        (Image.new("L", (0, 5)), "it has no pixels"),
        (Image.new("F", (2, 2)), "floating numbers of unknown range"),
        (Image.new("La", (2, 2)), "cannot be read as an image"),
    ],
    ids=["empty", "text", "header only", "half a PNG", "half a JPEG", "DDS", "no pixels", "floats", "La"],
)
def test_what_is_no_image_is_told(content: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message) as caught:
        open_image(content, 28, 28, 1)
    assert str(caught.value).startswith("the image ")


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot be read as an image"):
        open_image(tmp_path, 28, 28, 1)


@pytest.mark.parametrize("value", [None, 3, object(), {"a": 1}])
def test_another_kind_of_thing_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=rf"a {type(value).__name__}; expected a path, an image file's bytes"):
        open_image(value, 28, 28, 1)


@pytest.mark.parametrize("factor", [1.5, 3])  # Pillow itself warns of the first and refuses the second
def test_a_decompression_bomb_is_refused(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    content = encoded(Image.new("1", (int(10_000 * factor), 1)))
    with pytest.raises(InvalidInputError, match=r"the image is refused: .*decompression bomb"):
        open_image(content, 28, 28, 1)


@pytest.mark.parametrize("channels", [2, 4])
def test_other_channel_counts_need_an_array(channels: int, png: Path) -> None:
    with pytest.raises(InvalidInputError, match=f"takes {channels} channels.*pass an array"):
        open_image(png, 28, 28, channels)


def test_without_pillow_the_extra_is_named(png: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)  # makes its import fail as if it were not there
    with pytest.raises(MissingDependencyError, match=r'pip install "liteport\[image\]"'):
        open_image(png, 28, 28, 1)
