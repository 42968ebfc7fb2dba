"""The number format that a training computes in, and the measurement that chooses it.

In `mixed_bfloat16` the layers compute in bfloat16 while the weights, the loss and the output stay float32.
"""

import math
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

import keras

from liteport.errors import InvalidInputError
from liteport.terminal import ProgressCallback

from .architectures.normalization import FusedBatchNormalization
from .config import TrainConfig
from .pipeline import EpochPipeline
from .qat import is_quantize_aware
from .recipe import compile_for_training

FASTER_UP_TO = 0.85
"""`mixed_bfloat16` is taken when a step takes at most this part of a float32 step: noise alone does not get there."""

WORTH_MEASURING = 1e12
"""Multiply-accumulates of all forward passes of a training, from where on the measurement's few seconds pay off.

A core does some 10 to 50 thousand million a second, forward and backward taken together, so this is a minute or more.
A training below is always float32, which also makes it independent of the measurement's outcome.
"""

_CPU_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})
_PROBE_STEPS = 8


class ChosenPrecision(NamedTuple):
    """What a training computes in.

    Attributes:
        policy: A Keras dtype policy, `"float32"` or `"mixed_bfloat16"`.
        measured_ratio: The time of a step in mixed_bfloat16 over that in float32; None where it was not measured.
    """

    policy: str
    measured_ratio: float | None


@contextmanager
def policy_set_to(policy: str) -> Iterator[None]:
    """Sets Keras's global dtype policy for a while."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def copy_with_policy(model: keras.Model, policy: str, *, for_training: bool = False) -> keras.Model:
    """Copies a model, not compiled, under another dtype policy; its last layer computes in float32 in any case.

    Args:
        model: A Sequential or functional model; nested ones are copied too.
        policy: A Keras dtype policy.
        for_training: Whether the copy gets layers that compute the same and train faster, where there are such.

    Raises:
        InvalidInputError: If the model is of another kind.
    """
    last = model
    while isinstance(last, keras.Model) and last.layers:
        last = last.layers[-1]

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if not isinstance(layer, keras.layers.InputLayer) and "float" in str(layer.compute_dtype):
            config["dtype"] = "float32" if layer is last else policy
        kind = type(layer)
        if for_training and kind is keras.layers.BatchNormalization:
            kind = FusedBatchNormalization
        return kind.from_config(config)

    try:
        twin = keras.models.clone_model(model, clone_function=copy, recursive=True)
    except InvalidInputError:  # of a layer of ours, which says what is wrong
        raise
    except ValueError as error:
        raise InvalidInputError(
            f"expected a Sequential or functional Keras model, found {type(model).__name__}: {str(error).split('.')[0]}"
        ) from error
    twin.set_weights(model.get_weights())
    return twin


def multiply_accumulates(model: keras.Model) -> int:
    """Counts those of one image's forward pass: each kernel's elements, at each place it is applied."""
    return sum(
        math.prod(weight.shape) * math.prod(layer.output.shape[1:-1])
        for layer in model.layers
        for weight in layer.trainable_weights
        if len(weight.shape) > 1
    )


def cpu_has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Tells whether the CPU multiplies bfloat16 matrices; false where the system does not say."""
    if not cpuinfo.is_file():
        return False
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    return any(not _CPU_FLAGS.isdisjoint(line.split()) for line in lines if line.startswith("flags"))


def choose_precision(
    model: keras.Model, pipeline: EpochPipeline, config: TrainConfig, images: int, progress: ProgressCallback
) -> ChosenPrecision:
    """Chooses what to compute in: as the user said, or by what is measured to be faster.

    Args:
        model: The model to train; it is not changed.
        pipeline: Gives the batches to measure with.
        config: The wish, and the length of the training.
        images: Those of an epoch.
        progress: Called after each step of a measurement.
    """
    if is_quantize_aware(model):  # roundings to 8 bits are not made of numbers with 8 bits
        if config.precision == "mixed_bfloat16":
            raise InvalidInputError("precision: a quantization-aware model trains in float32, found mixed_bfloat16")
        return ChosenPrecision("float32", None)
    if config.precision != "auto":
        return ChosenPrecision(config.precision, None)
    work = multiply_accumulates(model) * images * config.epochs
    if work < WORTH_MEASURING or not cpu_has_bfloat16():
        return ChosenPrecision("float32", None)
    ratio = measured_ratio(model, pipeline, config, progress)
    return ChosenPrecision("mixed_bfloat16" if ratio <= FASTER_UP_TO else "float32", ratio)


def measured_ratio(
    model: keras.Model, pipeline: EpochPipeline, config: TrainConfig, progress: ProgressCallback
) -> float:
    """Measures the time of a training step in mixed_bfloat16 over that in float32, on throw-away copies.

    The steps of both take turns, so that what else the machine does meets both alike.
    """
    twins = {policy: copy_with_policy(model, policy, for_training=True) for policy in ("float32", "mixed_bfloat16")}
    for twin in twins.values():
        compile_for_training(twin, config, pipeline.steps)
    times: dict[str, list[float]] = {policy: [] for policy in twins}
    batches = islice(cycle(pipeline.batches(0).take(_PROBE_STEPS)), _PROBE_STEPS + 1)
    what = "comparing float32 and mixed_bfloat16"
    for step, (images, labels) in enumerate(batches):
        progress(what, step, _PROBE_STEPS + 1, "")
        for policy, twin in twins.items():
            start = time.perf_counter()
            twin.train_on_batch(images, labels)
            times[policy].append(time.perf_counter() - start)
    # the first step of each traces and compiles its function
    medians = {policy: statistics.median(taken[1:]) for policy, taken in times.items()}
    ratio = medians["mixed_bfloat16"] / medians["float32"]
    progress(what, _PROBE_STEPS + 1, _PROBE_STEPS + 1, f"a step takes {ratio:.2f} of the time")
    return ratio
