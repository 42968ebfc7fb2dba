"""Folders and files as bytes, for machines that share no file system."""

import io
import zipfile
from pathlib import Path


def pack(path: Path) -> bytes:
    """Returns a file, or a folder with all that is in it, as a ZIP archive.

    Models and images hardly shrink, so nothing is compressed.
    """
    buffer = io.BytesIO()
    files = [path] if path.is_file() else sorted(entry for entry in path.rglob("*") if entry.is_file())
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for file in files:
            archive.write(file, file.relative_to(path.parent))
    return buffer.getvalue()


def unpack(parcel: bytes, folder: Path) -> Path:
    """Writes what `pack` packed into a folder, and returns its path there. No name in it can lead out of the folder."""
    with zipfile.ZipFile(io.BytesIO(parcel)) as archive:
        archive.extractall(folder)
        return folder / Path(archive.namelist()[0]).parts[0]
