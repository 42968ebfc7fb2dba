"""What can be chosen for ONNX files."""

from dataclasses import dataclass
from typing import Literal

from liteport.errors import InvalidInputError, unknown_name

# What tf2onnx, the float16 step and the quantizer all take, each version tried.
OPSETS = range(13, 19)

_CHOICES = {
    "scheme": ("float32", "float16", "int8"),
    "calibration_method": ("minmax", "percentile", "entropy"),
    "target": ("x86", "arm"),
}


@dataclass(frozen=True)
class OnnxOptions:
    """How to convert.

    Attributes:
        scheme: "float32"; "float16" (weights and arithmetic; input and output stay float32); or "int8": static
            quantization with QDQ nodes, weights per channel and symmetric, activations asymmetric.
        opset: The version of ONNX's operator set.
        calibration_method: What gives activations their ranges; see `onnx_calibration`.
        target: The kind of CPU that will run an int8 file. "x86": unsigned activations, as the instruction that
            multiplies bytes there (vpdpbusd) takes unsigned by signed ones. "arm": signed ones, as sdot takes both
            signed.
        vnni: Whether an x86 target has AVX-512 VNNI or AVX-VNNI, which an exporter on another machine cannot know.
            Without it bytes are multiplied by vpmaddubsw, which adds pairs of products in 16 bits and saturates;
            weights are then kept to 7 bits, so that no pair can.

    Raises:
        InvalidInputError: If there is no such choice.
    """

    scheme: Literal["float32", "float16", "int8"] = "float32"
    opset: int = 17
    calibration_method: Literal["minmax", "percentile", "entropy"] = "minmax"
    target: Literal["x86", "arm"] = "x86"
    vnni: bool = True

    def __post_init__(self) -> None:
        for field, known in _CHOICES.items():
            if getattr(self, field) not in known:
                raise unknown_name(field.replace("_", " "), getattr(self, field), known)
        if self.opset not in OPSETS:
            raise InvalidInputError(f"opset is {self.opset}; expected one from {OPSETS[0]} to {OPSETS[-1]}")
