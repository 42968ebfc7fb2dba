"""The settings of a training."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from liteport.errors import InvalidInputError, unknown_name

Schedule = Literal["one-cycle", "constant"]
Precision = Literal["auto", "float32", "mixed_bfloat16"]

_LARGEST_SEED = 2**31 - 1


@dataclass(frozen=True)
class TrainConfig:
    """How to train; checked when it is made.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images a step.
        learning_rate: The highest of the schedule.
        schedule: `"one-cycle"` rises linearly from a tenth of the learning rate for a quarter of the steps and falls
            to nearly zero by a cosine; `"constant"` stays.
        weight_decay: AdamW's, times the learning rate a step.
        label_smoothing: The part of each one-hot label that is spread over all classes.
        shift: Each training image is moved by up to so many pixels, at random, and filled with zeros; 0 is off.
        precision: `"mixed_bfloat16"` computes in bfloat16 and keeps float32 weights; `"auto"` takes it where the CPU
            has instructions for it and a measurement shows it to be faster. What is saved is float32 in any case.
        seed: Of the order of the images, the shifts and the dropout.

    Raises:
        InvalidInputError: If a value is out of its range or a name is unknown.
    """

    epochs: int = 5
    batch_size: int = 128
    learning_rate: float = 3e-3
    schedule: Schedule = "one-cycle"
    weight_decay: float = 1e-3
    label_smoothing: float = 0.0
    shift: int = 1
    precision: Precision = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("epochs", 1, math.inf),
            ("batch_size", 1, math.inf),
            ("shift", 0, math.inf),
            ("seed", 0, _LARGEST_SEED),
        ):
            _check_integer(name, getattr(self, name), low, high)
        _check(0 < self.learning_rate < math.inf, "learning_rate", "above 0", self.learning_rate)
        _check(0 <= self.weight_decay < math.inf, "weight_decay", "0 or more", self.weight_decay)
        _check(0 <= self.label_smoothing < 1, "label_smoothing", "from 0 to below 1", self.label_smoothing)
        for name, known in (("schedule", get_args(Schedule)), ("precision", get_args(Precision))):
            if getattr(self, name) not in known:
                raise unknown_name(name, getattr(self, name), known)


def _check_integer(name: str, value: object, low: int, high: float) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    expected = f"a whole number from {low}" + (f" to {high}" if high < math.inf else "")
    _check(whole and low <= value <= high, name, expected, value)  # type: ignore[operator]


def _check(good: bool, name: str, expected: str, found: object) -> None:
    if not good:
        raise InvalidInputError(f"{name}: expected {expected}, found {found}")
