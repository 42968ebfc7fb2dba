from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from liteport.errors import InvalidInputError, NotFoundError
from liteport.train import NO_AUGMENTATION, Dataset, TrainConfig, build_model, fit, load_weights

SHAPE = (14, 14, 1)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    model = build_model("baseline", SHAPE, 10, seed=1)
    model.save_weights(folder / "model.weights.h5")
    model.save(folder / "model.keras")
    return folder


@pytest.mark.parametrize("name", ["model.weights.h5", "model.keras"])
def test_fresh_model_with_the_weights_answers_the_same(saved: Path, dataset: Dataset, name: str) -> None:
    source, fresh = build_model("baseline", SHAPE, 10, seed=1), build_model("baseline", SHAPE, 10, seed=2)
    images = dataset.test.images[:20] / np.float32(255)
    assert not np.array_equal(fresh(images), source(images))
    load_weights(fresh, saved / name)
    np.testing.assert_array_equal(fresh(images), source(images))


def test_trains_further(saved: Path, dataset: Dataset) -> None:
    config = TrainConfig(epochs=2, batch_size=16, augmentation=NO_AUGMENTATION)
    first = fit(build_model("baseline", SHAPE, 10, dropout=0.0, seed=1), dataset, config)
    further = build_model("baseline", SHAPE, 10, dropout=0.0, seed=2)
    first.model.save_weights(saved / "first.weights.h5")
    load_weights(further, saved / "first.weights.h5")
    # the second training starts where the first one ended, not where that began
    assert fit(further, dataset, config).history["loss"][0] < 0.8 * first.history["loss"][0]


def test_says_what_is_wrong_with_the_file(saved: Path, tmp_path: Path, make_model: Callable[[], Any]) -> None:
    def refused(kind: type[Exception], message: str, path: Path, model: Any) -> None:
        with pytest.raises(kind, match=message) as caught:
            load_weights(model, path)
        assert "\n" not in str(caught.value)

    baseline = build_model("baseline", SHAPE, 10)
    refused(NotFoundError, "does not exist", tmp_path / "absent.weights.h5", baseline)
    refused(NotFoundError, "is not a file", tmp_path, baseline)
    for name in ("text.weights.h5", "text.keras"):
        (tmp_path / name).write_text("no weights")
        refused(InvalidInputError, "does not fit the model 'baseline'", tmp_path / name, baseline)
    (tmp_path / "weights.bin").write_text("")
    refused(
        InvalidInputError, r"expected a file that ends in \.weights\.h5 or \.keras", tmp_path / "weights.bin", baseline
    )
    for name in ("model.weights.h5", "model.keras"):
        for other in (build_model("baseline", SHAPE, 3), build_model("baseline", (20, 20, 1), 10), make_model()):
            refused(InvalidInputError, "does not fit the model", saved / name, other)
    cut = tmp_path / "cut.weights.h5"
    cut.write_bytes((saved / "model.weights.h5").read_bytes()[:50_000])
    refused(InvalidInputError, "does not fit the model", cut, baseline)
