"""A training under way: one epoch after the other, each of which can be saved and gone on from."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from liteport.errors import InterruptedTrainingError
from liteport.terminal import ProgressCallback

from .config import TrainConfig
from .datasets import Dataset
from .evaluate import Metrics, evaluate, metrics, probabilities
from .pipeline import EpochPipeline
from .precision import ChosenPrecision, copy_with_policy
from .recipe import compile_for_training
from .record import Progress, save_run

_NOTHING_DONE = Progress(
    {"loss": [], "accuracy": [], "val_loss": [], "val_accuracy": []}, 0.0, Metrics(math.nan, math.nan)
)


class Training:
    """Two copies of a model, and how far they are.

    Attributes:
        trained: Compiled; computes in the chosen precision.
        model: Float32, not compiled; gets the weights of `trained` after each epoch, and is measured and saved.
        progress: How far the training is.
    """

    def __init__(
        self,
        model: keras.Model,
        dataset: Dataset,
        config: TrainConfig,
        precision: ChosenPrecision,
        pipeline: EpochPipeline,
        progress: Progress = _NOTHING_DONE,
    ) -> None:
        self.model = copy_with_policy(model, "float32")
        self.trained = copy_with_policy(model, precision.policy)
        compile_for_training(self.trained, config, pipeline.steps)
        self.dataset = dataset
        self.config = config
        self.precision = precision
        self.progress = progress
        self._pipeline = pipeline

    @property
    def epochs_done(self) -> int:
        """The number of finished epochs."""
        return self.progress.epochs_done

    @property
    def epochs_left(self) -> int:
        """The number of epochs still to run."""
        return self.config.epochs - self.epochs_done

    def run_epoch(self, show: ProgressCallback) -> None:
        """Trains one epoch and measures the model on the validation split.

        Raises:
            InterruptedTrainingError: If the loss is no longer a number.
        """
        epoch, start, steps = self.epochs_done, time.perf_counter(), self._pipeline.steps
        what = f"epoch {epoch + 1}/{self.config.epochs}"
        _seed_random_layers(self.trained, self.config.seed, epoch)
        watch = keras.callbacks.LambdaCallback(on_train_batch_end=_watch(what, steps, show))
        fitted = self.trained.fit(
            self._pipeline.batches(epoch),
            initial_epoch=epoch,
            epochs=epoch + 1,
            verbose=0,
            shuffle=False,
            callbacks=[watch],
        ).history
        self.model.set_weights(self.trained.get_weights())
        train = Metrics(fitted["loss"][0], fitted["accuracy"][0])
        validation = evaluate(self.model, self.dataset.validation)
        figures = dict(zip(self.progress.history, (*train, *validation), strict=True))
        seconds = time.perf_counter() - start
        self.progress = Progress(
            {name: [*values, float(figures[name])] for name, values in self.progress.history.items()},
            self.progress.seconds + seconds,
            validation,
        )
        show(what, steps, steps, f"{_note(*train)}; validation {_note(*validation)}; {seconds:.1f} s")

    def measure(self) -> NDArray[np.float32]:
        """Measures the model on the test split and returns the probabilities (N, classes) it gives there."""
        predicted = probabilities(self.model, self.dataset.test.images)
        self.progress = replace(self.progress, test=metrics(predicted, self.dataset.test.labels))
        return predicted

    def save(self, folder: Path, description: dict[str, Any]) -> None:
        """Replaces the files in a run folder; see `record.save_run`."""
        save_run(folder, description, self.progress, self.model, self.trained)


def _note(loss: float, accuracy: float) -> str:
    return f"loss {loss:.4f} accuracy {accuracy:.4f}"


def _watch(what: str, steps: int, show: ProgressCallback) -> Callable[[int, dict[str, float]], None]:
    def after_batch(batch: int, logs: dict[str, float]) -> None:
        if not math.isfinite(logs["loss"]):
            raise InterruptedTrainingError(f"{what}: the loss became {logs['loss']}; try a lower learning rate")
        if batch + 1 < steps:  # the last one is shown together with the validation figures
            show(what, batch + 1, steps, _note(logs["loss"], logs["accuracy"]))

    return after_batch


def _seed_random_layers(model: keras.Model, seed: int, epoch: int) -> None:
    """Sets the generators of dropout and the like for an epoch; no file of weights holds their state."""
    states = [variable for variable in model.variables if variable.name == "seed_generator_state"]
    for number, state in enumerate(states):
        state.assign(np.random.SeedSequence([seed, epoch, number]).generate_state(2).astype(state.dtype))
