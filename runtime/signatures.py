"""The signature of a bundle: `manifest.sig`, Ed25519 (RFC 8032) over the bytes of `manifest.json` as they lie there.

The manifest has the SHA-256 of every file, which is checked on the bytes that are used, so that a signature over the
manifest covers them all. The file is text of three lines, exactly as `signature_of` writes them; none is trusted.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from liteport.errors import SignatureError, require

from .keys import Key, fingerprint, read_public_keys

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SIGNATURE_FILE = "manifest.sig"
MAX_SIGNATURE_BYTES = 256  # it has 233

# Signed in front of the manifest, so that a key that also signs other things cannot be made to sign a manifest.
_DOMAIN = b"liteport manifest v1\n"
_TEXT = "liteport signature 1 ed25519\nkey {key}\nsignature {signature}\n"
_PATTERN = re.compile(
    _TEXT.format(key="(?P<key>[0-9a-f]{64})", signature="(?P<signature>[0-9a-f]{128})").encode("ascii")
)


def signature_of(manifest: bytes, key: "Ed25519PrivateKey") -> bytes:
    """Returns the content of the signature file for a manifest.

    Args:
        manifest: The manifest file's content.
        key: The private key.
    """
    signature = key.sign(_DOMAIN + manifest).hex()
    return _TEXT.format(key=fingerprint(key.public_key()), signature=signature).encode("ascii")


def check_signature(manifest: bytes, signature: bytes, public_key: Key | Sequence[Key], where: str) -> str:
    """Checks that one of the keys signed a manifest.

    Args:
        manifest: The manifest file's content.
        signature: The signature file's content.
        public_key: The key or keys that are trusted.
        where: The bundle, for messages.

    Returns:
        The fingerprint of the key.

    Raises:
        SignatureError: If the signature is malformed, is by another key, or is not of this manifest.
        NotFoundError: If a key's path does not exist.
        InvalidInputError: If a key is not an Ed25519 public key.
        MissingDependencyError: If `cryptography` is not installed.
    """
    keys = read_public_keys(public_key)
    found = _PATTERN.fullmatch(signature)
    if found is None:
        raise SignatureError(f"{where} has a {SIGNATURE_FILE} that is no signature of liteport; get the bundle again")
    signer = found["key"].decode("ascii")
    if signer not in keys:
        raise SignatureError(f"{where} is signed by key {signer}, which is not trusted; expected {' or '.join(keys)}")
    try:
        keys[signer].verify(bytes.fromhex(found["signature"].decode("ascii")), _DOMAIN + manifest)
    except require("cryptography.exceptions", "sign").InvalidSignature as error:
        raise SignatureError(
            f"{where} is not what key {signer} signed: its manifest or its signature was altered; get it again, or "
            "sign it after a change of your own"
        ) from error
    return signer
