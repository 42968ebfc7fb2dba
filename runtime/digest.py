"""SHA-256 of what is checked before it is used."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

# hashlib brings OpenSSL, which takes 3.6 MB of memory, a tenth of what a small model and its engine need; Python's own
# implementation takes none and, on x86-64, 3.3 ms a megabyte instead of 0.6. So small content goes to the latter.
_SMALL_BYTES = 8 << 20
_OWN_MODULES = ("_sha2", "_sha256")  # since Python 3.12, and before


def sha256_hex(*parts: bytes | memoryview) -> str:
    """Returns the SHA-256 of some content, given in parts, in hexadecimal."""
    digest = _implementation(sum(map(len, parts)))()
    for part in parts:
        digest.update(part)
    hexadecimal: str = digest.hexdigest()
    return hexadecimal


def _implementation(size: int) -> Callable[[], Any]:
    for name in _OWN_MODULES if size <= _SMALL_BYTES else ():
        try:
            own: Callable[[], Any] = import_module(name).sha256
        except ModuleNotFoundError:  # another version, or a Python that was built without
            continue
        return own
    import hashlib

    return hashlib.sha256
