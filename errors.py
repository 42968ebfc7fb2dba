"""Every error that liteport raises on purpose, and the two checks that most of them come from.

Each class is a `LiteportError` and also the builtin that a Python user would catch.
A message is one line: what was expected, what was found, what to do.
"""

import importlib
from collections.abc import Iterable
from types import ModuleType


class LiteportError(Exception):
    """Base of all errors that liteport raises on purpose."""


class InvalidInputError(LiteportError, ValueError):
    """A value, a name, an array or a file that is not what was asked for."""


class NotFoundError(LiteportError, FileNotFoundError):
    """A path that does not exist."""


class AlreadyExistsError(LiteportError, FileExistsError):
    """A path that exists and may only be replaced when the user says so."""


class IntegrityError(LiteportError, ValueError):
    """A bundle that is incomplete, damaged or edited."""


class SignatureError(IntegrityError):
    """A bundle that none of the trusted keys signed as it is."""


class MissingDependencyError(LiteportError, ImportError):
    """A package that this work needs is not installed."""


class BackendError(LiteportError, RuntimeError):
    """An inference engine that refuses a model or fails while running it."""


class DeviceError(LiteportError, RuntimeError):
    """A device that cannot be reached, lacks something, or on which the work failed."""


class ConversionError(LiteportError, RuntimeError):
    """A model that cannot be converted to a format."""


class VerificationError(LiteportError, RuntimeError):
    """A converted model whose answers are too far from those of its source."""


class InterruptedTrainingError(LiteportError, RuntimeError):
    """A training that stopped before its last epoch; what it finished is kept."""


class LiteportWarning(UserWarning):
    """Something that works but deserves a look."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InvalidInputError:
    """Makes the error for a mistyped name: the closest right one, and all of them.

    Args:
        kind: What the name stands for, such as `"design"`.
        name: What was given.
        known: The names there are.
    """
    import difflib  # here, as most programs mistype nothing

    names = list(known)
    close = difflib.get_close_matches(str(name), names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return InvalidInputError(f"unknown {kind} {name!r}; {hint}known: {', '.join(names)}")


def require(module: str, extra: str) -> ModuleType:
    """Imports a module that comes with one of liteport's extras.

    Args:
        module: The module's dotted name.
        extra: The extra that installs it.

    Raises:
        MissingDependencyError: If the package is not installed; the message has the line that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise  # something inside the package is broken: not ours to explain away
        package = module.split(".")[0]
        raise MissingDependencyError(f'{package} is not installed; run: pip install "liteport[{extra}]"') from error
