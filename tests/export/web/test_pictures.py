"""How near the page's images come to the runtime's: the same files through both."""

import io
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Tab
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from liteport.runtime import paper
from liteport.runtime.images import open_image
from liteport.train import load_dataset

PREPARE = """
async ([text, height, width, channels, invert]) => {
  const { decoded, pixelsOf } = await import("./picture.js");
  const image = await decoded(new File([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], "image"));
  const pixels = pixelsOf(image, height, width, channels, invert);
  return btoa(Array.from(pixels, (byte) => String.fromCharCode(byte)).join(""));
}
"""
SHEET = """
async () => {
  const canvas = document.querySelector("#sheet");
  const rgba = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const { pixelsOf } = await import("./picture.js");
  const image = { height: canvas.height, width: canvas.width, data: rgba };
  const gray = rgba.filter((_, i) => i % 4 === 0);
  const text = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  return [text(gray), text(pixelsOf(image, 28, 28, 1, "yes"))];
}
"""


@pytest.fixture(scope="module")
def page(chromium: Any, address: str) -> Any:
    """One page for all of these, which leave nothing behind."""
    return Tab(chromium).open(address)


def both(
    page: Any, content: bytes, size: tuple[int, int, int], invert: str = "no"
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The page's pixels and the runtime's."""
    found = page.evaluate(PREPARE, [b64encode(content).decode(), *size, invert])  # as text: lists of numbers are slow
    choice: Any = {"no": False, "yes": True, "auto": "auto"}[invert]
    return bytes_of(found).reshape(size), open_image(content, *size, choice).astype(int)


def bytes_of(text: str) -> NDArray[Any]:
    return np.frombuffer(b64decode(text), np.uint8).astype(int)


def scene() -> Image.Image:
    """A picture with edges, gradients and noise, 301 by 203."""
    rows, columns = np.mgrid[:203, :301]
    planes = [columns * 255 // 300, rows * 255 // 202, (rows + columns) % 256]
    noise = np.random.default_rng(0).integers(-20, 20, (203, 301, 3))
    image = Image.fromarray(np.clip(np.stack(planes, 2) + noise, 0, 255).astype(np.uint8))
    ImageDraw.Draw(image).ellipse((60, 40, 180, 150), fill=(250, 30, 60))
    return image


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("size", [(28, 28, 1), (64, 48, 3), (400, 500, 3), (203, 301, 3)])
def test_a_png_comes_out_as_from_pillow(page: Any, size: tuple[int, int, int]) -> None:
    """The filter is Pillow's, in its integers: not one pixel differs, smaller, larger or of the same size."""
    found, expected = both(page, encoded(scene(), "PNG"), size)
    assert (found == expected).all()


def test_a_jpeg_comes_out_nearly_so(page: Any) -> None:
    """Two decoders round differently, by a level or two of 255 before the filter averages."""
    for quality in (60, 95):
        found, expected = both(page, encoded(scene(), "JPEG", quality=quality), (32, 32, 3))
        assert np.abs(found - expected).max() <= 4
        assert np.abs(found - expected).mean() < 1


def test_orientation_is_applied(page: Any) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    found, expected = both(page, encoded(scene(), "JPEG", quality=95, exif=exif), (32, 32, 3))
    assert np.abs(found - expected).max() <= 4


def test_transparency_is_laid_on_white(page: Any) -> None:
    """A canvas keeps colours multiplied by their alpha, in 8 bits: where that is small they lose some."""
    image = scene()
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    found, expected = both(page, encoded(image, "PNG"), (32, 32, 3))
    assert np.abs(found - expected).max() <= 2


@pytest.mark.parametrize("shade", [0, 90])
def test_ink_on_paper_is_prepared_as_by_the_runtime(page: Any, shade: int) -> None:
    """Dark digits on light, unevenly lit, noisy paper: here float32 rounds otherwise now and then."""
    random = np.random.default_rng(shade)
    for digit in load_dataset("mnist").test.images[:10, ..., 0]:
        large = Image.fromarray(255 - digit).resize((220, 220), Image.Resampling.BICUBIC)
        sheet = Image.new("L", (400, 300), 255)
        sheet.paste(large, (90, 40))
        light = np.linspace(1, 1 - shade / 255, 400)
        pixels = np.asarray(sheet.filter(ImageFilter.GaussianBlur(1))) * light - random.normal(0, 3, (300, 400))
        content = encoded(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), "PNG")
        found, expected = both(page, content, (28, 28, 1), "auto")
        assert np.abs(found - expected).max() <= 2


def test_light_on_dark_stays_as_it_is(page: Any) -> None:
    for digit in load_dataset("mnist").test.images[:20, ..., 0]:
        found, _ = both(page, encoded(Image.fromarray(digit), "PNG"), (28, 28, 1), "auto")
        assert (found[..., 0] == digit).all()


def test_a_drawing_is_centred_and_scaled_as_by_the_runtime(page: Any) -> None:
    for label in range(10):
        page.click(f"[aria-label='Draw a {label}']")
        sheet, found = map(bytes_of, page.evaluate(SHEET))
        expected = paper.prepare(sheet.reshape(280, 280).astype(np.uint8), 28, 28)
        assert expected is not None
        assert np.abs(found.reshape(28, 28) - expected.astype(int)).max() <= 1


def test_a_blank_sheet_of_paper_is_told(page: Any, tmp_path: Path) -> None:
    blank = tmp_path / "blank.png"
    Image.new("L", (100, 100), 250).save(blank)
    page.set_input_files("#file", blank)
    page.wait_for_selector("#problem:not([hidden])")
    assert "blank paper" in page.inner_text("#problem")


def test_the_plain_digest_is_the_browsers(page: Any) -> None:
    """For pages that came over plain HTTP from another machine, which have no SubtleCrypto."""
    equal = """async () => {
      const { sha256, sha256Plain } = await import("./sha256.js");
      const hex = (digest) => [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
      for (const size of [0, 1, 55, 56, 63, 64, 65, 1000, 100003]) {
        const bytes = Uint8Array.from({ length: size }, (_, i) => (i * 7919) % 251);
        if (hex(sha256Plain(bytes)) !== (await sha256(bytes))) return size;
      }
      return true;
    }"""
    assert page.evaluate(equal) is True
