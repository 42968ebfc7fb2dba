"""Reading a bundle: its manifest, and model files whose digest is checked on the very bytes that are used."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from liteport.errors import IntegrityError, InvalidInputError, NotFoundError

from .manifest import MANIFEST_FILE, Manifest

_MAX_MANIFEST_BYTES = 4 << 20


@dataclass(frozen=True)
class Bundle:
    """A folder with a manifest and one model file per variant."""

    path: Path
    manifest: Manifest

    def __fspath__(self) -> str:
        return str(self.path)

    def read(self, variant_id: str) -> bytes:
        """Returns the model file of a variant, read once and checked.

        Raises:
            InvalidInputError: If the bundle has no such variant.
            IntegrityError: If the file is missing, is a link, or is not the one that was exported.
        """
        variant = self.manifest.variant(variant_id)
        path = self.path / variant.file
        content = _read_bounded(path, variant.size_bytes)
        if len(content) != variant.size_bytes or hashlib.sha256(content).hexdigest() != variant.sha256:
            raise IntegrityError(f"{path} is not the file that was exported (its SHA-256 differs); export again")
        return content


def read_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Reads and checks a bundle's manifest.

    Args:
        path: The bundle's folder.

    Raises:
        NotFoundError: If there is no such folder.
        InvalidInputError: If it is not a bundle.
        IntegrityError: If the manifest is damaged, edited or of another schema version.
    """
    path = Path(path)
    if not path.exists():
        raise NotFoundError(f"{path} does not exist; expected a bundle folder (liteport export makes one)")
    manifest = path / MANIFEST_FILE
    if not manifest.is_file():
        raise InvalidInputError(f"{path} is no bundle: it holds no {MANIFEST_FILE}")
    text = _read_bounded(manifest, _MAX_MANIFEST_BYTES)
    if len(text) > _MAX_MANIFEST_BYTES:
        raise IntegrityError(f"{manifest} is larger than {_MAX_MANIFEST_BYTES} bytes")
    return Bundle(path, Manifest.from_json(text, str(manifest)))


def _read_bounded(path: Path, size: int) -> bytes:
    """Reads at most one byte more than `size`, and never through a symbolic link."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise IntegrityError(f"{path} cannot be read: {error.strerror} (a link is not followed)") from error
    with os.fdopen(descriptor, "rb") as file:
        return file.read(size + 1)
