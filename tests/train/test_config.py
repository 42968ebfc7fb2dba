import dataclasses
import json
import math
from typing import Any

import pytest

from liteport.errors import InvalidInputError
from liteport.train import NO_AUGMENTATION, Augmentation, TrainConfig
from liteport.train.config import RECIPES, recipe


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epochs", 0, "epochs: expected a whole number from 1, found 0"),
        ("epochs", 1.5, "found 1.5"),
        ("batch_size", True, "batch_size: .* found True"),
        ("learning_rate", 0.0, "learning_rate: expected above 0"),
        ("learning_rate", math.nan, "found nan"),
        ("learning_rate", math.inf, "found inf"),
        ("weight_decay", -0.1, "weight_decay: expected 0 or more"),
        ("warm_up", 1.0, "warm_up: expected from 0 to below 1"),
        ("label_smoothing", 1.0, "label_smoothing: expected from 0 to below 1"),
        ("ema", 1.0, "ema: expected from 0 to below 1"),
        ("temperature", 0, "temperature: expected above 0"),
        ("distillation", 1.5, "distillation: expected from 0 to 1"),
        ("patience", -1, "patience: expected a whole number from 0"),
        ("seed", -1, "seed: expected a whole number from 0 to 2147483647"),
        ("seed", 2**31, "found 2147483648"),
        ("schedule", "one_cycle", "unknown schedule 'one_cycle'; did you mean 'one-cycle'"),
        ("precision", "bfloat16", "unknown precision 'bfloat16'; did you mean 'mixed_bfloat16'"),
    ],
)
def test_refuses(name: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        TrainConfig(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("shift", -0.1, "shift: expected from 0 to below 1, found -0.1"),
        ("rotation", math.nan, "rotation: .* found nan"),
        ("shear", 60, "shear: expected from 0 to below 60"),
        ("erasing", 1.1, "erasing: expected from 0 to 1"),
        ("augmented", -0.1, "augmented: expected from 0 to 1"),
        ("unaugmented", 1.1, "unaugmented: expected from 0 to 1"),
    ],
)
def test_augmentation_refuses(name: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Augmentation(**{name: value})


@pytest.mark.parametrize(
    ("images", "batch"), [(1, 1), (15, 15), (100, 16), (3199, 16), (3200, 32), (25_599, 128), (25_600, 256)]
)
def test_few_images_get_small_batches(images: int, batch: int) -> None:
    assert TrainConfig().settled(images).batch_size == batch
    assert recipe("plain").settled(images).batch_size == min(batch, 128)
    assert TrainConfig(batch_size=64).settled(images).batch_size == 64, "what the user says holds"


def test_what_is_off_moves_nothing() -> None:
    assert not NO_AUGMENTATION.moves
    assert Augmentation().moves


@pytest.mark.parametrize(("part", "epochs", "plain"), [(0, 5, 0), (0.1, 40, 4), (0.1, 4, 0), (0.5, 1, 1), (1, 5, 5)])
def test_the_last_epochs_take_images_as_they_are(part: float, epochs: int, plain: int) -> None:
    how = Augmentation(unaugmented=part)
    assert [how.of_epoch(epoch, epochs).moves for epoch in range(epochs)] == [True] * (epochs - plain) + [False] * plain
    assert how.first_epoch(epochs) == (epochs - plain + 1 if plain else 1)


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_survive_json(name: str) -> None:
    config = recipe(name)
    assert TrainConfig.from_json(json.loads(json.dumps(dataclasses.asdict(config)))) == config


def test_changes_reach_the_augmentation() -> None:
    changed = TrainConfig().changed(epochs=3, rotation=1.0)
    assert (changed.epochs, changed.augmentation) == (3, Augmentation(rotation=1.0))
    assert TrainConfig().changed(augmentation=NO_AUGMENTATION, zoom=0.5).augmentation.zoom == 0.5


def test_unknown_recipe() -> None:
    with pytest.raises(InvalidInputError, match="did you mean 'plain'"):
        recipe("plane")


def test_the_default_recipe_is_the_designs() -> None:
    assert recipe("default") == recipe("default", "mine:net") == TrainConfig()
    assert recipe("default", "baseline") == TrainConfig().changed(epochs=40, warm_up=0.05, unaugmented=0.1)
    assert recipe("default", "tiny") == TrainConfig(learning_rate=1e-2, epochs=50)
    assert recipe("plain", "tiny") == RECIPES["plain"]
