"""What others' code raises: readers of damaged files, layers that are not Keras's own, modules of the user's.

None of them has an error of its own for what went wrong, so whoever calls them catches these and says in one line what
could not be read. Left out are the errors that stop a program, and the bare `Exception`, behind which a defect of ours
would hide.
"""

import re
import struct
import tokenize
import zipfile
import zlib

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


def one_line(error: BaseException, at_most: int = 300) -> str:
    """Returns an error's message in one line and without a terminal's colours, or its kind where it has none."""
    return " ".join(_COLOURS.sub("", str(error)).split())[:at_most] or type(error).__name__
