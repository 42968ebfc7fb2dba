"""Loss, optimizer and schedule of a training."""

import keras
from keras import ops

from .config import TrainConfig

_START = 0.1
_END = 1e-3
_MEMORIES = 10
"""From its start, a training is about so many times as long as the memory of its weights' average."""


class Optimizer(keras.optimizers.AdamW):  # type: ignore[misc]
    """AdamW that keeps an average of the weights beside them.

    Keras replaces the weights by their average at the end of each `fit`, which here is the end of each epoch.

    Attributes:
        ema_momentum: That of the next step. Its memory grows with the steps taken, as in TensorFlow's
            ExponentialMovingAverage, so that the weights that a training began with do not linger.
    """

    @property
    def ema_momentum(self) -> keras.KerasTensor:  # noqa: D102 - see above
        steps = ops.cast(self.iterations, "float32")
        return ops.minimum(self._largest_momentum, (1 + steps) / (_MEMORIES + steps))

    @ema_momentum.setter
    def ema_momentum(self, largest: float) -> None:
        self._largest_momentum = largest

    def finalize_variable_values(self, var_list: list[keras.Variable]) -> None:
        """Leaves the weights as they are."""

    def averaged_into(self, variables: list[keras.Variable]) -> None:
        """Replaces trainable variables by their average, where one is kept."""
        super().finalize_variable_values(variables)


class DistillationLoss(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy with the labels, and with a teacher's answers softened by a temperature.

    G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network" (arXiv 1503.02531). The second part
    is multiplied by the temperature's square, which keeps its gradients as large as the first's.

    Args:
        part: What the teacher's answers have in the loss; the labels have the rest.
        temperature: What both sides' logits are divided by.
        label_smoothing: Of the labels.
    """

    def __init__(self, part: float, temperature: float, label_smoothing: float) -> None:
        super().__init__()
        self._part = part
        self._temperature = temperature
        self._label_smoothing = label_smoothing

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the loss of each image (N,); see `EpochPipeline.batches` for `y_true`."""
        classes = y_pred.shape[-1]
        labels, teacher = y_true[:, :classes], y_true[:, classes:]
        hard = keras.losses.categorical_crossentropy(labels, y_pred, label_smoothing=self._label_smoothing)
        soft = keras.losses.categorical_crossentropy(self._softened(teacher), self._softened(y_pred))
        return (1 - self._part) * hard + self._part * self._temperature**2 * soft

    def _softened(self, probabilities: keras.KerasTensor) -> keras.KerasTensor:
        # the logits up to a constant, which the softmax takes out
        return ops.softmax(ops.log(ops.maximum(probabilities, keras.config.epsilon())) / self._temperature)


def accuracy(y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
    """Tells for each image (N,) whether the label's class is the most probable; a teacher's answers are left out."""
    return keras.metrics.categorical_accuracy(y_true[:, : y_pred.shape[-1]], y_pred)


def compile_for_training(
    model: keras.Model, config: TrainConfig, steps_per_epoch: int, *, taught: bool = False
) -> Optimizer:
    """Compiles a model, and builds the optimizer's state.

    Args:
        model: A classifier with probabilities as output.
        config: Learning rate, schedule, weight decay, label smoothing, average of weights.
        steps_per_epoch: Batches of an epoch.
        taught: Whether there is a teacher.
    """
    steps = steps_per_epoch * config.epochs
    optimizer = Optimizer(
        learning_rate(config, steps),
        weight_decay=config.weight_decay,
        use_ema=config.ema > 0,
        ema_momentum=config.ema,
    )
    model.compile(
        optimizer,
        DistillationLoss(config.distillation, config.temperature, config.label_smoothing)
        if taught
        else keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing),
        # made here, where a strategy's variables are made, and not while the first step is traced
        metrics=[keras.metrics.MeanMetricWrapper(accuracy, name="accuracy")],
        jit_compile=False,  # XLA on a CPU was measured to be ten times slower
    )
    optimizer.build(model.trainable_variables)
    return optimizer


def learning_rate(config: TrainConfig, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Returns the schedule over all steps of a training.

    The one-cycle schedule follows L. Smith and N. Topin, "Super-Convergence" (2018), with the cosine fall that became
    usual after it: from a tenth of the learning rate up to it, down to a thousandth of it.
    """
    schedules = keras.optimizers.schedules
    if config.schedule == "constant":
        return config.learning_rate
    if config.schedule == "cosine":
        return schedules.CosineDecay(config.learning_rate, decay_steps=steps, alpha=_END)
    warm_up = max(1, int(steps * config.warm_up))
    return schedules.CosineDecay(
        initial_learning_rate=config.learning_rate * _START,
        decay_steps=max(1, steps - warm_up),
        alpha=_END,
        warmup_target=config.learning_rate,
        warmup_steps=warm_up,
    )
