"""What liteport embeds in a model file, so that the file alone says how to use it, and that it is whole.

The document is JSON under the name "liteport": a metadata buffer of a TFLite file, an entry of an ONNX file's
metadata_props, the end of ncnn's weights or of an MNN file. Its first field, "sha256", is the digest of the whole file
(of ncnn's two, of both) with those 64 digits replaced by zeros: a file that was damaged or edited anywhere is noticed.
Like the manifest's digest, it guards against accidents; it is no signature.
"""

import re
from typing import Any

from liteport.errors import IntegrityError

from .contents import metadata_spans
from .digest import sha256_hex
from .schema import loads

EMBEDDED_NAME = "liteport"
DIGEST_FIELD = "sha256"
DIGEST_PREFIX = b'{"sha256":"'  # what the document starts with, so that the digits are found without a search
NO_DIGEST = "0" * 64
MAX_DOCUMENT_BYTES = 4 << 20  # 100,000 labels of 40 letters

_SHA256 = re.compile(rb"[0-9a-f]{64}")
_WHERE = "the document embedded in the model file"


def read_embedded(content: bytes, suffix: str) -> dict[str, Any] | None:
    """Reads the document that liteport embedded in a model file, and checks the file's digest.

    Args:
        content: The model file, all of it.
        suffix: ".tflite", ".onnx", ".param" or ".mnn".

    Returns:
        The document, its "sha256" included; None where the file has none.

    Raises:
        InvalidInputError: If it is another suffix.
        IntegrityError: If the file or the document was damaged or edited, or the document is over 4 MiB.
    """
    span = metadata_spans(content, suffix).get(EMBEDDED_NAME)
    if span is None:
        return None
    start, end = span
    if end - start > MAX_DOCUMENT_BYTES:
        raise IntegrityError(f"{_WHERE} takes {end - start} bytes, expected at most {MAX_DOCUMENT_BYTES}")
    digits = start + len(DIGEST_PREFIX)
    stated = content[digits : min(digits + len(NO_DIGEST), end)]
    if content[start:digits] != DIGEST_PREFIX or not _SHA256.fullmatch(stated):
        raise IntegrityError(f"{_WHERE} does not start with the file's digest; export again")
    if (found := digest_of(content, digits)) != stated.decode():
        raise IntegrityError(
            f"the model file was edited or damaged: its digest is {stated.decode()}, its content has {found}; "
            "copy or export it again"
        )
    document: dict[str, Any] = loads(content[start:end], _WHERE)  # an object, since it starts with a brace
    if document[DIGEST_FIELD] != stated.decode():
        raise IntegrityError(f"{_WHERE} does not hold the digest that it starts with; export again")
    return document


def digest_of(content: bytes, digits: int) -> str:
    """Returns the SHA-256 of a file whose own digest is taken for zeros.

    Args:
        content: The file.
        digits: Where in it the 64 digits of the digest start.
    """
    view = memoryview(content)
    return sha256_hex(view[:digits], NO_DIGEST.encode(), view[digits + len(NO_DIGEST) :])
