import io
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from liteport.errors import InvalidInputError, MissingDependencyError, NotFoundError
from liteport.runtime.images import NOT_PIXELS, image_size, open_image

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


def as_array(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture
def png(tmp_path: Path) -> Path:
    path = tmp_path / "halves.png"
    Image.fromarray(HALVES).save(path)
    return path


@pytest.mark.parametrize(
    "form", [str, Path, Path.read_bytes, lambda p: bytearray(p.read_bytes()), Image.open, as_array]
)
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
        (Image.fromarray(np.array([[-1, 70000]], np.int32)), "integers from -1 to 70000 as pixels; expected 16 bits"),
        (encoded(Image.fromarray(HALVES), "EPS"), "is EPS, which holds no pixels that Pillow decodes"),
    ],
    ids=[
        "empty",
        "text",
        "header only",
        "half a PNG",
        "half a JPEG",
        "DDS",
        "no pixels",
        "floats",
        "32 bits",
        "EPS",
    ],
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


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # Pillow's own, from 1 to 2 times its limit
@pytest.mark.parametrize("factor", [1.5, 3])
def test_a_decompression_bomb_is_refused(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    content = encoded(Image.new("1", (int(10_000 * factor), 1)))
    with pytest.raises(InvalidInputError, match=r"the image is refused: .*decompression bomb"):
        open_image(content, 28, 28, 1)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # as Pillow lets its users say that they trust their files
    assert not gray(content, 28, 28).any()


@pytest.mark.parametrize("channels", [2, 4])
def test_other_channel_counts_need_an_array(channels: int, png: Path) -> None:
    with pytest.raises(InvalidInputError, match=f"takes {channels} channels.*pass an array"):
        open_image(png, 28, 28, channels)


def test_without_pillow_the_extra_is_named(png: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)  # makes its import fail as if it were not there
    with pytest.raises(MissingDependencyError, match=r'pip install "liteport\[image\]"'):
        open_image(png, 28, 28, 1)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3), (5, 7, 4)])
def test_arrays_are_images_of_any_size(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    image = Image.fromarray(values[..., 0] if shape[-1] == 1 else values)
    for channels in (1, 3):
        np.testing.assert_array_equal(open_image(values, 3, 4, channels), open_image(encoded(image), 3, 4, channels))
    np.testing.assert_array_equal(open_image(values[::2, ::-1], 3, 4, 1), open_image(values[::2, ::-1].copy(), 3, 4, 1))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1)])
def test_an_array_of_16_bits_is_scaled(order: str, shape: tuple[int, ...]) -> None:
    deep = np.array([0, 257 * 100, 65535], f"{order}u2").reshape(shape)
    np.testing.assert_array_equal(gray(deep, 1, 3), [[0, 100, 255]])


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(4, np.uint8),
        np.zeros((2, 4, 4, 1), np.uint8),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4, 4, 3), np.uint16),
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4), np.int64),
        np.zeros((4, 4), object),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_other_arrays_are_refused(array: NDArray[Any]) -> None:
    with pytest.raises(InvalidInputError, match=r"an array of .*; expected uint8 \(H, W\), .*or uint16"):
        open_image(array, 4, 4, 1)


@pytest.mark.parametrize("shape", [(0, 4), (4, 0, 3)])
def test_an_array_without_pixels_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInputError, match="has no pixels"):
        open_image(np.zeros(shape, np.uint8), 4, 4, 1)


def test_alpha_that_is_multiplied_in_is_laid_on_white_too() -> None:
    half = Image.new("RGBA", (2, 2), (100, 100, 100, 128))
    assert (gray(half.convert("RGBa"), 2, 2) == gray(half, 2, 2)).all()
    assert (gray(Image.new("LA", (2, 2), (100, 128)).convert("La"), 2, 2) == gray(half, 2, 2)).all()


def test_a_transparent_level_of_16_bits_is_laid_on_white() -> None:
    deep = Image.fromarray(np.array([[0, 257 * 100]], np.uint16))
    np.testing.assert_array_equal(gray(encoded(deep, transparency=0), 1, 2), [[255, 100]])


def test_ink_of_four_colours_is_read() -> None:
    assert (gray(encoded(Image.new("CMYK", (8, 8), (0, 0, 0, 255)), "TIFF"), 2, 2) == 0).all()
    assert (gray(encoded(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), "JPEG"), 2, 2) == 255).all()


