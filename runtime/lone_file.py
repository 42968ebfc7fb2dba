"""A model file outside a bundle: what it says of itself, and what must hold before an engine gets it."""

from dataclasses import dataclass
from pathlib import Path

from .card import ModelCard
from .contents import check_structure
from .embedded import DIGEST_FIELD, read_embedded
from .manifest import check_schema_version
from .model_files import read_model
from .schema import parse
from .state import is_stateful

_MOST_BYTES = 1 << 32  # TFLite and ONNX files cannot be much larger than 2 GiB


@dataclass(frozen=True)
class LoneFile:
    """A model file, checked.

    Attributes:
        content: All of it, read once.
        card: What it says of itself; None where liteport did not write it.
        stateful: Whether what it answers depends on earlier calls.
    """

    content: bytes
    card: ModelCard | None
    stateful: bool


def read_lone_file(path: Path) -> LoneFile:
    """Reads and checks a model file.

    Args:
        path: A `.tflite`, `.onnx` or `.mnn` file, or an ncnn model's `.param` beside its `.bin`.

    Raises:
        InvalidInputError: If it is too large to be one.
        IntegrityError: If it is damaged or edited.
    """
    content = read_model(path, _MOST_BYTES)
    card = _card(content, path)
    check_structure(content, path.suffix)  # whoever writes a file can write a card and its digest too
    if card is not None:
        return LoneFile(content, card, stateful=False)  # the export refuses layers that would be
    return LoneFile(content, None, is_stateful(content, path.suffix))


def _card(content: bytes, path: Path) -> ModelCard | None:
    document = read_embedded(content, path.suffix)
    if document is None:
        return None
    check_schema_version(document, str(path))
    fields = {key: value for key, value in document.items() if key not in ("schema_version", DIGEST_FIELD)}
    return parse(ModelCard, fields, f"what {path} says of itself")
