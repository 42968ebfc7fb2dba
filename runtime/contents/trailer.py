"""A document at the end of a model file whose engine does not read that far: ncnn's weights, MNN's files.

The document comes first, then its length in four bytes, and a mark of eight.
"""

from .limits import Source

_NAME_OF_DOCUMENT = "liteport"
_MARK = _NAME_OF_DOCUMENT.encode()
_LENGTH_BYTES = 4


def document_spans(content: bytes, name: str) -> dict[str, tuple[int, int]]:
    """Returns where the embedded document starts and ends, if there is one.

    Args:
        content: The model.
        name: What messages call it.

    Raises:
        IntegrityError: If its stated length is more than there is.
    """
    if not content.endswith(_MARK):
        return {}
    end = len(content) - len(_MARK) - _LENGTH_BYTES
    start = end - int.from_bytes(content[max(0, end) : end + _LENGTH_BYTES], "little")
    if min(start, end) < 0:
        raise Source(content, name).damaged("the document at its end is longer than the file")
    return {_NAME_OF_DOCUMENT: (start, end)}


def model_end(content: bytes, name: str) -> int:
    """Returns where the model itself ends: at the document, or at the end; see `document_spans`."""
    return min((start for start, _ in document_spans(content, name).values()), default=len(content))


def with_trailer(content: bytes, name: str, document: bytes) -> bytes:
    """Returns a model with a document at its end; one that was there is replaced. See `document_spans`."""
    length = len(document).to_bytes(_LENGTH_BYTES, "little")
    return content[: model_end(content, name)] + document + length + _MARK
