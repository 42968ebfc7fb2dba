from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from liteport.train import Dataset
from liteport.train import evaluate as module
from liteport.train.evaluate import evaluate, metrics, probabilities


def test_metrics_by_hand() -> None:
    predicted = np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [1.0, 0.0, 0.0]], np.float32)
    found = metrics(predicted, np.array([0, 1, 0]))
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.loss == pytest.approx(-(np.log(0.5) + np.log(0.1)) / 3, rel=1e-6)  # float32 inputs


def test_impossible_label_has_a_finite_loss() -> None:
    assert metrics(np.array([[1.0, 0.0]], np.float32), np.array([1])).loss == pytest.approx(-np.log(1e-7))


def test_agrees_with_keras(make_model: Callable[[], Any], dataset: Dataset) -> None:
    model = make_model()
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(), metrics=["accuracy"])
    expected = model.evaluate(dataset.test.images / np.float32(255), dataset.test.labels, verbose=0)
    np.testing.assert_allclose(evaluate(model, dataset.test), expected, rtol=1e-5)  # float32 mean against float64


def test_parts_give_what_the_whole_gives(
    make_model: Callable[[], Any], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model()
    whole = probabilities(model, dataset.test.images)
    monkeypatch.setattr(module, "_PIXELS_AT_ONCE", 14 * 14 * 7)
    # sums may be taken in another order for another batch size
    np.testing.assert_allclose(probabilities(model, dataset.test.images), whole, atol=1e-6)
