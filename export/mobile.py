"""Official TFLite Metadata, which Android's and MediaPipe's task libraries read.

A FlatBuffer under the name "TFLITE_METADATA" says what input and output mean and how pixels are prepared; the labels
are a file in a zip archive that follows the model (https://ai.google.dev/edge/litert/conversion/tensorflow/metadata).
It is written here, field by field, and means what MediaPipe's `metadata_info` would say of the same model. MediaPipe
itself is not needed: its import takes seconds and wants graphics libraries of the system, its `metadata_writer` would
unpack and repack the model, which loses the alignment of its weights, and that module cannot be imported from the
wheels since 0.10.30, which lack one of its extension modules.

How this goes together with liteport's own document: either may be added first, and what comes out is the same file.
Both are entries of one block in front of the model, and the document's digest covers the block, the model and the
archive; where there is a document already, its digest is made anew.

What MediaPipe's ImageClassifier runs of it: models with three channels and float32 input, or uint8 input that stands
for the pixel itself. It refuses int8 input, so a full integer model wants float input and output there, and it refuses
a mean and standard deviation that differ between the channels.
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from liteport.errors import InvalidInputError, require
from liteport.runtime.contents import Tensor, read_contents
from liteport.runtime.embedded import read_embedded

from .embedding import seal
from .tflite_parts import put_together, take_apart

OFFICIAL_NAME = "TFLITE_METADATA"
LABELS_FILE = "labels.txt"

_IDENTIFIER = b"M001"
# The oldest reader that knows all that is written here; the schema's history lists what later versions added.
_PARSER_VERSION = "1.0.0"
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # zip's own epoch: the same file every time
_SUFFIX = ".tflite"
_GRAYSCALE, _RGB = 1, 3  # channels

# The slots of the schema's fields that are written, table by table, and the values of its enumerations
# (https://github.com/google-ai-edge/mediapipe/blob/master/mediapipe/tasks/metadata/metadata_schema.fbs).
_NAME, _DESCRIPTION = 0, 1  # of ModelMetadata, TensorMetadata and AssociatedFile
_SUBGRAPHS, _MIN_PARSER_VERSION = 3, 7  # ModelMetadata
_INPUTS, _OUTPUTS = 2, 3  # SubGraphMetadata
_CONTENT, _PROCESS_UNITS, _STATS, _FILES = 3, 4, 5, 6  # TensorMetadata
_FILE_TYPE, _TENSOR_AXIS_LABELS = 2, 2  # AssociatedFile; its AssociatedFileType
_TAG, _UNION = 0, 1  # Content and ProcessUnit: which table of a union follows, and that table
_FEATURE_PROPERTIES, _IMAGE_PROPERTIES = 1, 2  # ContentProperties
_COLOR_SPACE, _COLOR_SPACES = 0, {_RGB: 1, _GRAYSCALE: 2}  # ImageProperties; ColorSpaceType by channels
_NORMALIZATION_OPTIONS = 1  # ProcessUnitOptions
_MEAN, _STD = 0, 1  # NormalizationOptions
_MAX, _MIN = 0, 1  # Stats

# A table's fields by slot. An int is a byte, as all enumerations here are; None leaves the field out.
_Table: TypeAlias = Mapping[int, "str | int | list[float] | list[_Table] | _Table | None"]


def add_tflite_metadata(
    content: bytes,
    *,
    name: str,
    description: str,
    labels: Sequence[str] | None,
    scale: float | Sequence[float] = 1.0,
    offset: float | Sequence[float] = 0.0,
) -> bytes:
    """Adds the official TFLite Metadata to an image classifier, replacing what it had.

    May be called before or after `embed`; the document's digest then covers the metadata too.

    Args:
        content: The `.tflite` file, with one image input (N, H, W, C), C being 1 or 3, and one output.
        name: The model's name.
        description: What it does, for people.
        labels: The class names in the order of the output; None for a model that has none.
        scale: What a pixel (0 to 255) is multiplied with, for all channels or for each.
        offset: What is then added, likewise. Metadata states the same as `(pixel - mean) / std`, with
            std = 1 / scale and mean = -offset / scale.

    Returns:
        The new file.

    Raises:
        InvalidInputError: If the model is not of that kind, labels or preprocessing do not fit it, or its uint8 input
            would be given other values by a task library than liteport gives it.
        IntegrityError: If the file is damaged, or was edited since a document was embedded in it.
        ConversionError: If the model file is of a layout that leaves no room.
    """
    document = read_embedded(content, _SUFFIX)
    image, scores = _ends(content)
    mean, std = _normalization(scale, offset, channels=image.shape[3] or 0)
    _check_uint8(image, mean, std)
    text = None if labels is None else _label_file(labels, scores)
    parts = take_apart(content)
    graph: _Table = {
        _INPUTS: [_image_metadata(image, mean, std)],
        _OUTPUTS: [_scores_metadata(scores, with_labels=text is not None)],
    }
    official = _pack(
        {_NAME: name, _DESCRIPTION: description, _SUBGRAPHS: [graph], _MIN_PARSER_VERSION: _PARSER_VERSION}
    )
    made = put_together(
        replace(
            parts,
            metadata={**parts.metadata, OFFICIAL_NAME: official},
            archive=b"" if text is None else _archive(LABELS_FILE, text),
        )
    )
    return made if document is None else seal(made, _SUFFIX)


def _ends(content: bytes) -> tuple[Tensor, Tensor]:
    """Returns a classifier's input and output."""
    contents = read_contents(content, _SUFFIX)
    inputs, outputs = ([contents.tensors[i] for i in ends] for ends in (contents.inputs, contents.outputs))
    if (
        len(inputs) != 1
        or len(outputs) != 1
        or len(inputs[0].shape) != 4
        or inputs[0].shape[3] not in (_GRAYSCALE, _RGB)
    ):
        shapes = [[list(tensor.shape) for tensor in ends] for ends in (inputs, outputs)]
        raise InvalidInputError(
            f"TFLite Metadata is written for one image input (N, H, W, 1 or 3) and one output, got shapes {shapes}"
        )
    return inputs[0], outputs[0]


