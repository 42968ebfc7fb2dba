"""The data sets that have a name."""

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

from liteport.errors import NotFoundError
from liteport.terminal import quiet_import

from ..arrays import RawData, read_npz
from .idx import choose_set, find_sets, read_idx_set

# The package may be installed as links to the checkout, and only the checkout has the file: resolve the link.
EMBEDDED_MNIST = Path(__file__).resolve().parent.parent / "data" / "mnist.npz"

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist has its IDX files, the same images in the same order as Keras's."""

_CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def _mnist() -> RawData:
    if EMBEDDED_MNIST.is_file():
        return read_npz(EMBEDDED_MNIST)
    return _from_keras("mnist")


def _fashion_mnist() -> RawData:
    if DEBIAN_FASHION_MNIST.is_dir() and find_sets(DEBIAN_FASHION_MNIST):
        return read_idx_set(*choose_set(DEBIAN_FASHION_MNIST))._replace(class_names=_CLOTHES)
    return _from_keras("fashion_mnist")._replace(class_names=_CLOTHES)


def _from_keras(name: str) -> RawData:
    """Loads a data set by Keras's own loader, which keeps its download under ~/.keras."""
    quiet_import("tensorflow", "train")
    keras = quiet_import("keras", "train")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # its progress bar must not end up in what a command prints
            train, test = getattr(keras.datasets, name).load_data()
    except Exception as error:  # Keras raises the bare class for a failed download
        if not isinstance(error.__context__, URLError):
            raise
        package = ", or install Debian's package dataset-fashion-mnist" if name == "fashion_mnist" else ""
        raise NotFoundError(
            f"{name} is not on this machine and could not be downloaded ({error.__context__.reason}); "
            f"connect to the internet once, or give the path of an .npz file{package}"
        ) from error
    return RawData(train, test, kind="arrays")


SOURCES: dict[str, Callable[[], RawData]] = {"mnist": _mnist, "fashion_mnist": _fashion_mnist}
"""The sources that have a name; any other is a path."""
