"""The engines that run models in browsers: which, from where, and proof that they are those we tried.

They come from npm as they were published, once, and are kept packed in a folder of the user's cache, which
LITEPORT_WEB_CACHE moves. The program npm fetches them, as it knows the user's registry and proxy; where it is not
installed they are asked of the public registry. Each archive is checked against the registry's digest before anything
is taken from it, and each file against its own whenever a page is made.
"""

import base64
import gzip
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from liteport.errors import BackendError, IntegrityError
from liteport.files import replacing
from liteport.terminal import ProgressCallback, no_progress

_TIMEOUT = 600  # seconds for one archive of 30 MB
_SILENCE = 30  # seconds without a byte, after which a server counts as gone
_PACKED = ".gz"
_REGISTRY = "https://registry.npmjs.org"


@dataclass(frozen=True)
class EngineFile:
    """A file of a package.

    Attributes:
        member: Its name in the archive.
        name: Its name in a page's folder; one that ends in .gz is packed there, and unpacked by the page.
        sha256: Of its content, unpacked.
    """

    member: str
    name: str
    sha256: str


@dataclass(frozen=True)
class Engine:
    """An engine, as it is published on npm.

    Attributes:
        name: What the page calls it.
        package: The package's name.
        version: The one that was tried.
        license: The name of its text in `licenses/`, which goes with every copy; the archives have none.
        suffix: Of the model files that it runs.
        integrity: The registry's digest of the archive, SHA-512 in base64.
        files: What a page needs of it.
    """

    name: str
    package: str
    version: str
    license: str
    suffix: str
    integrity: str
    files: tuple[EngineFile, ...]

    def __str__(self) -> str:
        return f"{self.package} {self.version}"


# LiteRT.js has two builds for one thread: with relaxed vector instructions, and for browsers without them (Safari).
ENGINES = (
    Engine(
        name="LiteRT.js",
        package="@litertjs/core",
        version="2.5.3",
        license="Apache-2.0",
        suffix=".tflite",
        integrity="PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
        files=(
            EngineFile(
                "package/wasm/litert_wasm_internal.js",
                "litert.js.gz",
                "68efb69f770e3f76aff36a377de629ca496c131b86ac0f0f4b592a1543a898eb",
            ),
            EngineFile(
                "package/wasm/litert_wasm_internal.wasm",
                "litert.wasm.gz",
                "7280cf4471774867e385e6c3cd53e2b45e2975b80fea338fff4ef359b0865614",
            ),
            EngineFile(
                "package/wasm/litert_wasm_compat_internal.js",
                "litert-compat.js.gz",
                "4d8f894b7883654fd6e8439730aa41e79ceaab7d19184fc4f1f0b0f1a2a2c8a5",
            ),
            EngineFile(
                "package/wasm/litert_wasm_compat_internal.wasm",
                "litert-compat.wasm.gz",
                "5255c8ad06eabdbd2522cdebf6b22fc10faf74625c23a49b9e072570cd1fa41c",
            ),
        ),
    ),
    Engine(
        name="onnxruntime-web",
        package="onnxruntime-web",
        version="1.30.0",
        license="MIT",
        suffix=".onnx",
        integrity="q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
        files=(
            EngineFile(
                "package/dist/ort.wasm.bundle.min.mjs",
                "onnx.mjs",
                "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
            ),
            EngineFile(
                "package/dist/ort-wasm-simd-threaded.wasm",
                "onnx.wasm.gz",
                "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
            ),
        ),
    ),
)


def cache_folder() -> Path:
    """Returns where engines are kept: LITEPORT_WEB_CACHE, or `liteport/web` in the user's cache folder."""
    if chosen := os.environ.get("LITEPORT_WEB_CACHE"):
        return Path(chosen).resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "liteport/web"


def add_engines(folder: Path, engines: Sequence[Engine], progress: ProgressCallback = no_progress) -> None:
    """Copies engines into a folder, from the cache or, where they are not there, from npm.

    Args:
        folder: Where to; it is made.
        engines: Those of `ENGINES` that are wanted.
        progress: Called as packages arrive.

    Raises:
        BackendError: If a package cannot be fetched.
        IntegrityError: If what was fetched is not what we tried.
        OSError: If the cache or the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for done, engine in enumerate(engines, 1):
        kept = cache_folder() / f"{engine.package.replace('/', '-').lstrip('@')}-{engine.version}"
        if not all(_is_right(kept / file.name, file) for file in engine.files):
            _fetch(engine, kept)
        for file in engine.files:
            shutil.copyfile(kept / file.name, folder / file.name)
        progress("engines for browsers", done, len(engines), str(engine))


def _is_right(path: Path, file: EngineFile) -> bool:
    """Tells whether a kept file is whole, whatever has become of it since it was fetched."""
    try:
        content = path.read_bytes()
        if path.suffix == _PACKED:
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error):  # missing, no longer gzip, cut off or damaged
        return False
    return hashlib.sha256(content).hexdigest() == file.sha256


def _fetch(engine: Engine, kept: Path) -> None:
    kept.mkdir(parents=True, exist_ok=True)
    npm = shutil.which("npm")
    with tempfile.TemporaryDirectory(prefix="liteport-web-") as folder:
        if npm is None:
            _download(engine, Path(folder) / "package.tgz")
        else:
            _pack(npm, engine, Path(folder))
        archive = next(Path(folder).glob("*.tgz"), None)
        content = b"" if archive is None else archive.read_bytes()
        found = base64.b64encode(hashlib.sha512(content).digest()).decode()
        if archive is None or found != engine.integrity:
            raise IntegrityError(
                f"npm's {engine} is not the one we tried: its SHA-512 is {found[:16]}…, expected "
                f"{engine.integrity[:16]}…; see which registry npm uses"
            )
        _unpack(archive, engine, kept)


def _pack(npm: str, engine: Engine, folder: Path) -> None:
    command = [npm, "pack", "--silent", "--ignore-scripts", f"{engine.package}@{engine.version}"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired as error:
        raise BackendError(
            f"npm took more than {_TIMEOUT} s to fetch {engine}; try again on a better network"
        ) from error
    if done.returncode:
        # --silent hides the reason as well: npm keeps it for its log.
        raise BackendError(
            f"npm cannot fetch {engine} (exit code {done.returncode}); is there a network? "
            f"npm view {engine.package}@{engine.version} says more"
        )


def _download(engine: Engine, path: Path) -> None:
    name = engine.package.rpartition("/")[2]
    url = f"{_REGISTRY}/{engine.package}/-/{name}-{engine.version}.tgz"
    try:
        with urllib.request.urlopen(url, timeout=_SILENCE) as answer, path.open("wb") as file:  # noqa: S310 (HTTPS)
            shutil.copyfileobj(answer, file)
    except OSError as error:  # of the network, or the server's refusal
        raise BackendError(
            f"cannot fetch {url}: {getattr(error, 'reason', error)}; install npm, if a registry of your own is to be "
            "asked, or point LITEPORT_WEB_CACHE to a folder that another machine has filled"
        ) from error


def _unpack(archive: Path, engine: Engine, kept: Path) -> None:
    with tarfile.open(archive) as tar:
        for file in engine.files:
            member = tar.extractfile(file.member)
            content = b"" if member is None else member.read()
            if hashlib.sha256(content).hexdigest() != file.sha256:
                raise IntegrityError(f"{file.member} of {engine} is not the file we tried; please report this")
            with replacing(kept / file.name) as path:
                path.write_bytes(gzip.compress(content, 9, mtime=0) if file.name.endswith(_PACKED) else content)
