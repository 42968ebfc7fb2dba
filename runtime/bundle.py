"""Reading a bundle: its manifest, and model files whose digest is checked on the very bytes that are used."""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from liteport.errors import IntegrityError, InvalidInputError, NotFoundError, SignatureError

from .digest import sha256_hex
from .manifest import MANIFEST_FILE, Manifest
from .model_files import SECOND, joined
from .records import FileInfo

if TYPE_CHECKING:
    from .keys import Key

_MAX_MANIFEST_BYTES = 4 << 20

# Of the flags that a system has: a pipe in place of a file must not hang, a link must not lead elsewhere.
_NEVER_WAIT_NOR_FOLLOW = sum(getattr(os, flag, 0) for flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))


@dataclass(frozen=True)
class Bundle:
    """A folder with a manifest and one model file per variant.

    Attributes:
        path: The folder.
        manifest: What it says of itself.
        signed_by: The fingerprint of the key that signed it, where that was checked.
    """

    path: Path
    manifest: Manifest
    signed_by: str | None = None

    def __fspath__(self) -> str:
        return str(self.path)

    def read(self, variant_id: str) -> bytes:
        """Returns the model file of a variant, or its two files joined, read once and checked.

        Raises:
            InvalidInputError: If the bundle has no such variant.
            IntegrityError: If the file is missing, is a link, or is not the one that was exported.
        """
        variant = self.manifest.variant(variant_id)
        content = self._read(FileInfo(variant.file, variant.sha256, variant.size_bytes))
        if Path(variant.file).suffix not in SECOND:
            return content
        return joined((content, *map(self._read, variant.more_files)))

    def check(self) -> None:
        """Reads every file of every variant, so that damage is told here and not later on the device.

        Raises:
            IntegrityError: If a file is missing, is a link, or is not the one that was exported.
        """
        for variant in self.manifest.variants:
            self.read(variant.id)
            for entry in variant.more_files:
                self._read(entry)

    def _read(self, entry: FileInfo) -> bytes:
        path = self.path / entry.file
        content = _read_bounded(path, entry.size_bytes)
        if len(content) != entry.size_bytes or sha256_hex(content) != entry.sha256:
            raise IntegrityError(f"{path} is not the file that was exported (its SHA-256 differs); export again")
        return content


def read_bundle(path: str | os.PathLike[str], *, public_key: "Key | Sequence[Key] | None" = None) -> Bundle:
    """Reads and checks a bundle's manifest.

    Args:
        path: The bundle's folder.
        public_key: The Ed25519 key, or several, one of which must have signed it: the path of a PEM file, the PEM
            itself, or the key's 32 bytes. None checks no signature.

    Raises:
        NotFoundError: If there is no such folder, or no such key.
        InvalidInputError: If it is not a bundle, or `public_key` is no key.
        IntegrityError: If the manifest is damaged, edited or of another schema version.
        SignatureError: If a key is given and it is not signed, or by another key, or was altered since.
        MissingDependencyError: If a key is given and `cryptography` is not installed.
    """
    path = Path(path)
    text = read_manifest(path)
    signer = None if public_key is None else _signer(path, text, public_key)
    return Bundle(path, Manifest.from_json(text, str(path / MANIFEST_FILE)), signer)


def read_manifest(path: Path) -> bytes:
    """Returns the content of a bundle's manifest, not yet checked.

    Raises:
        NotFoundError: If there is no such folder.
        InvalidInputError: If it is not a bundle.
        IntegrityError: If the manifest is too large, is a link or cannot be read.
    """
    if not path.exists():
        raise NotFoundError(f"{path} does not exist; expected a bundle folder (liteport export makes one)")
    manifest = path / MANIFEST_FILE
    if not manifest.is_file():
        raise InvalidInputError(f"{path} is no bundle: it holds no {MANIFEST_FILE}")
    text = _read_bounded(manifest, _MAX_MANIFEST_BYTES)
    if len(text) > _MAX_MANIFEST_BYTES:
        raise IntegrityError(f"{manifest} is larger than {_MAX_MANIFEST_BYTES} bytes")
    return text


def _signer(bundle: Path, manifest: bytes, public_key: "Key | Sequence[Key]") -> str:
    """Checks the signature, on the manifest's very bytes and before anything parses them; returns whose it is."""
    from .signatures import MAX_SIGNATURE_BYTES, SIGNATURE_FILE, check_signature  # for those who ask for one

    path = bundle / SIGNATURE_FILE
    if not os.path.lexists(path):
        raise SignatureError(f"{bundle} is not signed: it holds no {SIGNATURE_FILE}; sign it, or get a signed one")
    try:
        signature = _read_bounded(path, MAX_SIGNATURE_BYTES)
    except IntegrityError as error:  # a link, a folder, a pipe
        raise SignatureError(f"{path} is no file that can be read; get the bundle again") from error
    return check_signature(manifest, signature, public_key, str(bundle))


def _read_bounded(path: Path, size: int) -> bytes:
    """Reads a regular file, at most one byte more than `size`; never through a symbolic link, never waiting."""
    if path.is_symlink():
        raise IntegrityError(f"{path} is a link, which is not followed; copy the file itself into the bundle")
    try:
        descriptor = os.open(path, os.O_RDONLY | _NEVER_WAIT_NOR_FOLLOW)
    except OSError as error:
        raise IntegrityError(f"{path} cannot be read: {error.strerror}; export again") from error
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise IntegrityError(f"{path} is no regular file; export again")
    with os.fdopen(descriptor, "rb") as file:
        return file.read(min(size, found.st_size) + 1)  # the size is the manifest's word: reserve no memory on it
