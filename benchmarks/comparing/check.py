"""Whether designs and variants exist and fit the data, found out before the first training.

This needs TensorFlow, so it runs in a process of its own, on a machine that trains.
"""

import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from liteport.errors import InvalidInputError, require
from liteport.terminal import quiet_import

from .child import CHECK
from .children import ChildError, Children
from .setup import Setup


def find_fault(
    designs: Sequence[str], input_shape: tuple[int, int, int], classes: int, setup: Setup, children: Children, log: Path
) -> str | None:
    """Returns why a comparison could not be run on this machine; None where it could.

    Args:
        designs: Their names.
        input_shape: (H, W, C) of an image.
        classes: The number of classes.
        setup: Has the variants.
        children: Starts the process that finds out.
        log: A file that gets what it prints.
    """
    try:
        children.run([CHECK, json.dumps([designs, input_shape, classes, setup.variants])], log)
    except ChildError as error:
        return str(error)
    return None


def check(wishes: str) -> None:
    """Builds each design once, and looks each variant up.

    Raises:
        LiteportError: If a name is unknown, a design does not take the images, or a package is not installed.
    """
    designs, input_shape, classes, variants = json.loads(wishes)
    quiet_import("tensorflow", "train")
    require("matplotlib", "train")
    # By its name, as it is a program of its own that the benchmarks start and do not stand on.
    formats = import_module("liteport.export.formats").choose_formats(variants)
    if sources := [row.id for row in formats if row.source_code]:
        raise InvalidInputError(f"variant {sources[0]!r} is source code, which cannot be measured; leave it out")
    from liteport.train import build_model

    for design in designs:
        build_model(design, tuple(input_shape), classes)
