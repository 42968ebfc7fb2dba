"""Ed25519 keys: reading those that users give, and making new ones.

`cryptography` is imported only where a key is used: who loads unsigned bundles needs none of it.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from liteport.errors import AlreadyExistsError, InvalidInputError, NotFoundError, require

from .manifest import MANIFEST_FILE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

Key = str | bytes | os.PathLike[str]
"""The path of a PEM file, or what such a file holds as text or bytes; of a public key also its 32 bytes."""

_MAX_KEY_BYTES = 1 << 16  # a PEM of an Ed25519 key has some 120
_RAW_KEY_BYTES = 32

# Against a public key of small order anyone can sign, and 32 zero bytes, such as an empty field of a device's storage,
# are one. These are the y coordinates of the eight points whose order divides 8 (RFC 8032, section 5.1): 0, 1 and -1
# have order 4, 1 and 2, and those of order 8 are the roots of d y⁴ + 2 y² = 1.
_PRIME = 2**255 - 19
_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_WEAK = frozenset({0, 1, _PRIME - 1, _ORDER_8, _PRIME - _ORDER_8})


def fingerprint(key: "Ed25519PublicKey") -> str:
    """Returns the SHA-256, in hexadecimal, of a public key's DER form (SubjectPublicKeyInfo, RFC 8410)."""
    forms = _serialization()
    der = key.public_bytes(forms.Encoding.DER, forms.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def read_public_keys(given: Key | Sequence[Key]) -> "dict[str, Ed25519PublicKey]":
    """Reads one public key or several.

    Args:
        given: The key or keys that are trusted.

    Returns:
        The keys by their fingerprints.

    Raises:
        NotFoundError: If a path does not exist.
        InvalidInputError: If there is none, or one is not an Ed25519 public key or anyone could sign for it.
        MissingDependencyError: If `cryptography` is not installed.
    """
    several = given if isinstance(given, Sequence) and not isinstance(given, (str, bytes)) else [given]
    if not several:
        raise InvalidInputError("public_key is empty; pass at least one key, or None to check no signature")
    keys = [_public_key(key) for key in several]
    return {fingerprint(key): key for key in keys}


def _public_key(given: Key) -> "Ed25519PublicKey":
    content, where = _content(given)
    if b"PRIVATE KEY-----" in content:
        raise InvalidInputError(f"{where} is a private key, which stays with who signs; pass the public one")
    kind = require("cryptography.hazmat.primitives.asymmetric.ed25519", "sign").Ed25519PublicKey
    if len(content) == _RAW_KEY_BYTES:
        key: Ed25519PublicKey = kind.from_public_bytes(content)
    else:
        key = _parse(lambda: _serialization().load_pem_public_key(content), kind, where, "an Ed25519 public key in PEM")
    y = int.from_bytes(key.public_bytes_raw(), "little") % 2**255  # the last bit is the sign of x
    if y % _PRIME in _WEAK:
        raise InvalidInputError(
            f"{where} is a public key for which anyone can sign; expected one that liteport sign --new-key made"
        )
    return key


def read_private_key(given: Key, password: str | Callable[[], str] | None = None) -> "Ed25519PrivateKey":
    """Reads a private key.

    Args:
        given: The key, in PKCS #8.
        password: Of an encrypted one, or what asks for it; not used for a key that is not encrypted.

    Raises:
        NotFoundError: If the path does not exist.
        InvalidInputError: If it is not an Ed25519 private key, or the password is missing or wrong.
        MissingDependencyError: If `cryptography` is not installed.
    """
    content, where = _content(given)
    kind = require("cryptography.hazmat.primitives.asymmetric.ed25519", "sign").Ed25519PrivateKey
    load = _serialization().load_pem_private_key
    secret: bytes | None = None
    if b"BEGIN ENCRYPTED PRIVATE KEY" in content:
        if password is None:
            raise InvalidInputError(f"{where} is encrypted; pass its password")
        secret = _encoded(password)
    wanted = "an Ed25519 private key in PEM, and the right password where it is encrypted"
    key: Ed25519PrivateKey = _parse(lambda: load(content, secret), kind, where, wanted)
    return key


def _parse(load: Callable[[], Any], kind: type, where: str, wanted: str) -> Any:
    """Calls a parser of `cryptography` and checks what kind of key it found."""
    unsupported = require("cryptography.exceptions", "sign").UnsupportedAlgorithm
    try:
        key = load()
    except (ValueError, TypeError, unsupported) as error:  # TypeError: a password is needed, or one too many
        raise InvalidInputError(f"{where} cannot be read; expected {wanted}") from error
    if not isinstance(key, kind):
        raise InvalidInputError(f"{where} is of the kind {type(key).__name__}; expected {wanted}")
    return key


def _content(given: Key) -> tuple[bytes, str]:
    """Returns a key's bytes, and its name for messages, which never holds the key itself."""
    if isinstance(given, bytes):
        content, where = given, "the key"
    elif isinstance(given, str) and "-----BEGIN" in given:
        content, where = given.encode(errors="replace"), "the key"
    elif isinstance(given, (str, os.PathLike)):
        content, where = _read(Path(given)), str(given)
    else:
        raise InvalidInputError(f"a key is a {type(given).__name__}; expected a path, a PEM or 32 bytes")
    if len(content) > _MAX_KEY_BYTES or content.count(b"-----BEGIN") > 1:
        raise InvalidInputError(f"{where} holds more than one key; pass several as a list")
    return content, where


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_KEY_BYTES + 1)
    except FileNotFoundError as error:
        raise NotFoundError(f"the key {path} does not exist; liteport sign --new-key makes one") from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise InvalidInputError(f"the key {str(path)!r} cannot be read: {error}") from error


