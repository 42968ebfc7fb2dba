"""The manifest: what a bundle says of itself. The exporter writes it, everything else reads it.

`manifest.json` is not trusted: `Manifest.from_json` checks every field's type and range and the digest over all of
them before anything acts on it. A damaged or edited manifest is an `IntegrityError`; the digest guards against
accidents and careless edits, it is no signature.
"""

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from liteport.errors import IntegrityError, InvalidInputError, unknown_name

from .schema import loads, parse

SCHEMA_VERSION = 1
MANIFEST_FILE = "manifest.json"

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_ELEMENTS = 2**31  # of one item of a batch: far above any image model, far below what exhausts a device


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a model file.

    Attributes:
        name: Its name in the model's signature.
        dtype: A numpy dtype name, such as "int8".
        shape: Its dimensions; None where they are free (the batch).
        scale: Step between quantized values, where the tensor is quantized: `real = scale * (q - zero_point)`.
        zero_point: The quantized value that stands for 0.0.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    scale: float | None = None
    zero_point: int | None = None

    def __post_init__(self) -> None:
        _check_shape(self.shape)
        if (self.scale is None) != (self.zero_point is None):
            raise ValueError("scale and zero_point go together")
        if self.scale is not None and not 0 < self.scale < math.inf:
            raise ValueError(f"scale is {self.scale}, expected a positive number")


@dataclass(frozen=True)
class Preprocessing:
    """What turns raw pixels (0 to 255) into model input: `pixel * scale + offset`.

    Attributes:
        scale: One factor for all channels, or one a channel.
        offset: One summand for all channels, or one a channel.
    """

    scale: float | tuple[float, ...] = 1.0
    offset: float | tuple[float, ...] = 0.0

    def __post_init__(self) -> None:
        for values in (self.scale, self.offset):
            if values == () or not all(map(math.isfinite, values if isinstance(values, tuple) else (values,))):
                raise ValueError(f"preprocessing needs finite numbers, got scale {self.scale} and offset {self.offset}")

    @classmethod
    def of(cls, value: "Preprocessing | Mapping[str, Any] | None") -> "Preprocessing":
        """Makes one from what a user may write.

        Args:
            value: None for pixels as they are; or `{"scale": …, "offset": …}`; or `{"mean": …, "std": …}`, in units
                of pixels (0 to 255), for `(pixel - mean) / std`. Numbers, or lists with one a channel.

        Raises:
            InvalidInputError: If it is none of these.
        """
        if value is None or isinstance(value, cls):
            return value or cls()
        if not isinstance(value, Mapping) or not (set(value) <= {"scale", "offset"} or set(value) == {"mean", "std"}):
            raise InvalidInputError(f"preprocessing is {value!r}; expected scale and offset, or mean and std")
        try:
            if "std" in value:
                mean, std = (_floats(value[key]) for key in ("mean", "std"))
                scale = tuple(1 / number for number in std)
                broadcast = len(mean) in (1, len(scale)) or len(scale) == 1
                if not broadcast:
                    raise ValueError(f"{len(mean)} means and {len(std)} standard deviations")
                count = max(len(mean), len(scale))
                offset = tuple(-mean[i % len(mean)] * scale[i % len(scale)] for i in range(count))
            else:
                scale, offset = _floats(value.get("scale", 1.0)), _floats(value.get("offset", 0.0))
            return cls(scale[0] if len(scale) == 1 else scale, offset[0] if len(offset) == 1 else offset)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise InvalidInputError(f"preprocessing {dict(value)!r} cannot be used: {error}") from error


@dataclass(frozen=True)
class InputInfo:
    """The model's image input: its shape is (None, height, width, channels), NHWC in every variant."""

    name: str
    shape: tuple[int | None, ...]
    layout: str
    color: str
    preprocessing: Preprocessing

    def __post_init__(self) -> None:
        _check_shape(self.shape)
        if self.layout != "NHWC":
            raise ValueError(f"layout is {self.layout!r}, expected 'NHWC'")
        for values in (self.preprocessing.scale, self.preprocessing.offset):
            if isinstance(values, tuple) and len(values) != self.shape[-1]:
                raise ValueError(f"preprocessing has {len(values)} channels, the input {self.shape[-1]}")


@dataclass(frozen=True)
class OutputInfo:
    """The model's output: shape (None, classes), the last activation, and the class names where known."""

    name: str
    shape: tuple[int | None, ...]
    activation: str
    labels: tuple[str, ...] | None

    def __post_init__(self) -> None:
        _check_shape(self.shape)
        if self.labels is not None and len(self.labels) != self.shape[-1]:
            raise ValueError(f"{len(self.labels)} labels for {self.shape[-1]} classes")


