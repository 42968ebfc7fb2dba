from dataclasses import replace

import numpy as np
import pytest

from liteport.train import TrainConfig
from liteport.train.recipe import learning_rate

CONFIG = TrainConfig(learning_rate=0.008)


def test_one_cycle_rises_for_a_quarter_and_falls_to_nearly_nothing() -> None:
    schedule = learning_rate(CONFIG, 1000)
    rates = np.array([float(schedule(step)) for step in range(1001)])

    assert rates[0] == pytest.approx(0.0008)
    assert rates.argmax() == 250
    assert rates.max() == pytest.approx(0.008)
    np.testing.assert_allclose(np.diff(rates[:251]), 0.0072 / 250, rtol=1e-3)  # float32 differences of close values
    assert rates[625] == pytest.approx(0.008 * (1 + 1e-3) / 2, rel=1e-5)  # half of a cosine's fall
    assert rates[-1] == pytest.approx(8e-6, rel=1e-3)  # near the cosine's end float32 has three digits left


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_shortest_trainings_have_a_rate(steps: int) -> None:
    schedule = learning_rate(CONFIG, steps)
    assert all(0 < float(schedule(step)) <= 0.008 * (1 + 1e-6) for step in range(steps))


def test_constant_is_constant() -> None:
    assert learning_rate(replace(CONFIG, schedule="constant"), 1000) == 0.008
