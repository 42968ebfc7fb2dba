"""Trainings of a few dozen steps; a stopped one is a new model with the weights and the optimizer of the old one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from liteport.train import Dataset
from liteport.train.compression import Compression
from liteport.train.compression.attached import Attached
from liteport.train.compression.clustering import codes_of
from liteport.train.compression.kernels import kernels_of
from liteport.train.precision import copy_with_policy

EPOCHS, BATCH = 4, 40
BOTH = Compression(sparsity=0.7, clusters=8)


class Trained:
    """A model under training."""

    def __init__(self, model: keras.Model, dataset: Dataset, compression: Compression) -> None:
        self.model = model
        self.images = dataset.train.images.astype(np.float32) / 255
        self.labels = dataset.train.labels
        self.steps = -(-len(self.labels) // BATCH)
        self.attached = Attached(compression, model, self.steps * EPOCHS)
        model.compile(keras.optimizers.AdamW(0.01), "sparse_categorical_crossentropy", jit_compile=False)
        model.optimizer.build(model.trainable_variables)

    def run(self, first: int, last: int) -> None:
        """Trains epochs, which are counted from zero, up to but not `last`."""
        for epoch in range(first, last):
            self.attached.start_epoch(epoch * self.steps)
            for step in range(self.steps):
                part = slice(step * BATCH, (step + 1) * BATCH)
                self.model.train_on_batch(self.images[part], self.labels[part])
                self.attached.after_step(epoch * self.steps + step + 1)

    @property
    def kernels(self) -> list[NDArray[np.float32]]:
        return [np.asarray(kernel.variable) for kernel in kernels_of(self.model)]


@pytest.fixture(scope="module")
def make(make_model: Callable[[], Any], dataset: Dataset) -> Callable[..., Trained]:
    def make(compression: Compression, policy: str = "float32") -> Trained:
        model = copy_with_policy(make_model(), policy)
        model.layers[2].rate = 0.0  # no random numbers, which are the caller's to repeat
        return Trained(model, dataset, compression)

    return make


def sparsity(kernels: list[NDArray[np.float32]]) -> float:
    return float(np.mean(np.concatenate([kernel.ravel() == 0 for kernel in kernels])))


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module")
def unbroken(make: Callable[..., Trained], checkpoints: Path) -> Trained:
    trained = make(BOTH)
    for epoch in range(EPOCHS):
        trained.run(epoch, epoch + 1)
        trained.model.save_weights(checkpoints / f"{epoch + 1}.weights.h5")
    return trained


def test_kernels_end_up_sparse_and_shared(unbroken: Trained) -> None:
    weights = sum(kernel.size for kernel in unbroken.kernels)
    assert sparsity(unbroken.kernels) >= 0.7 - 1 / weights  # more, where small weights share the code 0
    for kernel in unbroken.kernels:
        assert len(np.unique(codes_of(kernel, (-1,)))) <= 8


def test_biases_and_batch_norm_stay_free(unbroken: Trained) -> None:
    rest = [v for v in unbroken.model.trainable_variables if len(v.shape) == 1]
    assert len(rest) == 4
    assert all(v.constraint is None and (v.numpy() != 0).all() for v in rest)


@pytest.mark.parametrize("stopped_after", [1, 2], ids=["while pruning", "when clustered"])
def test_a_resumed_training_ends_with_the_same_bits(
    stopped_after: int, unbroken: Trained, make: Callable[..., Trained], checkpoints: Path
) -> None:
    resumed = make(BOTH)
    resumed.model.load_weights(checkpoints / f"{stopped_after}.weights.h5")
    resumed.run(stopped_after, EPOCHS)
    for ours, theirs in zip(resumed.model.get_weights(), unbroken.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_sparsity_follows_its_schedule(make: Callable[..., Trained]) -> None:
    trained = make(Compression(sparsity=0.7))
    trained.run(0, 1)  # half of the way
    assert sparsity(trained.kernels) == pytest.approx(0.7 * (1 - 0.5**3), abs=0.01)  # rounded to whole weights
    trained.run(1, 3)
    assert sparsity(trained.kernels) == pytest.approx(0.7, abs=0.01)


def test_clusters_alone_come_halfway(make: Callable[..., Trained]) -> None:
    trained = make(Compression(clusters=16), "mixed_bfloat16")
    trained.run(0, 1)
    assert max(len(np.unique(codes_of(kernel, (-1,)))) for kernel in trained.kernels) > 16
    trained.run(1, 3)
    assert max(len(np.unique(codes_of(kernel, (-1,)))) for kernel in trained.kernels) <= 16


def test_a_sparse_model_that_is_clustered_stays_sparse(make: Callable[..., Trained]) -> None:
    trained = make(Compression(clusters=16))
    kernel = trained.model.layers[-1].kernel
    before = np.where(np.arange(kernel.shape[0])[:, None] % 2, 0, kernel.numpy())
    kernel.assign(before)
    # no epoch before it, where nothing would keep the zeros
    trained.attached.after_step(2 * trained.steps)  # the step at which clusters are chosen
    trained.run(2, 3)
    assert (kernel.numpy()[before == 0] == 0).all()
    assert (kernel.numpy() != 0).any()