def new_key(path: str | os.PathLike[str], password: str | Callable[[], str] | None = None) -> Path:
    """Makes a key pair: the private key at `path`, readable by its owner alone, and the public one beside it.

    Args:
        path: The private key's file, such as `private.pem`; the public one is then `private.pub.pem`.
        password: To encrypt the private key by, or what asks for it; None or "" leaves it as it is.

    Returns:
        The public key's file.

    Raises:
        AlreadyExistsError: If either file exists; keys are never replaced.
        InvalidInputError: If `path` lies in a bundle, with which it would be handed on.
        MissingDependencyError: If `cryptography` is not installed.
        OSError: If the files cannot be written.
    """
    path = Path(path)
    public = public_beside(path)
    for file in (path, public):
        if os.path.lexists(file):
            raise AlreadyExistsError(f"{file} exists already, and a key is never replaced; name another file")
    if (path.parent / MANIFEST_FILE).exists():
        raise InvalidInputError(f"{path} would lie in a bundle and be handed on with it; name a file elsewhere")
    forms = _serialization()
    key = require("cryptography.hazmat.primitives.asymmetric.ed25519", "sign").Ed25519PrivateKey.generate()
    secret = b"" if password is None else _encoded(password)
    cipher = forms.BestAvailableEncryption(secret) if secret else forms.NoEncryption()
    pkcs8 = key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, cipher)
    spki = key.public_key().public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo)
    _create(path, pkcs8, 0o600)
    try:
        _create(public, spki, 0o644)
    except BaseException:  # Ctrl-C as well: no half of a pair
        path.unlink()
        raise
    return public


def public_beside(path: Path) -> Path:
    """Returns where `new_key` puts the public key of a private one."""
    return path.parent / f"{path.stem}.pub.pem"


def _encoded(password: str | Callable[[], str]) -> bytes:
    text = password() if callable(password) else password
    return text.encode(errors="surrogateescape")  # as Python decoded it from the environment


def _create(path: Path, content: bytes, mode: int) -> None:
    """Writes a file that must not exist; private from its first byte on."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except BaseException:
        path.unlink()
        raise


def _serialization() -> ModuleType:
    return require("cryptography.hazmat.primitives.serialization", "sign")
