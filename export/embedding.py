"""Embedding a document in a model file, for `liteport.runtime.embedded` to read.

Each format leaves room for it: in ONNX an entry may be appended to the file's bytes, in TFLite a block is put in front
of them (`tflite_parts`), and ncnn and MNN do not read what follows a model. The model itself is not touched.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from liteport.errors import InvalidInputError, unknown_name
from liteport.runtime.contents import metadata_spans, mnn, ncnn
from liteport.runtime.contents.limits import Source
from liteport.runtime.contents.onnx import ENTRY_KEY, ENTRY_VALUE, METADATA_FIELD
from liteport.runtime.contents.protobuf import Field, Message, bytes_field
from liteport.runtime.embedded import (
    DIGEST_FIELD,
    DIGEST_PREFIX,
    EMBEDDED_NAME,
    MAX_DOCUMENT_BYTES,
    NO_DIGEST,
    digest_of,
)

from .tflite_parts import put_together, take_apart


def embed(content: bytes, suffix: str, document: Mapping[str, Any]) -> bytes:
    """Embeds a document in a model file, with the digest of the whole.

    The same file and document always give the same bytes; a document that was embedded before is replaced. What
    `add_tflite_metadata` adds may be added before or after: the file that comes out is the same.

    Args:
        content: The model file.
        suffix: ".tflite", ".onnx", ".param" or ".mnn".
        document: What JSON can hold; a "sha256" in it is replaced.

    Returns:
        The new file.

    Raises:
        InvalidInputError: If the suffix is another, or the document is no JSON or over 4 MiB.
        IntegrityError: If the model file is damaged.
        ConversionError: If the model file is of a layout that leaves no room.
    """
    if suffix not in _INSERT:
        raise unknown_name("suffix of model files", suffix, _INSERT)
    return seal(_INSERT[suffix](content, _render(document)), suffix)


def seal(content: bytes, suffix: str) -> bytes:
    """Fills in the digest of a file that holds a document.

    Raises:
        IntegrityError: If the file is damaged.
    """
    start = metadata_spans(content, suffix)[EMBEDDED_NAME][0] + len(DIGEST_PREFIX)
    return content[:start] + digest_of(content, start).encode() + content[start + len(NO_DIGEST) :]


def _render(document: Mapping[str, Any]) -> bytes:
    fields = {DIGEST_FIELD: NO_DIGEST} | {key: value for key, value in document.items() if key != DIGEST_FIELD}
    try:
        text = json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"the document to embed is no JSON: {error}") from error
    if len(text) > MAX_DOCUMENT_BYTES:
        raise InvalidInputError(f"the document to embed takes {len(text)} bytes, at most {MAX_DOCUMENT_BYTES} fit")
    return text


def _insert_tflite(content: bytes, text: bytes) -> bytes:
    parts = take_apart(content)
    return put_together(replace(parts, metadata={**parts.metadata, EMBEDDED_NAME: text}))


def _insert_onnx(content: bytes, text: bytes) -> bytes:
    """Leaves out an older entry and appends the new one: a message's fields may stand in any order."""
    model = Message(Source(content, "the ONNX file"))
    old = [entry for entry in model.fields.get(METADATA_FIELD, []) if _key(model, entry) == EMBEDDED_NAME]
    kept, start = [], 0
    for entry in old:
        kept.append(content[start : entry.tag])
        start = entry.end
    kept.append(content[start:])
    entry_bytes = bytes_field(ENTRY_KEY, EMBEDDED_NAME.encode()) + bytes_field(ENTRY_VALUE, text)
    return b"".join(kept) + bytes_field(METADATA_FIELD, entry_bytes)


def _key(model: Message, entry: Field) -> str:
    return Message(model.source, entry.start, entry.end).text(ENTRY_KEY)


_INSERT: dict[str, Callable[[bytes, bytes], bytes]] = {
    ".tflite": _insert_tflite,
    ".onnx": _insert_onnx,
    ncnn.SUFFIX: ncnn.with_document,
    mnn.SUFFIX: mnn.with_document,
}
