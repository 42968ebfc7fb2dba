from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from liteport.train import Dataset, Split
from liteport.train.plots import (
    confusion,
    confusion_matrix,
    label_distribution,
    samples,
    save_data_plots,
    save_result_plots,
    worst_mistakes,
)

NAMES = {"labels.png", "samples.png", "curves.png", "confusion.png", "mistakes.png"}


def random_dataset(classes: int, channels: int) -> Dataset:
    random = np.random.default_rng(0)

    def split(count: int) -> Split:
        images = random.integers(0, 256, (count, 16, 20, channels), np.uint8)
        return Split(images, np.arange(count) % classes)

    names = tuple(f"a rather long name {i}" for i in range(classes))
    return Dataset("random", "memory", split(300), split(classes), split(150), names)


def softmax(rows: int, classes: int) -> np.ndarray:
    values = np.random.default_rng(1).random((rows, classes)).astype(np.float32)
    return values / values.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("classes", "channels"), [(2, 1), (20, 3), (100, 3)])
def test_all_are_written_for_any_data(tmp_path: Path, classes: int, channels: int) -> None:
    data = random_dataset(classes, channels)
    history = {name: [0.5, 0.25] for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
    save_data_plots(data, tmp_path / "plots")
    save_result_plots(history, softmax(150, classes), data, tmp_path / "plots")

    assert {path.name for path in (tmp_path / "plots").iterdir()} == NAMES
    for path in (tmp_path / "plots").iterdir():
        picture = matplotlib.image.imread(path)
        assert min(picture.shape[:2]) > 200
        assert max(picture.shape[:2]) < 2000
        assert picture.std() > 0.01  # something is drawn


def test_labels_show_how_uneven_classes_are() -> None:
    data = random_dataset(4, 1)
    labels = np.repeat([0, 1, 2, 3], [200, 50, 30, 20])
    figure = label_distribution(replace(data, train=Split(data.train.images, labels)))
    assert figure.get_suptitle() == "random: images of each class, 10.00 : 1 from largest to smallest on train"
    axes = figure.axes[0]
    assert axes.get_title(loc="left") == "train: 300 images, 75.0 a class (line)"
    assert list(axes.lines[0].get_ydata()) == [75, 75]
    assert [bar.get_height() for bar in axes.patches] == [200, 50, 30, 20]


def test_samples_of_large_images_are_drawn_small() -> None:
    images = np.zeros((4, 300, 500, 1), np.uint8)
    figure = samples(Split(images, np.arange(4) % 2), ("a", "b"))
    assert max(figure.axes[0].images[0].get_array().shape) < 10 * 150


def test_confusion_by_hand() -> None:
    counts = confusion(np.array([0, 0, 1, 2]), np.array([0, 2, 1, 2]), 3)
    assert counts.tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 1]]


def test_confusion_with_a_class_without_images() -> None:
    figure = confusion_matrix(np.array([[3, 1], [0, 0]]), ("cat", "dog"))
    assert figure.axes[0].get_title(loc="left") == "Test split: 3 of 4 images right"
    assert sorted(text.get_text() for text in figure.axes[0].texts) == ["1", "3"]


def test_worst_mistake_is_first() -> None:
    test = Split(np.zeros((4, 8, 8, 1), np.uint8), np.array([0, 1, 1, 0]))
    predicted = np.array([[0.9, 0.1], [0.6, 0.4], [0.97, 0.03], [0.8, 0.2]], np.float32)
    figure = worst_mistakes(predicted, test, ("cat", "dog"))
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["true dog, 3.0%\npredicted cat, 97.0%", "true dog, 40.0%\npredicted cat, 60.0%"]


def test_no_mistake_is_a_picture_too(tmp_path: Path) -> None:
    data = random_dataset(2, 1)
    perfect = np.eye(2, dtype=np.float32)[data.test.labels]
    figure = worst_mistakes(perfect, replace(data).test, data.class_names)
    figure.savefig(tmp_path / "none.png")
    assert figure.get_suptitle() == "The worst 0 of 0 mistakes on 150 test images"
