"""A wheel of the liteport that is running, to install it elsewhere.

The device gets the very code that this machine runs: a release of the same version, or a checkout with today's changes.
Written from the installed files and their metadata, so that neither a build tool nor a connection is needed.
The format: the Python Packaging User Guide's "Binary distribution format", version 1.0.
"""

import base64
import csv
import hashlib
import io
import zipfile
from importlib.metadata import Distribution, distributions
from pathlib import Path

import liteport.errors
from liteport.errors import NotFoundError

_PACKAGES = ("train", "export", "runtime", "benchmarks")
_CODE = frozenset({".py", ".typed", ".c", ".css", ".js"})
"""What a wheel holds of each package. Not the data set beside the code: a device gets only the images it is asked."""

_WHEEL = "Wheel-Version: 1.0\nGenerator: liteport {version}\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can tell: the same files make the same wheel
_READABLE = 0o100644 << 16


def build_wheel(folder: Path) -> Path:
    """Writes a wheel of the running liteport; the same code makes the same bytes.

    Args:
        folder: Where to write it; it must exist.

    Returns:
        The wheel, named after its version as installers expect.

    Raises:
        NotFoundError: If liteport runs without having been installed.
    """
    distribution = _distribution()
    version = distribution.version
    files = {f"liteport/{name}": content for name, content in _code().items()}
    metadata = f"liteport-{version}.dist-info"
    files |= {f"{metadata}/{name}": text.encode() for name, text in _metadata(distribution).items()}
    files[f"{metadata}/RECORD"] = _record(files, f"{metadata}/RECORD").encode()
    path = folder / f"liteport-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = _READABLE
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return path


def _distribution() -> Distribution:
    """Finds what an installer wrote, and not a folder that a build left in a checkout, which lacks the licence."""
    for distribution in distributions(name="liteport"):
        if distribution.read_text("WHEEL"):
            return distribution
    raise NotFoundError("liteport is not installed here, only on Python's path; install it: pip install -e .")


def _code() -> dict[str, bytes]:
    """Reads the packages' files, by path; an editable installation has links to them or is the checkout itself."""
    root = Path(liteport.errors.__file__).parent
    paths = [*root.glob("*"), *(path for package in _PACKAGES for path in (root / package).rglob("*"))]
    code = (path for path in paths if path.suffix in _CODE and path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(code)}


def _metadata(distribution: Distribution) -> dict[str, str]:
    names = ["METADATA", "entry_points.txt"]
    names += [f"licenses/{name}" for name in distribution.metadata.get_all("License-File") or ()]
    texts = {name: distribution.read_text(name) for name in names}
    missing = [name for name, text in texts.items() if text is None]
    if missing:
        raise NotFoundError(f"the installed liteport lacks its {', '.join(missing)}; install it anew")
    return {name: text for name, text in texts.items() if text} | {"WHEEL": _WHEEL.format(version=distribution.version)}


def _record(files: dict[str, bytes], own_name: str) -> str:
    """Lists every file with its hash and size, and itself without."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        writer.writerow((name, f"sha256={digest}", len(content)))
    writer.writerow((own_name, "", ""))
    return text.getvalue()
