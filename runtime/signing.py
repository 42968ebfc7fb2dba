"""Signing a bundle. Checking needs no call of its own: `read_bundle` and `load` take a `public_key`."""

import os
from collections.abc import Callable
from pathlib import Path

from liteport.files import replacing

from .bundle import Bundle, read_manifest
from .keys import Key, fingerprint, new_key, read_private_key
from .manifest import MANIFEST_FILE, Manifest
from .signatures import SIGNATURE_FILE, signature_of

__all__ = ["new_key", "sign"]


def sign(bundle: str | os.PathLike[str], key: Key, *, password: str | Callable[[], str] | None = None) -> str:
    """Signs a bundle, after every file of it was checked; an older signature is replaced.

    Args:
        bundle: The bundle's folder.
        key: The private key: the path of its PEM file, or the PEM itself.
        password: Of an encrypted key, or what asks for it.

    Returns:
        The key's fingerprint.

    Raises:
        NotFoundError: If the bundle or the key does not exist.
        InvalidInputError: If it is not a bundle, or the key is none or has another password.
        IntegrityError: If the bundle is damaged or edited: nobody should vouch for such a one.
        MissingDependencyError: If `cryptography` is not installed.
    """
    path = Path(bundle)
    text = read_manifest(path)
    Bundle(path, Manifest.from_json(text, str(path / MANIFEST_FILE))).check()
    private = read_private_key(key, password)
    with replacing(path / SIGNATURE_FILE) as beside:
        beside.write_bytes(signature_of(text, private))
    return fingerprint(private.public_key())
