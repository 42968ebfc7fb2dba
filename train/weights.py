"""Weights from a file into a model."""

import warnings
from pathlib import Path
from zipfile import BadZipFile

import keras

from liteport.errors import InvalidInputError, NotFoundError

_SUFFIXES = (".weights.h5", ".keras")


def load_weights(model: keras.Model, path: str | Path) -> None:
    """Loads what `Run` folders hold, `model.weights.h5` or `model.keras`, into a model of the same design.

    Args:
        model: Takes the weights; after an error it may hold some of them.
        path: A file written by Keras.

    Raises:
        NotFoundError: If there is no such file.
        InvalidInputError: If it is not a file of weights, or these are of another design, input shape or class count.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist" if not path.exists() else f"{path} is not a file")
    if not path.name.endswith(_SUFFIXES):
        raise InvalidInputError(f"{path}: expected a file that ends in {' or '.join(_SUFFIXES)}")
    try:
        with warnings.catch_warnings():
            # Keras only warns where a file lacks weights, and leaves random ones in their place
            warnings.simplefilter("error", UserWarning)
            model.load_weights(path)
    except (UserWarning, ValueError, KeyError, OSError, BadZipFile) as error:  # OSError: h5py's, for what is not HDF5
        reason = " ".join(str(error).split())
        raise InvalidInputError(
            f"{path} does not fit the model {model.name!r} "
            f"with input {model.input_shape[1:]} and {model.output_shape[-1]} classes: {reason[:200]}"
        ) from error
