import dataclasses
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from liteport.errors import IntegrityError, InvalidInputError, NotFoundError
from liteport.train import NO_AUGMENTATION, RECIPES, Augmentation, TrainConfig
from liteport.train.config import recipe
from liteport.train.request import requested, stages


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder, as far as a request looks into it."""
    record = {
        "schema_version": 2, "status": "finished", "design": "fast", "dropout": 0.2, "run": None, "weights": None,
        "weight_bits": None, "digests": {}, "teacher": None, "logs": ["csv"],
        "dataset": {"source": "digits.npz", "seed": 7, "image_size": None, "skip_corrupt": False, "digest": "ab"},
        "config": dataclasses.asdict(TrainConfig(epochs=3, seed=7).changed(flip=True)),
        "precision": {}, "history": {}, "validation": {}, "model_sha256": "",
    }  # fmt: skip
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "training.json").write_text(json.dumps(record))
    (folder / "model.keras").write_bytes(b"weights")
    return folder


def test_nothing_given_is_the_default_recipe_on_mnist() -> None:
    request = requested({})
    assert (dict(request.data), request.digest) == ({"source": "mnist", "seed": 0}, None)
    assert request.config == recipe("default", "baseline")
    assert (request.origin.design, request.origin.dropout, request.teacher, request.logs) == (
        "baseline",
        None,
        None,
        (),
    )


def test_options_change_the_recipe() -> None:
    request = requested(
        {
            "recipe": "plain",
            "epochs": 2,
            "seed": 4,
            "rotation": 3.0,
            "design": "tiny",
            "csv": True,
            "skip_corrupt": True,
        }
    )
    assert request.config == RECIPES["plain"].changed(epochs=2, seed=4, rotation=3.0)
    assert dict(request.data) == {"source": "mnist", "seed": 4, "skip_corrupt": True}
    assert (request.origin.design, request.logs) == ("tiny", ("csv",))


def test_augmentation_is_off_by_one_flag() -> None:
    assert requested({"augment": False}).config.augmentation == NO_AUGMENTATION
    assert requested({"augment": True}).config.augmentation == Augmentation(unaugmented=0.1)
    with pytest.raises(InvalidInputError, match="--no-augment and --zoom contradict each other"):
        requested({"augment": False, "zoom": 0.1})


def test_a_record_is_trained_again_but_for_the_options(run: Path) -> None:
    same = requested({"start": run / "training.json"})
    assert same.config == TrainConfig(epochs=3, seed=7).changed(flip=True)
    assert (same.data["source"], same.data["seed"], same.digest) == ("digits.npz", 7, "ab")
    assert (same.origin.design, same.origin.dropout, same.origin.run, same.logs) == ("fast", 0.2, None, ("csv",))
    other = requested({"start": run / "training.json", "seed": 8, "epochs": 1})
    assert (other.config, other.data["seed"], other.digest) == (replace(same.config, epochs=1, seed=8), 8, None)


def test_a_run_is_trained_further_by_the_fine_tune_recipe(run: Path) -> None:
    request = requested({"start": run})
    assert request.config == RECIPES["fine-tune"].changed(flip=True)  # images are changed as they were in the run
    assert requested({"start": run, "augment": False}).config.augmentation == NO_AUGMENTATION
    assert requested({"start": run, "recipe": "quick"}).config == RECIPES["quick"]
    assert (request.origin.run, request.origin.design, request.data["source"]) == (run, "fast", "digits.npz")
    assert request.data["seed"] == 7  # the same images stay held out
    (run / "training.json").unlink()
    assert requested({"start": run, "data": "mnist"}).origin.run == run


@pytest.mark.parametrize("option", ["design", "dropout", "weights"])
def test_a_run_brings_its_model(run: Path, option: str) -> None:
    with pytest.raises(InvalidInputError, match="brings the model; drop --design, --dropout and --weights"):
        requested({"start": run, option: "x"})


def test_bad_starts(run: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="absent does not exist"):
        requested({"start": tmp_path / "absent"})
    with pytest.raises(NotFoundError, match=r"absent\.json does not exist"):
        requested({"start": tmp_path / "absent.json"})
    text = (run / "training.json").read_text()
    for changed, message in (
        (text.replace('"ema"', '"emma"'), "is damaged: .*emma"),
        (text.replace('"seed": 7, "image_size"', '"image_size"'), "is damaged: its dataset lacks 'seed'"),
        (text.replace('"design": "fast"', '"design": null'), "records a model that was built in Python"),
    ):
        assert changed != text
        (run / "training.json").write_text(changed)
        with pytest.raises(InvalidInputError, match=message):
            requested({"start": run / "training.json"})
    (run / "training.json").write_text(text.replace('"flip"', '"flop"'))
    with pytest.raises(InvalidInputError, match=r"is damaged: .*flop"):
        requested({"start": run})


def test_a_record_whose_start_has_changed(run: Path, tmp_path: Path) -> None:
    start = tmp_path / "older.keras"
    start.write_bytes(b"other weights")
    record: dict[str, Any] = json.loads((run / "training.json").read_text())
    (run / "training.json").write_text(json.dumps(record | {"run": str(start), "digests": {"run": "0" * 64}}))
    with pytest.raises(IntegrityError, match=r"older\.keras is not what the recorded training started from"):
        requested({"start": run / "training.json"})


def test_quantization_aware_training_has_two_stages_unless_a_run_is_given() -> None:
    out = Path("runs/digits")
    assert stages({"epochs": 3}, out) == [({"epochs": 3}, out)]
    given = {"qat": True, "weight_bits": 4, "design": "tiny", "epochs": 9, "seed": 2, "rotation": 3.0}
    base = Path("runs/digits-float")
    assert stages(given, out) == [
        ({"design": "tiny", "epochs": 9, "seed": 2, "rotation": 3.0}, base),
        ({"weight_bits": 4, "seed": 2, "start": base}, out),  # the rotation is in the record of the first
    ]
    assert stages({"qat": True, "start": base}, out) == [({"weight_bits": 8, "start": base}, out)]
    with pytest.raises(InvalidInputError, match="--weight-bits goes with --qat"):
        stages({"weight_bits": 4}, out)
    with pytest.raises(InvalidInputError, match="--clusters are int8 codes"):
        stages({"qat": True, "weight_bits": 4, "clusters": 8, "start": base}, out)
