"""The settings of a training, and the recipes: settings that belong together."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from liteport.errors import InvalidInputError, unknown_name

Schedule = Literal["one-cycle", "cosine", "constant"]
Precision = Literal["auto", "float32", "mixed_bfloat16"]

_LARGEST_SEED = 2**31 - 1
_STEPS = 100
_SMALLEST_BATCH = 16


def _check_integer(name: str, value: object, low: int, high: float) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    expected = f"a whole number from {low}" + (f" to {high}" if high < math.inf else "")
    _check(whole and low <= value <= high, name, expected, value)  # type: ignore[operator]


def _check(good: bool, name: str, expected: str, found: object) -> None:
    if not good:
        raise InvalidInputError(f"{name}: expected {expected}, found {found}")


class AtMost(int):
    """A batch size that is smaller where there are few images, as an epoch of one or two steps teaches little."""

    def of(self, images: int) -> int:
        """Returns the largest power of two that gives an epoch 100 steps, or 16; at most this number or all images."""
        giving_steps = (1 << (images // _STEPS).bit_length()) // 2
        return min(int(self), images, max(giving_steps, _SMALLEST_BATCH))


@dataclass(frozen=True)
class Augmentation:
    """How training images are changed, each at random and anew in each epoch; checked when it is made.

    What comes into view at the edges repeats the edge. Zeros turn a change off.

    Attributes:
        shift: Moved by up to this part of height and width.
        rotation: Turned by up to so many degrees.
        zoom: Magnified or made smaller by up to this part, height and width each by itself.
        shear: Slanted by up to so many degrees.
        elastic: Bent: the standard deviation of each point's displacement, as a part of the image's size, by a smooth
            random field (P. Simard, D. Steinkraus, J. Platt, "Best Practices for Convolutional Neural Networks", 2003).
        erasing: The probability that a rectangle of 2 % to 20 % of the image is painted over with one grey (Z. Zhong et
            al., "Random Erasing Data Augmentation", arXiv 1708.04896).
        flip: Whether half of the images are mirrored, left to right.
        augmented: The probability that an image's pixels are moved at all. What is moved is blurred a little, by the
            interpolation between pixels; the others are as sharp as what is to be classified.
        unaugmented: The part of the epochs, the last ones, that take all images as they are (Z. He et al., "Data
            Augmentation Revisited", arXiv 1909.09148). Only these can be the best one.

    Raises:
        InvalidInputError: If a value is out of its range.
    """

    shift: float = 0.06
    rotation: float = 10.0
    zoom: float = 0.1
    shear: float = 6.0
    elastic: float = 0.025
    erasing: float = 0.0
    flip: bool = False
    augmented: float = 1.0
    unaugmented: float = 0.0

    def __post_init__(self) -> None:
        for name, below in (("shift", 1), ("rotation", 181), ("zoom", 1), ("shear", 60), ("elastic", 1)):
            _check(0 <= getattr(self, name) < below, name, f"from 0 to below {below}", getattr(self, name))
        for name in ("erasing", "augmented", "unaugmented"):
            _check(0 <= getattr(self, name) <= 1, name, "from 0 to 1", getattr(self, name))

    def of_epoch(self, epoch: int, epochs: int) -> "Augmentation":
        """Returns what is done in an epoch, counted from zero, of so many."""
        return self if epoch < self._augmented_of(epochs) else NO_AUGMENTATION

    def first_epoch(self, epochs: int) -> int:
        """Returns the first epoch, from one, whose model can be the best: of those unaugmented, or else of all."""
        augmented = self._augmented_of(epochs)
        return augmented + 1 if augmented < epochs else 1

    def _augmented_of(self, epochs: int) -> int:
        return round(epochs * (1 - self.unaugmented))

    @property
    def moves(self) -> bool:
        """Whether pixels change their places."""
        moves = self.shift, self.rotation, self.zoom, self.shear, self.elastic, self.flip
        return self.augmented > 0 and any(moves)


NO_AUGMENTATION = Augmentation(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, False)
"""Images as they are."""


@dataclass(frozen=True)
class TrainConfig:
    """How to train; checked when it is made.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images a step; `AtMost(256)` is 256, or fewer where there are few images.
        learning_rate: The highest of the schedule.
        schedule: `"one-cycle"` rises linearly from a tenth of the learning rate and falls to nearly zero by a cosine;
            `"cosine"` only falls; `"constant"` stays.
        warm_up: The part of the steps, one at least, for which one-cycle rises.
        weight_decay: AdamW's, times the learning rate a step; with 0 it is Adam.
        label_smoothing: The part of each one-hot label that is spread over all classes.
        ema: The momentum of the exponential moving average of the weights, which is what is measured and saved; 0
            takes the weights themselves. Its memory grows at first: after t steps it is (1 + t) / (10 + t) at most.
        augmentation: How training images are changed.
        distillation: With a teacher, the part that its answers have in the loss; the labels have the rest.
        temperature: With a teacher, what both sides' logits are divided by before they are compared.
        sparsity: The part of all kernels' weights that become zero; see `compression.Compression`.
        clusters: How many different int8 codes a kernel has at most; 0 is off.
        patience: Stop when so many epochs have brought no better one on the validation split; 0 is off.
        precision: `"mixed_bfloat16"` computes in bfloat16 and keeps float32 weights; `"auto"` takes it where the CPU
            has instructions for it and a measurement shows it to be faster. What is saved is float32 in any case.
        seed: Of the order of the images, their augmentation and the dropout.

    Raises:
        InvalidInputError: If a value is out of its range or a name is unknown.
    """

    epochs: int = 25
    batch_size: int = AtMost(256)
    learning_rate: float = 4e-3
    schedule: Schedule = "one-cycle"
    warm_up: float = 0.15
    weight_decay: float = 0.02
    label_smoothing: float = 0.0
    ema: float = 0.998
    augmentation: Augmentation = field(default_factory=Augmentation)
    distillation: float = 0.5
    temperature: float = 2.0
    sparsity: float = 0.0
    clusters: int = 0
    patience: int = 0
    precision: Precision = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("epochs", 1, math.inf),
            ("batch_size", 1, math.inf),
            ("patience", 0, math.inf),
            ("seed", 0, _LARGEST_SEED),
        ):
            _check_integer(name, getattr(self, name), low, high)
        for name in ("learning_rate", "temperature"):
            _check(0 < getattr(self, name) < math.inf, name, "above 0", getattr(self, name))
        _check(0 <= self.weight_decay < math.inf, "weight_decay", "0 or more", self.weight_decay)
        for name in ("warm_up", "label_smoothing", "ema"):
            _check(0 <= getattr(self, name) < 1, name, "from 0 to below 1", getattr(self, name))
        _check(0 <= self.distillation <= 1, "distillation", "from 0 to 1", self.distillation)
        for name, known in (("schedule", get_args(Schedule)), ("precision", get_args(Precision))):
            if getattr(self, name) not in known:
                raise unknown_name(name, getattr(self, name), known)

    @classmethod
    def from_json(cls, recorded: Mapping[str, Any]) -> "TrainConfig":
        """Reads what `dataclasses.asdict` gave.

        Raises:
            InvalidInputError: If a value is out of its range.
            TypeError: If a field is unknown.
        """
        return cls(**{**recorded, "augmentation": Augmentation(**recorded["augmentation"])})

    def settled(self, images: int) -> "TrainConfig":
        """Returns the settings of a training with so many images: a batch size that depends on them is a number."""
        if not isinstance(self.batch_size, AtMost):
            return self
        return dataclasses.replace(self, batch_size=self.batch_size.of(images))

    def changed(self, **settings: Any) -> "TrainConfig":
        """Returns a copy with other values; fields of the augmentation are given by their own names."""
        moves = {name: settings.pop(name) for name in AUGMENTATION_FIELDS if name in settings}
        augmentation = dataclasses.replace(settings.pop("augmentation", self.augmentation), **moves)
        return dataclasses.replace(self, augmentation=augmentation, **settings)


AUGMENTATION_FIELDS = tuple(one.name for one in dataclasses.fields(Augmentation))

RECIPES: dict[str, TrainConfig] = {
    "default": TrainConfig(),
    # Most of it in a fifth of the epochs.
    "quick": TrainConfig(
        epochs=5,
        batch_size=AtMost(128),
        learning_rate=3e-3,
        label_smoothing=0.05,
        augmentation=Augmentation(rotation=5.0, zoom=0.05, shear=3.0, elastic=0.0),
    ),
    # What a tutorial does, for comparison.
    "plain": TrainConfig(
        epochs=10,
        batch_size=AtMost(128),
        learning_rate=1e-3,
        schedule="constant",
        weight_decay=0.0,
        label_smoothing=0.0,
        ema=0.0,
        augmentation=NO_AUGMENTATION,
        precision="float32",
    ),
    # For a model that is trained already: small steps, from the first one downwards.
    "fine-tune": TrainConfig(
        epochs=6, batch_size=AtMost(128), learning_rate=3e-4, schedule="cosine", weight_decay=0.0, ema=0.0
    ),
}
"""The recipes by name."""


_OF_DESIGN: dict[str, dict[str, Any]] = {
    "baseline": {"epochs": 40, "warm_up": 0.05, "unaugmented": 0.1},
    "fast": {"learning_rate": 1e-2},
    "tiny": {"learning_rate": 1e-2, "epochs": 50},
    "mobile": {"learning_rate": 1e-2},
}
"""What the default recipe has for a design: batch normalization lets steps be larger, and some take longer."""


def recipe(name: str, design: str | None = None) -> TrainConfig:
    """Returns a recipe, for a design if one is named.

    Raises:
        InvalidInputError: If there is none of that name.
    """
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name].changed(**_OF_DESIGN.get(design or "", {})) if name == "default" else RECIPES[name]
