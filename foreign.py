"""What others' code raises: readers of damaged files, layers that are not Keras's own, modules of the user's.

None of them has an error of its own for what went wrong, so whoever calls them catches these and says in one line what
could not be read. Left out are the errors that stop a program, and the bare `Exception`, behind which a defect of ours
would hide.
"""

import importlib
import os
import re
import struct
import sys
import tokenize
import zipfile
import zlib
from typing import Any

from liteport.errors import InvalidInputError, unknown_name

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")

FOREIGN_ERRORS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,  # a size that a damaged file states
    NameError,
    OSError,
    RuntimeError,  # h5py's; also RecursionError, and NotImplementedError of zipfile
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tokenize.TokenError,  # numpy's, of a header that is no Python literal
    zipfile.BadZipFile,
    zlib.error,
)

# A script that was not meant to be imported ends the program.
_IMPORT_ERRORS: tuple[type[BaseException], ...] = (*FOREIGN_ERRORS, SystemExit)


def one_line(error: BaseException, at_most: int = 300) -> str:
    """Returns an error's message in one line and without a terminal's colours, or its kind where it has none."""
    return " ".join(_COLOURS.sub("", str(error)).split())[:at_most] or type(error).__name__


def import_object(text: str, what: str, example: str) -> Any:
    """Imports what a user names as `module:name`, from the working directory too, as `python -m` would.

    Args:
        text: The name.
        what: What to call it in an error, such as `"custom object"`.
        example: A text of the right form, for an error.

    Raises:
        InvalidInputError: If the text is not of that form, or the module cannot be imported, or has no such name.
    """
    module_name, colon, name = text.partition(":")
    if not (colon and module_name and name):
        raise InvalidInputError(f"{what} {text!r}; expected module:name, such as {example}")
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - a text is what the import system takes
    try:
        module = importlib.import_module(module_name)
    except _IMPORT_ERRORS as error:
        kind = "" if isinstance(error, (ImportError, SyntaxError)) else f"{type(error).__name__}: "
        raise InvalidInputError(
            f"{what} {text!r}: module {module_name!r} cannot be imported: {kind}{one_line(error)}"
        ) from error
    finally:
        sys.path.pop(0)
    if not hasattr(module, name):
        raise unknown_name(f"{what} in {module_name}", name, [key for key in vars(module) if key[0] != "_"])
    return getattr(module, name)
