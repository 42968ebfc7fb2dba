from dataclasses import dataclass

import pytest

from liteport.errors import InvalidInputError
from liteport.train.compression import Compression, compression_of
from liteport.train.compression.pruning import Pruning


@dataclass(frozen=True)
class Settings:
    sparsity: float = 0.0
    clusters: int = 0
    ema: float = 0.0


@pytest.mark.parametrize("sparsity", [-0.1, 1, 1.5, float("nan")])
def test_sparsity_out_of_range(sparsity: float) -> None:
    with pytest.raises(InvalidInputError, match=f"sparsity: expected from 0 to below 1, found {sparsity}"):
        Compression(sparsity=sparsity)


@pytest.mark.parametrize("clusters", [-1, 1, 2, 256, 16.0, True])
def test_clusters_out_of_range(clusters: int) -> None:
    with pytest.raises(
        InvalidInputError, match=f"clusters: expected 0 or a whole number from 3 to 255, found {clusters}"
    ):
        Compression(clusters=clusters)


def test_nothing_asked_for_is_none() -> None:
    assert compression_of(Settings(ema=0.99)) is None


def test_an_average_of_weights_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"ema: expected 0 together with sparsity or clusters, found 0\.99"):
        compression_of(Settings(clusters=16, ema=0.99))


def test_settings_become_a_compression() -> None:
    assert compression_of(Settings(sparsity=0.8, clusters=16)) == Compression(0.8, 16)


def test_the_second_half_of_a_training_fine_tunes() -> None:
    assert Compression(0.8).settled_after(1000) == 500
    assert Compression(0.8).pruning(1000) == Pruning(0.8, start=0, end=500, every=16)
    assert Compression(clusters=16).pruning(1000) is None


@pytest.mark.parametrize(("epochs", "first"), [(1, 1), (2, 1), (3, 2), (4, 2), (20, 10)])
def test_epochs_that_end_before_do_not_count(epochs: int, first: int) -> None:
    assert Compression(0.8).first_epoch(10, epochs) == first


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_trainings_settle(steps: int) -> None:
    compression = Compression(0.8, 16)
    schedule = compression.pruning(steps)
    assert schedule is not None
    assert compression.settled_after(steps) == schedule.end <= steps
    assert any(schedule.updates_after(step) for step in range(1, steps + 1))
