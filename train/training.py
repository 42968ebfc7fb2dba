"""A training under way: one epoch after the other, each of which can be saved and gone on from."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from liteport.errors import InterruptedTrainingError
from liteport.terminal import ProgressCallback

from .compression import compression_of
from .compression.attached import Attached
from .config import TrainConfig
from .datasets import Dataset
from .evaluate import Metrics, evaluate, metrics, probabilities
from .pipeline import EpochPipeline
from .precision import ChosenPrecision, copy_with_policy
from .qat import is_quantize_aware, settle_biases
from .recipe import compile_for_training
from .record import NOTHING_DONE, History, Progress, save_run
from .replicas import ALONE, Replicas
from .spread import Spread


class Training:
    """Two copies of a model, and how far they are.

    Attributes:
        trained: Compiled; computes in the chosen precision.
        model: Float32, not compiled; after each epoch it has the weights of `trained`, or their average, and is
            measured; at the end it has those of the best epoch.
        progress: How far the training is.
    """

    def __init__(
        self,
        model: keras.Model,
        dataset: Dataset,
        config: TrainConfig,
        precision: ChosenPrecision,
        pipeline: EpochPipeline,
        *,
        taught: bool = False,
        history: History | None = None,
        replicas: Replicas = ALONE,
    ) -> None:
        compression = compression_of(config)
        steps = pipeline.steps * config.epochs
        self.model = copy_with_policy(model, "float32")
        self._is_aware = is_quantize_aware(model)
        self.trained = replicas.placed(lambda: copy_with_policy(model, precision.policy, for_training=True))
        self.dataset = dataset
        self.config = config
        self.precision = precision
        compressed = compression.first_epoch(pipeline.steps, config.epochs) if compression else 1
        first = max(compressed, config.augmentation.first_epoch(config.epochs))
        self.progress = Progress(history or NOTHING_DONE, first)
        with replicas.scope():
            self._attached = Attached(compression, self.trained, steps) if compression else None
            self._optimizer = compile_for_training(self.trained, config, pipeline.steps, taught=taught)
        self._spread = Spread(self.trained, replicas)
        self._replicas = replicas
        self._pipeline = pipeline
        self._best = self.model.get_weights()

    @property
    def epochs_done(self) -> int:
        """The number of finished epochs."""
        return self.progress.epochs_done

    @property
    def goes_on(self) -> bool:
        """Whether there is another epoch to run."""
        waited = self.epochs_done - self.progress.best_epoch
        stalled = bool(self.config.patience) and waited >= self.config.patience
        return self.epochs_done < self.config.epochs and not stalled

    def run_epoch(self, show: ProgressCallback) -> None:
        """Trains one epoch and measures the model on the validation split.

        Raises:
            InterruptedTrainingError: If the loss is no longer a number.
        """
        epoch, start, steps = self.epochs_done, time.perf_counter(), self._pipeline.steps
        what = f"epoch {epoch + 1}/{self.config.epochs}"
        self._spread.seed(self.config.seed, epoch)
        callbacks = [keras.callbacks.LambdaCallback(on_train_batch_end=_watch(what, steps, show))]
        if self._attached is not None:
            callbacks.append(_compressing(self._attached, epoch * steps))
        with self._replicas.heeding_others():
            fitted = self._fit(epoch, callbacks)
        self._spread.settle()
        self._take_weights()
        train = Metrics(fitted["loss"][0], fitted["accuracy"][0])
        # from one worker, as all must agree on whether to go on
        validation = Metrics(*self._replicas.from_chief(lambda: evaluate(self.model, self.dataset.validation)))
        seconds = self._replicas.from_chief(lambda: time.perf_counter() - start)
        self.progress = self.progress.with_epoch(train, validation, seconds)
        if self.progress.best_epoch == self.epochs_done:
            self._best = self.model.get_weights()
        show(what, steps, steps, f"{_note(*train)}; validation {_note(*validation)}; {seconds:.1f} s")

    def _fit(self, epoch: int, callbacks: list[keras.callbacks.Callback]) -> dict[str, list[float]]:
        try:
            history: dict[str, list[float]] = self.trained.fit(
                self._pipeline.batches(epoch),
                initial_epoch=epoch,
                epochs=epoch + 1,
                verbose=0,
                shuffle=False,
                callbacks=callbacks,
            ).history
        except tf.errors.OpError as error:  # which is what TensorFlow makes of an error while images are read
            failure = getattr(self.dataset.train.images, "failure", None)
            if failure is None:
                raise
            raise InterruptedTrainingError(f"epoch {epoch + 1}: {failure}") from error
        return history

    def measure(self) -> NDArray[np.float32]:
        """Measures the best epoch's model on the test split and returns the probabilities (N, classes) it gives."""
        self.model.set_weights(self._best)
        predicted = probabilities(self.model, self.dataset.test.images)
        self.progress = replace(self.progress, test=metrics(predicted, self.dataset.test.labels))
        return predicted

    @property
    def is_chief(self) -> bool:
        """Whether this process measures the model."""
        return self._replicas.is_chief

    def share(self) -> None:
        """Gives all workers the weights and the optimizer's state of the chief; before the first epoch here."""
        self._replicas.share([*self.trained.variables, *self._optimizer.variables])

    def conclude(self) -> None:
        """Gives all workers what the chief has measured, and its model; with this they end together."""
        test = self._replicas.from_chief(lambda: tuple(self.progress.test or ()))
        self.progress = replace(self.progress, test=Metrics(*test))
        self._replicas.share(self.model.variables)

    def again(self, folder: Path) -> str:
        """Returns what a user does to go on with this training, of which some epochs are in a folder."""
        if self._replicas.cluster is not None:
            return "the same command on every worker"
        return f"liteport train --resume {folder}"

    def save(self, folder: Path, description: dict[str, Any]) -> None:
        """Replaces the files in a run folder; see `record.save_run`."""
        is_best = self.progress.best_epoch == self.epochs_done or self.progress.test is not None
        save_run(folder, description, self.progress, self.model if is_best else None, self.trained)

    def _take_weights(self) -> None:
        """Gives `model` the weights of `trained`: their average where one is kept."""
        weights = self.trained.get_weights()
        if self.config.ema:
            self._optimizer.averaged_into(self.trained.trainable_variables)
        self.model.set_weights(self.trained.get_weights())
        self.trained.set_weights(weights)
        if self._is_aware:
            settle_biases(self.model)


def _note(loss: float, accuracy: float) -> str:
    return f"loss {loss:.4f} accuracy {accuracy:.4f}"


def _watch(what: str, steps: int, show: ProgressCallback) -> Callable[[int, dict[str, float]], None]:
    def after_batch(batch: int, logs: dict[str, float]) -> None:
        if not math.isfinite(logs["loss"]):
            raise InterruptedTrainingError(f"{what}: the loss became {logs['loss']}; try a lower learning rate")
        if batch + 1 < steps:  # the last one is shown together with the validation figures
            show(what, batch + 1, steps, _note(logs["loss"], logs["accuracy"]))

    return after_batch


def _compressing(attached: Attached, done: int) -> keras.callbacks.Callback:
    """Has the kernels compressed during an epoch, before which `done` steps were taken."""
    attached.start_epoch(done)

    def after_batch(batch: int, logs: dict[str, float]) -> None:  # noqa: ARG001 - Keras names it
        attached.after_step(done + batch + 1)

    return keras.callbacks.LambdaCallback(on_train_batch_end=after_batch)
