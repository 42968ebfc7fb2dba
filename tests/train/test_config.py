import math
from typing import Any

import pytest

from liteport.errors import InvalidInputError
from liteport.train import TrainConfig


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
        ("label_smoothing", 1.0, "label_smoothing: expected from 0 to below 1"),
        ("shift", -1, "shift: expected a whole number from 0"),
        ("seed", -1, "seed: expected a whole number from 0 to 2147483647"),
        ("seed", 2**31, "found 2147483648"),
        ("schedule", "one_cycle", "unknown schedule 'one_cycle'; did you mean 'one-cycle'"),
        ("precision", "bfloat16", "unknown precision 'bfloat16'; did you mean 'mixed_bfloat16'"),
    ],
)
def test_refuses(name: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        TrainConfig(**{name: value})
