import numpy as np

from liteport.train import Dataset, Split
from liteport.train.balance import IMBALANCED, imbalance, remarks


def dataset(train: list[int], validation: list[int], test: list[int], skipped: tuple[str, ...] = ()) -> Dataset:
    """A data set with so many images of each class."""

    def split(counts: list[int]) -> Split:
        return Split(np.zeros((sum(counts), 2, 2, 1), np.uint8), np.repeat(np.arange(len(counts)), counts))

    return Dataset(
        "made", "memory", split(train), split(validation), split(test), ("cat", "dog", "eel"), skipped=skipped
    )


def test_largest_and_smallest() -> None:
    found = imbalance(dataset([40, 10, 25], [1, 1, 1], [1, 1, 1]))
    assert found == ("cat", "dog", 40, 10)
    assert found.ratio == 4
    assert found.text == "classes have 10 ('dog') to 40 ('cat') training images, 4.00 : 1"
    assert imbalance(dataset([7, 7, 7], [1] * 3, [1] * 3)).text == "classes are balanced: 7 training images each"


def test_only_what_deserves_it_is_remarked() -> None:
    most = int(10 * IMBALANCED)
    assert remarks(dataset([most, 10, 10], [1, 1, 1], [1, 1, 1])) == ()
    (told,) = remarks(dataset([most + 1, 10, 10], [1, 1, 1], [1, 1, 1]))
    assert "10 ('dog') to 31 ('cat') training images, 3.10 : 1: a model does best on the large ones" in told


def test_classes_that_a_split_lacks_and_images_that_were_left_out() -> None:
    told = remarks(dataset([9, 9, 9], [2, 0, 0], [1, 1, 0], ("a.png is no image", "b.png is no image")))
    assert told == (
        "validation has no images of 'dog', 'eel': its figures say nothing of those classes",
        "test has no images of 'eel': its figures say nothing of those classes",
        "images left out, as they cannot be read: 2; the first: a.png is no image",
    )
