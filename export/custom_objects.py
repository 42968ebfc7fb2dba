"""Layers and functions that a saved model uses and that are not Keras's own."""

from collections.abc import Iterable, Mapping
from typing import Any

from liteport.foreign import import_object

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
    return {
        text.partition(":")[2]: import_object(text, "custom object", "my_layers:Attention")
        for text in ([given] if isinstance(given, str) else given or ())
    }
