from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from liteport.train import Dataset, Split, data_report, load_dataset
from liteport.train.data_report import blocks, describe_place, examine


def dataset() -> Dataset:
    """Each image is of one value, so that equal values are equal images."""

    def split(values: list[int], labels: list[int]) -> Split:
        return Split(
            np.array(values, np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 1), np.uint8), np.array(labels)
        )

    train, validation, test = ([1, 2, 2, 9], [0, 1, 1, 0]), ([5, 9], [0, 1]), ([7, 5, 1], [1, 0, 0])
    return Dataset("made", "memory", split(*train), split(*validation), split(*test), ("cat", "dog"))


@pytest.mark.parametrize("at_once", [1, 12, 1 << 24])
def test_what_is_there_twice(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(data_report, "_BYTES_AT_ONCE", at_once)
    data = dataset()
    found = examine(data)
    assert set(found.leaks) == {
        (("validation", 1), ("train", 3)),
        (("test", 1), ("validation", 0)),
        (("test", 2), ("train", 0)),
    }
    assert found.contradictions == ((("train", 3), ("validation", 1)),)
    assert found.repeated == 1
    assert [found.leaked(split) for split in data.splits] == [0, 1, 2]
    assert describe_place(data, found.contradictions[0][1]) == "validation[1] ('dog')"


def test_mean_and_deviation_by_channel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 4, 5, 3), np.uint8)
    split = Split(pixels, np.arange(50) % 2)
    other = Split(255 - pixels, split.labels)
    found = examine(Dataset("made", "memory", split, other, other, ("a", "b")))
    # Sums of whole numbers are exact; one division and one difference in double precision remain.
    np.testing.assert_allclose(found.mean, pixels.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(found.deviation, pixels.std(axis=(0, 1, 2)), rtol=1e-9)


def test_images_in_files_are_named_and_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split, first in (("train", 0), ("test", 3)):  # number 3 is in both
        for label in ("a", "b"):
            (tmp_path / split / label).mkdir(parents=True)
            for number in range(first, first + 4):
                pixels = np.full((4, 4), 10 * number + (label == "b"), np.uint8)
                Image.fromarray(pixels).save(tmp_path / split / label / f"{number}.png")
    monkeypatch.setattr(data_report, "_BYTES_AT_ONCE", 32)
    here, streamed = load_dataset(tmp_path), load_dataset(tmp_path, stream=True)
    assert [len(images) for _, images in blocks(streamed.test.images)] == [2, 2, 2, 2]
    seen: list[tuple[str, int, int, str]] = []
    found = examine(streamed, lambda *told: seen.append(told))
    assert found == examine(here)
    assert seen[-1] == ("comparing images", 16, 16, "")
    names = {tuple(describe_place(here, place) for place in pair) for pair in found.leaks}
    assert len(names) == 2
    assert all("/test/" in image and image.endswith("/3.png (test)") for image, _ in names)
