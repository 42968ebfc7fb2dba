"""From a path to a `Model`: a bundle's variant or a lone file, and the engine for it."""

import os
from pathlib import Path

from liteport.errors import InvalidInputError, LiteportError, NotFoundError

from .backends import choose_engine
from .bundle import Bundle, read_bundle
from .card import ModelCard
from .embedded import DIGEST_FIELD, read_embedded
from .manifest import MANIFEST_FILE, check_schema_version
from .model import Model
from .schema import parse

_MAX_THREADS = 256  # no CPU serves more; with 100,000 LiteRT crashes the process and ONNX Runtime hangs


def load(
    path: str | os.PathLike[str], variant: str | None = None, *, threads: int = 1, backend: str | None = None
) -> Model:
    """Loads a variant of a bundle, or a lone `.tflite` or `.onnx` file.

    A file that lies in a bundle and is named in its manifest is loaded as that variant, digest checked. A file alone
    says itself what it is, if liteport exported it, and its digest is checked likewise.

    Args:
        path: A bundle's folder or a model file.
        variant: The variant's id; by default the first of the bundle whose engine is installed.
        threads: How many threads one call may use.
        backend: The engine's package ("ai-edge-litert", "tflite-runtime", "onnxruntime"); by default the preferred
            one that is installed.

    Raises:
        NotFoundError: If there is nothing at `path`.
        InvalidInputError: If it is neither a bundle nor a model file, or a name is unknown.
        IntegrityError: If the bundle or the file is damaged or edited.
        MissingDependencyError: If the engine is not installed.
        BackendError: If the engine refuses the file.
    """
    if not isinstance(threads, int) or not 1 <= threads <= _MAX_THREADS:
        raise InvalidInputError(f"threads is {threads!r}, expected a whole number from 1 to {_MAX_THREADS}")
    path = Path(path)
    if path.is_dir():
        return _load_variant(read_bundle(path), variant, threads, backend)
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist; expected a bundle folder, a .tflite or an .onnx file")
    if path.suffix not in (".tflite", ".onnx"):
        raise InvalidInputError(f"{path} is no model; expected a bundle folder, a .tflite or an .onnx file")
    if (path.parent / MANIFEST_FILE).is_file():
        bundle = read_bundle(path.parent)
        ids = {entry.file: entry.id for entry in bundle.manifest.variants}
        if path.name in ids and variant in (None, ids[path.name]):
            return _load_variant(bundle, ids[path.name], threads, backend)
    if variant is not None:
        raise InvalidInputError(f"{path} is one model file; variant {variant!r} can only be chosen in a bundle")
    content = path.read_bytes()
    card = _card(content, path)
    return Model(choose_engine(path.suffix, backend).load(content, threads), card)


def _card(content: bytes, path: Path) -> ModelCard | None:
    """What a file says of itself; None where liteport did not write it."""
    document = read_embedded(content, path.suffix)
    if document is None:
        return None
    check_schema_version(document, str(path))
    fields = {key: value for key, value in document.items() if key not in ("schema_version", DIGEST_FIELD)}
    return parse(ModelCard, fields, f"what {path} says of itself")


def _load_variant(bundle: Bundle, variant_id: str | None, threads: int, backend: str | None) -> Model:
    chosen = _first_runnable(bundle, backend) if variant_id is None else variant_id
    entry = bundle.manifest.variant(chosen)
    engine = choose_engine(Path(entry.file).suffix, backend)
    return Model(engine.load(bundle.read(chosen), threads), bundle.manifest.card(chosen), bundle.manifest)


def _first_runnable(bundle: Bundle, backend: str | None) -> str:
    first_error: LiteportError | None = None
    for entry in bundle.manifest.variants:
        try:
            choose_engine(Path(entry.file).suffix, backend)
        except LiteportError as error:
            first_error = first_error or error
        else:
            return entry.id
    raise first_error or InvalidInputError(f"{bundle.path} holds no variant")
