import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from liteport.errors import InvalidInputError
from liteport.runtime.images import open_image
from liteport.train import Dataset, load_dataset
from liteport.train.sources import scanning

MakeFolder = Callable[..., Path]


def pixels_of(dataset: Dataset) -> dict[str, np.ndarray]:
    """All images of a data set by path relative to the folder's parent."""
    assert dataset.files is not None
    return {
        "/".join(path.parts[-2:]): image
        for name, split in dataset.splits.items()
        for path, image in zip(dataset.files[name].paths, split.images[:], strict=True)
    }


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_is_trained_on_what_the_runtime_will_give_it(make_folder: MakeFolder, stream: bool) -> None:
    """Kinds of images that are easily read in two ways, each against the runtime's own reading of the file."""
    folder = make_folder({"a": 4, "b": 4})
    colour = np.random.default_rng(0).integers(0, 256, (30, 44, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(colour)
    image.save(folder / "a" / "turned.jpg", exif=exif.tobytes())
    image.save(folder / "a" / "lossy.webp")
    image.quantize(16).save(folder / "a" / "palette.png")
    image.convert("CMYK").save(folder / "a" / "print.jpg")
    image.save(folder / "b" / "two.gif", save_all=True, append_images=[Image.fromarray(255 - colour)])
    Image.fromarray(colour[..., 0].astype(np.uint16) * 257).save(folder / "b" / "deep.png")
    Image.merge("RGBA", [*image.split(), Image.fromarray(colour[..., 0])]).save(folder / "b" / "clear.png")
    image.convert("LA").save(folder / "b" / "gray-clear.png")
    Image.fromarray(colour[..., 0] > 127).save(folder / "b" / "bits.png")
    image.resize((1200, 900)).save(folder / "b" / "large.jpg")  # which the decoder makes smaller at first

    found = pixels_of(load_dataset(folder, image_size=(10, 12), stream=stream))
    assert len(found) == 18
    for name, image in found.items():
        np.testing.assert_array_equal(image, open_image(folder / name, 10, 12, 3), name)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
@pytest.mark.parametrize("stream", [False, True])
def test_gray_images_are_gray_however_they_are_stored(tmp_path: Path, suffix: str, stream: bool) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for number in range(4):
            gray = np.random.default_rng([number, ord(label)]).integers(0, 256, (16, 16), np.uint8)
            Image.fromarray(gray).convert("RGB").save(tmp_path / label / f"{number}{suffix}")
    loaded = load_dataset(tmp_path, stream=stream, image_size=12)
    assert loaded.input_shape == (12, 12, 1)
    for name, image in pixels_of(loaded).items():
        np.testing.assert_array_equal(image, open_image(tmp_path / name, 12, 12, 1))


def test_one_coloured_image_makes_all_rgb(make_folder: MakeFolder) -> None:
    folder = make_folder({"a": 3, "b": 3}, colour=False)
    assert load_dataset(folder).input_shape == (6, 8, 1)
    one = np.full((6, 8, 3), 100, np.uint8)
    one[2, 3, 0] = 130
    Image.fromarray(one).save(folder / "a" / "red.png")
    assert load_dataset(folder).input_shape == (6, 8, 3)


def test_mixed_sizes_need_one_that_is_named(make_folder: MakeFolder) -> None:
    folder = make_folder({"a": 3, "b": 3})
    for number, (height, width) in enumerate([(4, 4), (4, 5), (9, 7)]):
        Image.fromarray(np.zeros((height, width), np.uint8)).save(folder / "a" / f"x{number}.png")
    with pytest.raises(InvalidInputError, match=r"4 sizes, .*: 6×8 \(6\), .* and 1 more; .*--image-size 64, or 48x64"):
        load_dataset(folder)
    loaded = load_dataset(folder, image_size=5)
    assert loaded.input_shape == (5, 5, 3)
    assert loaded.sizes == {(6, 8): 6, (4, 4): 1, (4, 5): 1, (9, 7): 1}
    assert load_dataset(folder, image_size=(5, 7)).input_shape == (5, 7, 3)


def test_sizes_are_those_of_upright_images(make_folder: MakeFolder) -> None:
    folder = make_folder({"a": 3, "b": 3})
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.fromarray(np.zeros((8, 6, 3), np.uint8)).save(folder / "a" / "lying.png", exif=exif.tobytes())
    assert load_dataset(folder).sizes == {(6, 8): 7}


def png(array: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def spoil(folder: Path) -> list[str]:
    """Puts files into a folder that are no images, each in another way."""
    whole = png(np.random.default_rng(5).integers(0, 256, (6, 8, 3), np.uint8))
    bomb = bytearray(png(np.zeros((1, 1), np.uint8)))
    bomb[16:24] = (30_000).to_bytes(4, "big") * 2  # the size in a PNG's head, which is believed before any pixel
    (folder / "a" / "bomb.png").write_bytes(bomb)
    (folder / "a" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "a" / "empty.png").write_bytes(b"")
    (folder / "b" / "lost.png").symlink_to("nowhere.png")
    (folder / "b" / "text.jpg").write_text("no image")
    return ["a/bomb.png", "a/cut.png", "a/empty.png", "b/lost.png", "b/text.jpg"]


def test_all_corrupt_images_are_told_at_once_and_skipped_only_on_demand(make_folder: MakeFolder) -> None:
    folder = make_folder({"a": 4, "b": 4})
    clean = load_dataset(folder)
    bad = spoil(folder)
    with pytest.raises(InvalidInputError) as caught:
        load_dataset(folder)
    text = str(caught.value)
    assert "5 of 13 images cannot be read" in text
    assert all(name in text for name in bad[:3])
    assert "and 2 more" in text
    assert "--skip-corrupt" in text
    assert "\n" not in text

    loaded = load_dataset(folder, skip_corrupt=True)
    assert ["/".join(Path(told.split(" ")[0]).parts[-2:]) for told in loaded.skipped] == bad
    assert loaded.digest == clean.digest
    assert loaded.skip_corrupt


def test_a_class_of_which_nothing_can_be_read(make_folder: MakeFolder) -> None:
    folder = make_folder({"a": 3, "b": 1}, ("train", "test"))
    (folder / "test" / "b" / "000.png").write_bytes(b"")
    with pytest.raises(InvalidInputError, match="no image of 'b' in the test split can be read"):
        load_dataset(folder, skip_corrupt=True)


def test_nothing_at_all_can_be_read(make_folder: MakeFolder) -> None:
    folder = make_folder({"a": 1, "b": 1})
    for label in ("a", "b"):
        (folder / label / "000.png").write_bytes(b"no image")
    with pytest.raises(InvalidInputError, match="none of the 2 images can be read; the first: is no image"):
        load_dataset(folder)


def test_what_would_fill_the_memory_stays_files(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_folder({"a": 4, "b": 4})
    taken = 8 * 6 * 8 * 3
    monkeypatch.setattr(scanning, "available_memory", lambda: scanning.MEMORY_PART * taken)
    assert not load_dataset(folder).streamed
    monkeypatch.setattr(scanning, "available_memory", lambda: scanning.MEMORY_PART * taken - 1)
    assert load_dataset(folder).streamed
    assert not load_dataset(folder, stream=False).streamed


def test_memory_is_known_without_psutil(monkeypatch: pytest.MonkeyPatch) -> None:
    known = scanning.available_memory()
    monkeypatch.setitem(__import__("sys").modules, "psutil", None)
    free = scanning.available_memory()
    # Free pages are without those that a cache could give back: fewer, but more than a megabyte on any machine.
    assert 1 << 20 < free < known * 2


def test_many_files_are_told_of(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "_AT_ONCE", 3)
    seen: list[tuple[str, int, int, str]] = []
    load_dataset(make_folder({"a": 4, "b": 4}), progress=lambda *told: seen.append(told))
    assert [told[1:3] for told in seen if told[0] == "reading images"] == [(3, 8), (6, 8), (8, 8)]