def test_lightness_and_two_colours_are_read() -> None:
    # CIE L*a*b* of pure red; Pillow's conversion is off by some levels.
    pixels = open_image(Image.new("LAB", (2, 2), (136, 208, 195)), 2, 2, 3)
    np.testing.assert_allclose(pixels[0, 0].astype(int), (255, 0, 0), atol=12)
    assert gray(Image.new("LAB", (2, 2), (255, 128, 128)), 2, 2).min() >= 253


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP"])
def test_of_several_frames_the_first_is_taken(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(
        Image.fromarray(HALVES), kind, save_all=True, append_images=[Image.fromarray(HALVES[:, ::-1])], **options
    )
    np.testing.assert_array_equal(gray(content, 2, 3), HALVES)


def test_a_large_jpeg_gives_what_its_pixels_give() -> None:
    smooth = np.add.outer(np.linspace(0, 120, 2000), np.linspace(0, 120, 3000)).astype(np.uint8)
    content = encoded(Image.fromarray(smooth), "JPEG", quality=95)
    # The decoder averages blocks of 2 pixels and rounds: one level, and one of the JPEG's own.
    np.testing.assert_allclose(gray(content, 28, 28).astype(int), gray(smooth, 28, 28), atol=2)


def test_files_are_closed(png: Path, tmp_path: Path) -> None:
    """Animations keep their file open until told; a ResourceWarning would fail this test."""
    path = tmp_path / "two.gif"
    Image.fromarray(HALVES).save(path, save_all=True, append_images=[Image.fromarray(HALVES[::-1])])
    for _ in range(3):
        gray(path, 2, 3)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_threads_get_the_right_answers_and_leave_the_warnings_alone(
    digits: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    bomb = encoded(Image.new("1", (1500, 1)))
    files = [encoded(Image.fromarray(digit)) for digit in digits[:40]]
    shared = Image.open(io.BytesIO(files[0]))  # not read yet: one position in one file, for all threads
    filters = list(warnings.filters)

    def read(number: int) -> bool:
        if number % 5 == 0:
            with pytest.raises(InvalidInputError, match="is refused"):
                open_image(bomb, 28, 28, 1)
        if number % 5 == 1:
            return bool((gray(shared, 28, 28) == digits[0]).all())
        return bool((gray(files[number % 40], 28, 28) == digits[number % 40]).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(400)))
    assert list(warnings.filters) == filters


FILES = [encoded(Image.effect_noise((24, 24), 50), kind) for kind in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP")]


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of what it finds odd in a damaged file
@given(st.sampled_from(FILES), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1), st.data())
def test_a_damaged_file_is_read_or_refused(content: bytes, edits: list[tuple[int, int]], data: st.DataObject) -> None:
    spoiled = bytearray(content[: data.draw(st.integers(1, len(content)))])
    for place, value in edits:
        spoiled[place % len(spoiled)] = value
    try:
        assert open_image(spoiled, 4, 4, 3).shape == (4, 4, 3)
    except InvalidInputError as error:
        assert str(error).startswith("the image ")  # noqa: PT017 - either is right


@pytest.mark.parametrize("form", [np.asarray, encoded, lambda image: encoded(image, "JPEG"), lambda image: image])
def test_auto_leaves_light_on_dark_as_it_is(form: Callable[[Image.Image], Any], digits: NDArray[np.uint8]) -> None:
    for size in (28, 300, 2000):
        source = form(Image.fromarray(digits[0]).resize((size, size)))
        np.testing.assert_array_equal(open_image(source, 28, 28, 1, "auto"), open_image(source, 28, 28, 1))


def test_auto_prepares_dark_on_light_as_true_does(digits: NDArray[np.uint8]) -> None:
    negative = 255 - digits[0]
    found = open_image(negative, 28, 28, 1, "auto")
    np.testing.assert_array_equal(found, open_image(negative, 28, 28, 1, True))
    assert np.corrcoef(found.ravel(), digits[0].ravel())[0, 1] > 0.9  # the same digit at the same place
    np.testing.assert_array_equal(open_image(negative, 28, 28, 1)[..., 0], negative)  # by default nothing is done


@pytest.mark.parametrize("ink", [0, 90, 255])
@pytest.mark.parametrize("invert", ["auto", True])
def test_a_transparent_drawing_is_ink_whatever_its_colour(ink: int, invert: Any, digits: NDArray[np.uint8]) -> None:
    drawing = Image.merge("LA", [Image.new("L", (28, 28), ink), Image.fromarray(digits[0])])
    expected = open_image(255 - digits[0], 28, 28, 1, True)
    found = open_image(encoded(drawing), 28, 28, 1, invert)
    # Ink of level 90 is stretched to 255, which rounds once more.
    np.testing.assert_allclose(found.astype(int), expected, atol=6)


@pytest.mark.parametrize("invert", ["auto", True])
def test_blank_paper_is_refused(invert: Any) -> None:
    with pytest.raises(InvalidInputError, match="the image is blank paper, with no ink on it; leave invert off"):
        open_image(np.full((50, 40), 230, np.uint8), 28, 28, 1, invert)


def test_invert_is_for_one_channel_and_three_values(png: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"invert='auto' is for models of one channel.*takes 3"):
        open_image(png, 28, 28, 3, "auto")
    with pytest.raises(InvalidInputError, match="invert is 'yes'; expected False, True or 'auto'"):
        open_image(png, 28, 28, 1, "yes")  # type: ignore[arg-type]


def test_a_models_size_is_told_once() -> None:
    assert image_size((None, 28, 32, 3)) == (28, 32, 3)
    for shape in [(None, 10), (None, None, 28, 1)]:
        with pytest.raises(InvalidInputError, match=r"input has shape .*pass an array instead of an image"):
            image_size(shape)
    with pytest.raises(InvalidInputError, match="for models of one channel"):
        image_size((None, 28, 32, 3), True)


def test_formats_without_pixels_are_called_as_pillow_does() -> None:
    Image.init()
    assert set(Image.OPEN) >= NOT_PIXELS