@dataclass(frozen=True)
class SourceInfo:
    """Where the bundle came from: the Keras model's file, the versions that converted it, and its training."""

    file: str | None
    sha256: str | None
    versions: Mapping[str, Any]
    training: Mapping[str, Any] | None


@dataclass(frozen=True)
class CalibrationInfo:
    """The representative data set that fixed the activation ranges of the integer variants."""

    source: str
    split: str
    count: int
    seed: int
    sha256: str


@dataclass(frozen=True)
class Verification:
    """How a variant's answers compared with the Keras model's, measured through the real runtime.

    Attributes:
        reference: What it was compared with.
        data: Which images: a split that was neither trained nor calibrated on, where there is one.
        samples: How many.
        max_abs_error: Largest difference of any output value.
        top1_agreement: Share of samples with the same top class.
        accuracy: Share of samples answered rightly, where labels are known.
        reference_accuracy: The same of the reference.
    """

    reference: str
    data: str
    samples: int
    max_abs_error: float
    top1_agreement: float
    accuracy: float | None
    reference_accuracy: float | None


@dataclass(frozen=True)
class Variant:
    """One model file of a bundle."""

    id: str
    file: str
    sha256: str
    size_bytes: int
    scheme: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    runtime_requirement: str
    verification: Verification | None

    def __post_init__(self) -> None:
        if not _FILE_NAME.fullmatch(self.file):
            raise ValueError(f"file is {self.file!r}, expected a plain file name inside the bundle")
        if not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"sha256 is {self.sha256!r}, expected 64 hexadecimal digits")
        if not 0 < self.size_bytes < 2**31:
            raise ValueError(f"size_bytes is {self.size_bytes}, expected between 1 and 2 GiB")
        if not self.inputs or not self.outputs:
            raise ValueError(f"{self.id!r} has {len(self.inputs)} inputs and {len(self.outputs)} outputs")


@dataclass(frozen=True)
class Manifest:
    """The whole manifest; `digest` is computed when it is written and checked when it is read."""

    name: str
    created: str
    source: SourceInfo
    input: InputInfo
    output: OutputInfo
    calibration: CalibrationInfo | None
    variants: tuple[Variant, ...]

    def __post_init__(self) -> None:
        ids = [variant.id for variant in self.variants]
        files = [variant.file for variant in self.variants]
        if not ids or len(set(ids)) != len(ids) or len(set(files)) != len(files):
            raise ValueError(f"variants are {ids} in files {files}, expected at least one, each id and file once")

    def variant(self, variant_id: str) -> Variant:
        """Returns the variant of that id.

        Raises:
            InvalidInputError: If there is none; the message names the closest.
        """
        for variant in self.variants:
            if variant.id == variant_id:
                return variant
        raise unknown_name("variant", variant_id, [variant.id for variant in self.variants])

    def to_json(self) -> str:
        """Returns the document with schema version and digest, indented for people."""
        fields = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self)}
        return json.dumps({"digest": _digest(fields), **fields}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: bytes, where: str = MANIFEST_FILE) -> "Manifest":
        """Reads a manifest and checks all of it.

        Args:
            text: The document.
            where: Its name, for messages.

        Raises:
            IntegrityError: If it is damaged, edited, or of another schema version; the message says which.
        """
        fields = loads(text, where)
        if not isinstance(fields, dict) or "schema_version" not in fields:
            raise IntegrityError(f"{where} is no liteport manifest: it has no schema_version")
        version = fields["schema_version"]
        if type(version) is not int or version != SCHEMA_VERSION:
            raise IntegrityError(f"{where} has schema_version {version!r}, this liteport reads {SCHEMA_VERSION}")
        stated = fields.pop("digest", None)
        if stated != (found := _digest(fields)):
            raise IntegrityError(
                f"{where} was edited or damaged: its digest is {stated!r}, its content has {found!r}; export again"
            )
        del fields["schema_version"]
        return parse(cls, fields, where)


def _floats(value: Any) -> tuple[float, ...]:
    return tuple(map(float, value)) if isinstance(value, (list, tuple)) else (float(value),)


def _digest(fields: Mapping[str, Any]) -> str:
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _check_shape(shape: tuple[int | None, ...]) -> None:
    sizes = [size for size in shape if size is not None]
    if not shape or any(size < 1 for size in sizes) or math.prod(sizes) > _MAX_ELEMENTS:
        raise ValueError(f"shape is {list(shape)}, expected sizes from 1 to {_MAX_ELEMENTS} in all")
