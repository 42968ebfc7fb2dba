"""Layers and functions that a saved model uses and that are not Keras's own."""

import importlib
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from liteport.errors import InvalidInputError, unknown_name

from .foreign import FOREIGN_ERRORS, one_line

# A module may do anything; a script that was not meant to be imported ends the program.
_IMPORT_ERRORS: tuple[type[BaseException], ...] = (*FOREIGN_ERRORS, SystemExit)

CustomObjects = Mapping[str, Any] | str | Iterable[str] | None


def load_custom_objects(given: CustomObjects) -> dict[str, Any]:
    """Imports custom objects.

    Args:
        given: Objects by name, as Keras takes them; or one or several texts `module:name`, where the module is
            importable from the working directory. What such a module registers with Keras is then known, too.

    Raises:
        InvalidInputError: If a text is not of that form, or its module cannot be imported, or has no such name.
    """
    if isinstance(given, Mapping):
        return dict(given)
    objects: dict[str, Any] = {}
    for text in [given] if isinstance(given, str) else given or ():
        module_name, colon, name = text.partition(":")
        if not (colon and module_name and name):
            raise InvalidInputError(f"custom object {text!r}; expected module:name, such as my_layers:Attention")
        module = _import(module_name)
        if not hasattr(module, name):
            raise unknown_name(f"object in {module_name}", name, [key for key in vars(module) if key[0] != "_"])
        objects[name] = getattr(module, name)
    return objects


def _import(name: str) -> Any:
    """Imports a module, from the working directory too, as `python -m` would."""
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - a text is what the import system takes
    try:
        return importlib.import_module(name)
    except _IMPORT_ERRORS as error:
        kind = "" if isinstance(error, (ImportError, SyntaxError)) else f"{type(error).__name__}: "
        raise InvalidInputError(
            f"custom objects: module {name!r} cannot be imported: {kind}{one_line(error)}"
        ) from error
    finally:
        sys.path.pop(0)
