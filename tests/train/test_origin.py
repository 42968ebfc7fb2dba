from pathlib import Path

import numpy as np
import pytest

from liteport.errors import InvalidInputError, NotFoundError
from liteport.train import Dataset, build_model
from liteport.train.origin import RECORDED, Origin, load_model
from liteport.train.qat import is_quantize_aware

SHAPE = (14, 14, 1)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    build_model("baseline", SHAPE, 10, seed=3).save(folder / "model.keras")
    return folder


def test_builds_a_design_by_its_seed(dataset: Dataset) -> None:
    built = Origin(design="baseline").build(dataset, 3)
    for ours, theirs in zip(built.get_weights(), build_model("baseline", SHAPE, 10, seed=3).get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_takes_a_trained_model_and_makes_it_quantization_aware(run: Path, dataset: Dataset) -> None:
    images = dataset.test.images[:5] / np.float32(255)
    taken = Origin(run=run).build(dataset, 0)
    np.testing.assert_array_equal(taken(images), load_model(run / "model.keras")(images))
    assert not is_quantize_aware(taken)
    assert is_quantize_aware(Origin(run=run, weight_bits=8).build(dataset, 0))


def test_survives_being_recorded(run: Path) -> None:
    origin = Origin(design="baseline", dropout=0.1, run=run, weight_bits=4)
    described = origin.described()
    assert tuple(described) == RECORDED
    again = Origin.from_record(described)
    assert (again.design, again.dropout, again.run, again.weight_bits) == ("baseline", 0.1, run, 4)
    again.check_files()


def test_models_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"model\.keras does not exist; expected a run folder"):
        load_model(tmp_path)
    (tmp_path / "model.h5").write_text("")
    with pytest.raises(InvalidInputError, match=r"expected a run folder or a \.keras file"):
        load_model(tmp_path / "model.h5")
    (tmp_path / "model.keras").write_text("text")
    with pytest.raises(InvalidInputError, match="cannot be read as a Keras model") as caught:
        load_model(tmp_path)
    assert "\n" not in str(caught.value)
