"""What several tests share: a small data set cut from MNIST, a tiny model trained on it once, and its bundle.

Where TensorFlow cannot be installed, they come ready-made from the folder that LITEPORT_TEST_FIXTURES names.
"""

import os
from pathlib import Path

import numpy as np
import pytest

import liteport.runtime
from liteport.train import load_dataset

TRAIN_IMAGES, TEST_IMAGES = 1200, 300


def ready_made(name: str) -> Path | None:
    """What another run of the tests has made, if there is a folder of such."""
    folder = os.environ.get("LITEPORT_TEST_FIXTURES")
    return Path(folder, name) if folder else None


def draw_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has a training's pictures laid out but not drawn, which takes longer than a small model's training."""
    monkeypatch.setattr("liteport.train.plots._save", lambda figure, path: path.touch())


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """See `draw_nothing`."""
    draw_nothing(monkeypatch)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An .npz with 1,200 training and 300 test images of MNIST, in Keras's layout."""
    if ready := ready_made("tiny.npz"):
        return ready
    mnist = load_dataset("mnist")
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    np.savez_compressed(
        path,
        x_train=mnist.train.images[:TRAIN_IMAGES, ..., 0],
        y_train=mnist.train.labels[:TRAIN_IMAGES],
        x_test=mnist.test.images[:TEST_IMAGES, ..., 0],
        y_test=mnist.test.labels[:TEST_IMAGES],
    )
    return path


@pytest.fixture(scope="session")
def tiny_run(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a small CNN on `tiny_data`: strided convolutions and a dense layer, trained to about 90 %."""
    if ready := ready_made("run"):
        return ready
    import keras

    from liteport.train import NO_AUGMENTATION, TrainConfig, fit

    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1), name="input"),
            layers.Conv2D(16, 3, strides=2, activation="relu", name="conv2d"),
            layers.Conv2D(32, 3, strides=2, activation="relu", name="conv2d_1"),
            layers.Flatten(name="flatten"),
            layers.Dense(10, activation="softmax", name="output"),
        ],
        name="tiny",
    )
    out = tmp_path_factory.mktemp("runs") / "run"
    config = TrainConfig(epochs=4, batch_size=32, augmentation=NO_AUGMENTATION, precision="float32")
    with pytest.MonkeyPatch.context() as monkeypatch:
        draw_nothing(monkeypatch)
        fit(model, load_dataset(tiny_data), config, out=out, design="tiny")
    return out


@pytest.fixture(scope="session")
def tiny_bundle(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All variants of `tiny_run`'s model, as the command makes them without options. Shared: copy before changing."""
    if ready := ready_made("bundle"):
        return ready
    from liteport.runtime.cli import run

    out = tmp_path_factory.mktemp("bundles") / "bundle"
    assert run(["export", str(tiny_run), "--out", str(out)]) == 0
    assert liteport.runtime.read_bundle(out).manifest.name == "tiny"
    return out
