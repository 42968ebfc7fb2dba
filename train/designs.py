"""The designs of models that can be trained by name. Another one is a function and a row of `DESIGNS`."""

import inspect
from typing import Protocol

import keras
from keras import layers

from liteport.errors import InvalidInputError, unknown_name
from liteport.foreign import FOREIGN_ERRORS, import_object, one_line

from .architectures.fast import fast
from .architectures.mobile import mobile
from .architectures.tiny import tiny
from .arrays import CHANNELS
from .precision import policy_set_to


class Design(Protocol):
    """Makes the layers of a design."""

    def __call__(self, image: keras.KerasTensor, classes: int, *, dropout: float = ...) -> keras.KerasTensor:
        """Returns the probabilities (N, classes), from a layer named "output", of images (N, H, W, C)."""


def _baseline(image: keras.KerasTensor, classes: int, *, dropout: float = 0.5) -> keras.KerasTensor:
    """Two convolutions, one pooling, three dense layers: the classic for MNIST, 1.2 million parameters there."""
    _, height, width, _ = image.shape
    smallest = 6  # two 3×3 convolutions without padding take four pixels; the pooling needs two more
    if min(height, width) < smallest:
        raise InvalidInputError(
            f"design baseline: expected images of at least {smallest}×{smallest} pixels, found {height}×{width}"
        )
    x = layers.Conv2D(32, 3, activation="relu", name="conv1")(image)
    x = layers.Conv2D(64, 3, activation="relu", name="conv2")(x)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(128, activation="relu", name="dense1")(x)
    x = layers.Dense(64, activation="relu", name="dense2")(x)
    return layers.Dense(classes, activation="softmax", name="output")(x)


DESIGNS: dict[str, Design] = {"baseline": _baseline, "fast": fast, "tiny": tiny, "mobile": mobile}
"""The designs by name."""


def build_model(
    design: str = "baseline",
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    *,
    dropout: float | None = None,
    seed: int | None = None,
) -> keras.Model:
    """Builds an untrained classifier in float32, whatever Keras's global policy is.

    Args:
        design: A name of `DESIGNS`, or `module:function`: one that takes `input_shape` and `classes`, and if it
            has such a parameter `dropout`, and returns a Keras model from pixels scaled to [0, 1] to probabilities.
        input_shape: (H, W, C) of one image, C one or three. The model takes pixels scaled to [0, 1].
        classes: The number of classes, at least two.
        dropout: The part of the features dropped while training; None leaves it to the design.
        seed: Makes the initial weights the same each time, by seeding the global generators of Python, numpy and
            TensorFlow; None leaves them alone.

    Returns:
        A model from the input `"input"` (N, H, W, C) to the layer `"output"`: probabilities (N, classes); the names of
        layers in another's design are its own.

    Raises:
        InvalidInputError: If the design is unknown, an argument is out of range or the image is too small for it; or
            if another's function fails, or returns something else.
    """
    if design not in DESIGNS and ":" not in design:
        raise unknown_name("design", design, [*DESIGNS, "module:function"])
    if len(input_shape) != 3 or min(input_shape) < 1 or input_shape[2] not in CHANNELS:
        raise InvalidInputError(f"input_shape: expected (H, W, C) with one or three channels, found {input_shape}")
    if classes < 2:
        raise InvalidInputError(f"classes: expected at least two, found {classes}")
    if dropout is not None and not 0 <= dropout < 1:
        raise InvalidInputError(f"dropout: expected from 0 to below 1, found {dropout}")
    if seed is not None:
        keras.utils.set_random_seed(seed)
    settings = {} if dropout is None else {"dropout": dropout}
    with policy_set_to("float32"):
        if design not in DESIGNS:
            return _of_user(design, input_shape, classes, settings)
        image = keras.Input(input_shape, name="input")
        return keras.Model(image, DESIGNS[design](image, classes, **settings), name=design)


def _of_user(design: str, input_shape: tuple[int, int, int], classes: int, settings: dict[str, float]) -> keras.Model:
    function = import_object(design, "design", "my_designs:small_cnn")
    try:
        known = inspect.signature(function).parameters
        unknown = [name for name in settings if name not in known]
        model = None if unknown else function(input_shape, classes, **settings)
    except FOREIGN_ERRORS as error:
        raise InvalidInputError(
            f"design {design} failed for input_shape {input_shape} and {classes} classes: "
            f"{type(error).__name__}: {one_line(error)}"
        ) from error
    if unknown:
        raise InvalidInputError(f"design {design} takes no {unknown[0]}; drop --{unknown[0]}")
    if not isinstance(model, keras.Model):
        raise InvalidInputError(f"design {design} returned a {type(model).__name__}; expected a keras.Model")
    return model
