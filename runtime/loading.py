"""From a path to a `Model`: a bundle's variant or a lone file, and the engine for it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from liteport.errors import BackendError, InvalidInputError, LiteportError, NotFoundError

from .backends import EXPECTED, RUNNABLE, Backend, Engine, choose_engine
from .bundle import Bundle, read_bundle
from .manifest import MANIFEST_FILE, Manifest, Variant
from .model import Model
from .parts import whole_number

if TYPE_CHECKING:
    from .keys import Key


@dataclass(frozen=True)
class _How:
    """How a file is to be loaded; see `load`."""

    threads: int
    backend: str | None
    signature: str | None
    isolate: bool

    def engine(self, file: str) -> Engine:
        return choose_engine(Path(file).suffix, self.backend)

    def load(self, content: bytes, engine: Engine) -> Backend:
        if self.isolate:
            from .isolation import try_in_subprocess  # with subprocess and tempfile, for those who want it

            try_in_subprocess(content, engine, self.threads, signature=self.signature)
        return engine.load(content, self.threads, self.signature)


def load(
    path: str | os.PathLike[str],
    variant: str | None = None,
    *,
    threads: int = 1,
    backend: str | None = None,
    signature: str | None = None,
    isolate: bool = False,
    public_key: "Key | Sequence[Key] | None" = None,
) -> Model:
    """Loads a variant of a bundle, or a lone `.tflite`, `.onnx`, `.mnn` or `.param` file (beside its `.bin`).

    A file that lies in a bundle and is named in its manifest is loaded as that variant, digest checked. A file alone
    says itself what it is, if liteport exported it, and its digest is checked likewise. The structure of any other file
    is checked before an engine's native parser gets it; what a file computes cannot be.

    Args:
        path: A bundle's folder or a model file.
        variant: The variant's id; by default the first of the bundle whose engine is installed and did not fail it.
        threads: How many threads one call may use.
        backend: The engine's package ("ai-edge-litert", "tflite-runtime", "onnxruntime", "ncnn", "MNN"); by default the
            preferred one that is installed.
        signature: Which signature of a TFLite file is run; by default the only one, or "serving_default".
        isolate: Whether the file is first loaded and run in a process of its own, so that a crash of the engine is an
            exception. It costs the start of a Python, and is meant for files from elsewhere.
        public_key: The Ed25519 key, or several of which one must have signed the bundle: the path of a PEM file, the
            PEM itself, or the key's 32 bytes. Without one no signature is asked for.

    Raises:
        NotFoundError: If there is nothing at `path`.
        InvalidInputError: If it is neither a bundle nor a model file, or a name is unknown.
        IntegrityError: If the bundle or the file is damaged or edited.
        SignatureError: If none of the keys has signed the bundle as it is.
        MissingDependencyError: If the engine is not installed.
        BackendError: If the engine refuses the file.
    """
    how = _How(whole_number("threads", threads), backend, signature, isolate)
    path = Path(path)
    if path.is_dir():
        return _load_variant(read_bundle(path, public_key=public_key), variant, how)
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist; expected a bundle folder, {EXPECTED}")
    if path.suffix not in RUNNABLE:
        raise InvalidInputError(f"{path} is no model; expected a bundle folder, {EXPECTED}")
    if (path.parent / MANIFEST_FILE).is_file():
        bundle = read_bundle(path.parent, public_key=public_key)
        ids = {entry.file: entry.id for entry in bundle.manifest.variants}
        if path.name in ids and variant in (None, ids[path.name]):
            return _load_variant(bundle, ids[path.name], how)
    if variant is not None:
        raise InvalidInputError(f"{path} is one model file; variant {variant!r} can only be chosen in a bundle")
    if public_key is not None:
        raise InvalidInputError(f"{path} is no file of a bundle; public_key was given, and only bundles are signed")
    return _load_alone(path, how)


def _load_alone(path: Path, how: _How) -> Model:
    from .lone_file import read_lone_file  # with the readers of both formats, which bundles do without

    file = read_lone_file(path)
    return Model(how.load(file.content, how.engine(path.name)), file.card, stateful=file.stateful)


def _load_variant(bundle: Bundle, variant_id: str | None, how: _How) -> Model:
    entry = _first_runnable(bundle, how) if variant_id is None else bundle.manifest.variant(variant_id)
    engine = how.engine(entry.file)
    content = bundle.read(entry.id)
    try:
        backend = how.load(content, engine)
    except BackendError as error:
        raise BackendError(f"{error}; {_what_else(bundle.manifest, entry, engine)}") from error
    return Model(backend, bundle.manifest.card(entry.id), bundle.manifest)


def _first_runnable(bundle: Bundle, how: _How) -> Variant:
    first_error: LiteportError | None = None
    for entry in bundle.manifest.variants:
        try:
            engine = how.engine(entry.file)
        except LiteportError as error:
            first_error = first_error or error
        else:
            if _ran(entry, engine) is not False:
                return entry
    raise first_error or InvalidInputError(f"no variant in {bundle.path} was seen to run with what is installed here")


def _ran(entry: Variant, engine: Engine) -> bool | None:
    """Whether a variant was seen to run with an engine when it was exported; None where that was not tried."""
    return next((trial.ran for trial in entry.runtimes if trial.name == engine.package), None)


def _what_else(manifest: Manifest, entry: Variant, engine: Engine) -> str:
    """Says what runs a variant that was refused, and which others this engine runs."""
    others = [other.id for other in manifest.variants if other.id != entry.id and _ran(other, engine)]
    return f"{entry.id} was {entry.runtime_requirement}" + (
        f"; choose another variant, {engine.package} ran {', '.join(others)}" if others else ""
    )
