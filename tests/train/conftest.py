"""A data set and a model small enough to train in a second."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # also for the processes that tests start

from liteport.train import Dataset, load_dataset
from liteport.train.datasets import EMBEDDED_MNIST


@pytest.fixture(scope="session")
def arrays() -> dict[str, NDArray[Any]]:
    """240 training and 100 test digits at half the resolution: 14×14 pixels."""
    with np.load(EMBEDDED_MNIST) as mnist:
        return {
            "x_train": mnist["x_train"][:240, ::2, ::2],
            "y_train": mnist["y_train"][:240],
            "x_test": mnist["x_test"][:100, ::2, ::2],
            "y_test": mnist["y_test"][:100],
        }


@pytest.fixture(scope="session")
def npz(arrays: dict[str, NDArray[Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="session")
def dataset(npz: Path) -> Dataset:
    return load_dataset(npz)


@pytest.fixture(scope="session")
def make_model() -> Callable[[], Any]:
    """Makes the same small model each time, with batch norm and dropout, which have state beside their weights."""
    import keras
    from keras import layers

    def make() -> Any:
        keras.utils.set_random_seed(1)
        return keras.Sequential(
            [
                keras.Input((14, 14, 1), name="input"),
                layers.Conv2D(4, 3, strides=2, activation="relu"),
                layers.BatchNormalization(momentum=0.5),
                layers.Dropout(0.3),
                layers.Flatten(),
                layers.Dense(10, activation="softmax", name="output"),
            ]
        )

    return make
