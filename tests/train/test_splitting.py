import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from liteport.errors import InvalidInputError
from liteport.train import Dataset, load_dataset
from liteport.train.splitting import held_out, part_for_test


def write(folder: Path, classes: dict[str, int]) -> Path:
    for number, (label, count) in enumerate(classes.items()):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            pixels = np.random.default_rng([number, index]).integers(0, 256, (2, 3), np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{index}.png")
    return folder


def names(dataset: Dataset, split: str) -> set[str]:
    assert dataset.files is not None
    return {"/".join(path.parts[-2:]) for path in dataset.files[split].paths}


def counts(dataset: Dataset, split: str) -> list[int]:
    found: list[int] = np.bincount(dataset.splits[split].labels, minlength=len(dataset.class_names)).tolist()
    return found


def test_a_sixth_is_tested_on_whatever_the_seed(tmp_path: Path) -> None:
    folder = write(tmp_path, {"a": 60, "b": 24, "c": 4})
    first, other = load_dataset(folder), load_dataset(folder, seed=7)
    assert counts(first, "test") == [10, 4, 1]  # a sixth of each, and one at the least
    # A twelfth of what is left, in the order of the classes: less than one image off the exact part.
    assert np.abs(np.array(counts(first, "validation")) - np.array([50, 20, 3]) / 12).max() < 1
    assert names(first, "test") == names(other, "test")
    assert names(first, "validation") != names(other, "validation")
    parts = [names(first, split) for split in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 88


def test_a_split_that_is_there_is_kept(tmp_path: Path) -> None:
    for split, count in (("train", 24), ("val", 3), ("test", 5)):
        write(tmp_path / split, {"a": count, "b": count})
    loaded = load_dataset(tmp_path)
    assert [counts(loaded, split) for split in loaded.splits] == [[24, 24], [3, 3], [5, 5]]


def test_validation_without_test_leaves_the_test_to_be_taken(tmp_path: Path) -> None:
    for split, count in (("train", 24), ("validation", 3)):
        write(tmp_path / split, {"a": count, "b": count})
    loaded = load_dataset(tmp_path)
    assert [counts(loaded, split) for split in loaded.splits] == [[20, 20], [3, 3], [4, 4]]


def test_equal_images_stay_on_one_side(tmp_path: Path) -> None:
    folder = write(tmp_path, {"a": 12, "b": 12})
    for index in range(12):
        for copy in range(3):
            shutil.copy(folder / "a" / f"{index}.png", folder / "a" / f"{index}-{copy}.png")
    loaded = load_dataset(folder)
    where = {
        split: {name.split("-")[0].removesuffix(".png") for name in names(loaded, split)} for split in loaded.splits
    }
    assert sum(map(len, where.values())) == 24  # each of the 24 images in one split, with its copies
    assert counts(loaded, "test") == [8, 2]


def test_too_few_of_a_class(tmp_path: Path) -> None:
    folder = write(tmp_path, {"a": 9, "b": 2})
    shutil.copy(folder / "b" / "0.png", folder / "b" / "copy.png")
    with pytest.raises(InvalidInputError, match=r"class 'b' has 2 different images; expected at least 3") as caught:
        load_dataset(folder)
    assert str(folder) in str(caught.value)
    for split in ("train", "test"):
        write(tmp_path / "split" / split, {"a": 2, "b": 1})
    with pytest.raises(InvalidInputError, match=r"split: train: class 1 \('b'\) of 2 has 1 images"):
        load_dataset(tmp_path / "split")


def test_images_of_two_classes_may_be_equal() -> None:
    labels, identities = np.array([0, 0, 0, 1, 1, 1, 1]), np.array([0, 1, 2, 2, 3, 4, 5])
    marks = part_for_test(labels, identities, ("a", "b"))
    assert marks[2] == marks[3]
    assert marks.sum() >= 2


@pytest.mark.parametrize("seed", range(5))
def test_marks_know_nothing_of_the_order_of_equal_images(seed: int) -> None:
    labels, identities = np.repeat([0, 1], 30), np.arange(60) // 2
    marks = held_out(labels, seed, identities)
    np.testing.assert_array_equal(marks[::2], marks[1::2])
    assert 2 * 2 <= marks.sum() <= 2 * 3  # every twelfth of 30
