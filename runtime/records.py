"""What a manifest records of how its variants came about and what was found of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class SourceInfo:
    """Where the bundle came from.

    Attributes:
        file: The Keras model's file name, or its SavedModel folder's; None of a live model.
        sha256: Of that file; of a SavedModel that of `saved_model.pb`. None of a live model.
        versions: Of the packages that converted it, by name.
        training: What `liteport train` recorded of it, abridged; None where it did not train it.
    """

    file: str | None
    sha256: str | None
    versions: Mapping[str, Any]
    training: Mapping[str, Any] | None


@dataclass(frozen=True)
class Stability:
    """How far a model calibrated on one half of the data differs from one calibrated on the other half.

    Attributes:
        variant: The variant that was made from each half.
        median_range_difference: Of the activations' ranges, as a share of the larger of the two.
        max_range_difference: The same of the activation that differs most.
        tensor: That activation.
        mean_output_difference: Between the two models' outputs on the verification data.
        top1_agreement: Share of the verification data to which both give the same top class.
    """

    variant: str
    median_range_difference: float
    max_range_difference: float
    tensor: str
    mean_output_difference: float | None
    top1_agreement: float | None


@dataclass(frozen=True)
class CalibrationInfo:
    """The representative data set that fixed the activation ranges of the integer variants.

    Attributes:
        source: The data set's name.
        split: Which part of it.
        count: How many samples.
        seed: By which they were drawn.
        sha256: Over the samples in their order.
        method: How ONNX variants take ranges from it; TFLite's are always minimum and maximum.
        stability: What two halves of it would have given; None where that was not asked for.
    """

    source: str
    split: str
    count: int
    seed: int
    sha256: str
    method: str = "minmax"
    stability: Stability | None = None


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
        mean_abs_error: Mean difference of output values.
        won: Samples that the variant answers rightly and the reference does not, where labels are known.
        lost: The other way round.
        mcnemar_p: Probability of so uneven a split of won and lost if neither were better (McNemar's exact test).
        worst: Indices of the samples with the largest differences, in the order in which they were verified.
    """

    reference: str
    data: str
    samples: int
    max_abs_error: float
    top1_agreement: float
    accuracy: float | None
    reference_accuracy: float | None
    mean_abs_error: float = 0.0
    won: int | None = None
    lost: int | None = None
    mcnemar_p: float | None = None
    worst: tuple[int, ...] = ()


@dataclass(frozen=True)
class RuntimeTrial:
    """One runtime in which a variant was tried.

    Attributes:
        name: The package.
        version: Its version.
        ran: Whether it ran the variant and gave the same answers; None where it could not be tried.
        note: Why not, or None.
    """

    name: str
    version: str
    ran: bool | None
    note: str | None


@dataclass(frozen=True)
class FloatLayer:
    """A layer that selective quantization kept in float.

    Attributes:
        layer: The Keras layer.
        tensors: The values in the file that are float for its sake: its own, and those computed from its output.
        snr_db: Signal-to-noise ratio of what the layer itself adds when it is quantized, in dB: what ranked it.
            None where it adds nothing.
        cause: What makes most of that: see `causes.Cause`.
    """

    layer: str
    tensors: tuple[str, ...]
    snr_db: float | None
    cause: str


@dataclass(frozen=True)
class Selection:
    """What selective quantization did.

    Attributes:
        max_drop: The drop of accuracy that was let through, in points.
        full_drop: The drop with every layer quantized, in points.
        drop: The drop that was reached, in points.
        data: What it was measured on.
        samples: How many.
        float_layers: The layers kept in float, the most sensitive first.
    """

    max_drop: float
    full_drop: float
    drop: float
    data: str
    samples: int
    float_layers: tuple[FloatLayer, ...]


@dataclass(frozen=True)
class FileInfo:
    """A file of a bundle.

    Attributes:
        file: Its name in the bundle.
        sha256: Of its content.
        size_bytes: Of its content.
    """

    file: str
    sha256: str
    size_bytes: int

    def __post_init__(self) -> None:
        if not _FILE_NAME.fullmatch(self.file):
            raise ValueError(f"file is {self.file!r}, expected a plain file name inside the bundle")
        if not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"sha256 is {self.sha256!r}, expected 64 hexadecimal digits")
        if not 0 < self.size_bytes < 2**31:
            raise ValueError(f"size_bytes is {self.size_bytes}, expected between 1 and 2 GiB")
