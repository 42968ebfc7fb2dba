"""Loss, optimizer and schedule of a training."""

import keras

from .config import TrainConfig

_WARM_UP = 0.25
_START = 0.1
_END = 1e-3


def compile_for_training(model: keras.Model, config: TrainConfig, steps_per_epoch: int) -> None:
    """Compiles a model with AdamW, categorical cross-entropy and accuracy, and builds the optimizer's state.

    Args:
        model: A classifier with probabilities as output.
        config: Learning rate, schedule, weight decay and label smoothing.
        steps_per_epoch: Batches of an epoch.
    """
    optimizer = keras.optimizers.AdamW(
        learning_rate(config, steps_per_epoch * config.epochs), weight_decay=config.weight_decay
    )
    model.compile(
        optimizer,
        keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing),
        metrics=["accuracy"],
        jit_compile=False,  # XLA on a CPU was measured to be ten times slower
    )
    optimizer.build(model.trainable_variables)


def learning_rate(config: TrainConfig, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Returns the schedule over all steps of a training.

    The one-cycle schedule follows L. Smith and N. Topin, "Super-Convergence" (2018), with the cosine fall that became
    usual after it: a tenth of the learning rate, up to it in a quarter of the steps, down to a thousandth.
    """
    if config.schedule == "constant":
        return config.learning_rate
    warm_up = max(1, int(steps * _WARM_UP))
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=config.learning_rate * _START,
        decay_steps=max(1, steps - warm_up),
        alpha=_END,
        warmup_target=config.learning_rate,
        warmup_steps=warm_up,
    )