def _normalization(
    scale: float | Sequence[float], offset: float | Sequence[float], channels: int
) -> tuple[list[float], list[float]]:
    """Returns mean and standard deviation, one for all channels or one for each."""
    scales, offsets = ([values] if isinstance(values, int | float) else list(values) for values in (scale, offset))
    count = max(len(scales), len(offsets))
    if any(len(values) not in (1, channels) for values in (scales, offsets)) or not all(scales):
        raise InvalidInputError(
            f"preprocessing has scale {scale} and offset {offset}; expected numbers, or one for each of the "
            f"{channels} channels, and no scale of 0"
        )
    pairs = [(scales[i % len(scales)], offsets[i % len(offsets)]) for i in range(count)]
    return [-shift / factor for factor, shift in pairs], [1 / factor for factor, _ in pairs]


def _check_uint8(image: Tensor, mean: list[float], std: list[float]) -> None:
    """Checks that a uint8 input stands for the pixel itself, which is what the task libraries give it."""
    if image.dtype != "uint8" or not image.scales:
        return
    for pixel in (0, 255):
        for center, width in zip(mean, std, strict=True):
            stored = (pixel - center) / width / image.scales[0] + image.zero_points[0]
            if abs(stored - pixel) > 1:  # calibration misses the ends of the range by less than a step
                raise InvalidInputError(
                    f"the uint8 input stores pixel {pixel} as {stored:.1f}, but task libraries give it the pixel as it "
                    "is; use a model with float32 input"
                )


def _label_file(labels: Sequence[str], scores: Tensor) -> bytes:
    """Returns the labels one a line."""
    if len(labels) != scores.shape[-1]:
        raise InvalidInputError(f"{len(labels)} labels for an output of shape {list(scores.shape)}")
    if unfit := [label for label in labels if not label or len(label.splitlines()) != 1]:
        raise InvalidInputError(f"label {unfit[0]!r} cannot stand in TFLite Metadata, which has one a line")
    return "\n".join(labels).encode()


def _archive(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # stored, so that it can be read in place
        archive.writestr(zipfile.ZipInfo(name, _EARLIEST), data)
    return buffer.getvalue()


def _image_metadata(image: Tensor, mean: list[float], std: list[float]) -> _Table:
    """Returns the TensorMetadata of an image."""
    low, high = ([(pixel - center) / width for center, width in zip(mean, std, strict=True)] for pixel in (0, 255))
    normalization: _Table = {_TAG: _NORMALIZATION_OPTIONS, _UNION: {_MEAN: mean, _STD: std}}
    color: _Table = {_COLOR_SPACE: _COLOR_SPACES[image.shape[3] or 0]}
    return {
        _NAME: "image",
        _DESCRIPTION: "Input image to be processed.",
        _CONTENT: {_TAG: _IMAGE_PROPERTIES, _UNION: color},
        _PROCESS_UNITS: [normalization],
        _STATS: _stats(image, low, high),
    }


def _scores_metadata(scores: Tensor, *, with_labels: bool) -> _Table:
    """Returns the TensorMetadata of a score for each class."""
    labels: _Table = {
        _NAME: LABELS_FILE,
        _DESCRIPTION: "Labels for categories that the model can recognize.",
        _FILE_TYPE: _TENSOR_AXIS_LABELS,
    }
    return {
        _NAME: "score",
        _DESCRIPTION: "Score of each class.",
        _CONTENT: {_TAG: _FEATURE_PROPERTIES, _UNION: {}},
        _STATS: _stats(scores, [0.0], [1.0]),
        _FILES: [labels] if with_labels else None,
    }


def _stats(tensor: Tensor, low: list[float], high: list[float]) -> _Table:
    """Returns the Stats of a tensor: the given range for float32, that of a byte for uint8, none for other types."""
    ranges: dict[str, _Table] = {"float32": {_MIN: low, _MAX: high}, "uint8": {_MIN: [0.0], _MAX: [255.0]}}
    return ranges.get(tensor.dtype, {})


def _pack(model: _Table) -> bytes:
    """Writes a ModelMetadata as a file."""
    builder = require("flatbuffers", "export").Builder()
    builder.Finish(_write(builder, model), _IDENTIFIER)
    return bytes(builder.Output())


def _write(builder: Any, value: str | list[float] | list[_Table] | _Table) -> int:
    """Writes a string, a vector or a table after all that it refers to, and returns where it is."""
    if isinstance(value, str):
        return int(builder.CreateString(value))
    if isinstance(value, Mapping):
        return _write_table(builder, value)
    if isinstance(value[0], float):
        return int(builder.CreateNumpyVector(np.array(value, np.float32)))
    places = [_write(builder, item) for item in value]
    builder.StartVector(4, len(places), 4)  # of distances, which take 4 bytes
    for place in reversed(places):  # a FlatBuffer is written from its end
        builder.PrependUOffsetTRelative(place)
    return int(builder.EndVector())


def _write_table(builder: Any, table: _Table) -> int:
    given = {slot: value for slot, value in table.items() if value is not None}
    written = {slot: value if isinstance(value, int) else _write(builder, value) for slot, value in given.items()}
    builder.StartObject(max(given, default=-1) + 1)
    for slot, value in given.items():
        prepend = builder.PrependUint8Slot if isinstance(value, int) else builder.PrependUOffsetTRelativeSlot
        prepend(slot, written[slot], 0)
    return int(builder.EndObject())
