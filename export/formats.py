"""Every format that a model can be exported to: one row each.

A variant's id names engine and scheme: `tflite-int8` is a TensorFlow Lite file in full-integer quantization.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from numpy.typing import NDArray

from liteport.errors import InvalidInputError, unknown_name

from . import int4, mnn, ncnn, onnx, tflite
from .onnx import OnnxOptions
from .tflite import TFLiteOptions
from .tracing import Traced
from .verify import FLOAT16, FLOAT32, INT4, INT8, INT16, Tolerance

Feeds = Mapping[str, NDArray[Any]]
"""Model input by name, (N, ...) each."""


class Converter(Protocol):
    """Makes a file's content."""

    def __call__(
        self,
        traced: Traced,
        feeds: Feeds | None,
        wished: OnnxOptions,
        keep_float: Sequence[str] = (),
        /,
    ) -> bytes:
        """Converts a model.

        Args:
            traced: The model.
            feeds: Calibration data; None where the format needs none.
            wished: The user's options for ONNX.
            keep_float: The values, by their names in the float form, whose operations stay in float.
        """


class Session(Protocol):
    """A model calibrated once, to be quantized as often as need be."""

    def quantize(self, keep_float: Sequence[str] = ()) -> bytes:
        """Quantizes all but the operations that give these values of the float form."""


@dataclass(frozen=True)
class Format:
    """A row of the table.

    Attributes:
        id: Engine and scheme.
        scheme: The scheme in words.
        suffix: The model file's ending, which also says which engine runs it; of two files that of the first.
        convert: Makes the file's content.
        tolerance: How far its answers may be from the Keras model's.
        calibrated: Whether it needs calibration data.
        learned: Whether it takes a quantization-aware model's ranges and rounded weights over instead.
        integer: Where no floating tensor may be left in the file: "everywhere", "inside" its edges, or nowhere.
        float_form: The format with the same graph in float; given where single layers can be kept in float.
        session: Calibrates, where they can: quantizing several times is then quicker than converting.
        verify_at_most: How many samples it is verified on at most, where it is slow.
        source_code: Whether the bundle holds the model as C source code.
        low_bits: Whether weights have fewer bits than a model stands that was not trained for it.
    """

    id: str
    scheme: str
    suffix: str
    convert: Converter
    tolerance: Tolerance
    calibrated: bool = False
    learned: bool = False
    integer: Literal["everywhere", "inside"] | None = None
    float_form: str | None = None
    session: Callable[[Traced, Feeds | None, OnnxOptions], Session] | None = None
    verify_at_most: int | None = None
    source_code: bool = False
    low_bits: bool = False


def _tflite(options: TFLiteOptions) -> Converter:
    return lambda traced, feeds, _, keep_float=(): tflite.convert(traced, feeds, options, keep_float)


def _int4() -> Converter:
    return lambda traced, _, __, keep_float=(): int4.convert_int4(traced, keep_float)


def _onnx(scheme: Literal["float32", "float16", "int8"]) -> Converter:
    return lambda traced, feeds, wished, keep_float=(): onnx.convert(
        traced, feeds, replace(wished, scheme=scheme), keep_float
    )


def _ncnn(*, half: bool) -> Converter:
    return lambda traced, _, wished, keep_float=(): ncnn.convert(traced, wished.opset, half=half)  # noqa: ARG005


def _mnn(*, half: bool) -> Converter:
    return lambda traced, _, wished, keep_float=(): mnn.convert(traced, wished.opset, half=half)  # noqa: ARG005


def _tflite_session(options: TFLiteOptions) -> Callable[[Traced, Feeds | None, OnnxOptions], Session]:
    return lambda traced, feeds, _: tflite.Int8Session(traced, feeds, options)


def _onnx_session(traced: Traced, feeds: Feeds | None, wished: OnnxOptions) -> Session:
    return onnx.QdqSession(onnx.convert(traced, None, replace(wished, scheme="float32")), feeds, wished, traced.learned)


_INT8 = TFLiteOptions(weights="int8", activations="int8")
_INT8_FLOAT_IO = replace(_INT8, float_io=True)
_INT8_W4 = replace(_INT8, weights="int4")

_HALF = "float16 weights; float16 arithmetic where the CPU has it, else float32"

FORMATS = {
    row.id: row
    for row in (
        Format("tflite-float32", "float32", ".tflite", _tflite(TFLiteOptions()), FLOAT32),
        # Half the size.
        Format("tflite-float16", _HALF, ".tflite", _tflite(TFLiteOptions(weights="float16")), FLOAT16),
        # Activations are quantized anew at each call, by their own range: no calibration data needed. Dense weights
        # have one scale a layer: with one a channel it is no faster, and tflite-runtime 2.14 refuses it.
        Format(
            "tflite-dynamic",
            "dynamic range: int8 weights, float activations",
            ".tflite",
            _tflite(TFLiteOptions(weights="int8", dense_per_channel=False)),
            INT8,
        ),
        # Experimental: dense layers alone are 4-bit. For models whose size is that of their dense layers.
        Format(
            "tflite-int4",
            "dynamic range: int4 weights of dense layers, int8 of others; experimental",
            ".tflite",
            _int4(),
            INT4,
        ),
        # What a microcontroller or an NPU takes.
        Format(
            "tflite-int8",
            "full integer: int8 weights and activations, int8 in and out",
            ".tflite",
            _tflite(_INT8),
            INT8,
            calibrated=True,
            learned=True,
            integer="everywhere",
            float_form="tflite-float32",
            session=_tflite_session(_INT8),
        ),
        # For programs that hand over floats and leave the quantization to the model.
        Format(
            "tflite-int8-float-io",
            "full integer inside, float32 in and out",
            ".tflite",
            _tflite(_INT8_FLOAT_IO),
            INT8,
            calibrated=True,
            learned=True,
            integer="inside",
            float_form="tflite-float32",
            session=_tflite_session(_INT8_FLOAT_IO),
        ),
        # The same with weights of half the size. For models trained for it: weights rounded afterwards lose much.
        # XNNPACK takes such dense layers; LiteRT's own kernels unpack the weights of convolutions at each call, which
        # takes two to six times as long as tflite-int8, and round results twice.
        Format(
            "tflite-int8w4",
            "full integer: int4 weights, int8 activations, int8 in and out",
            ".tflite",
            _tflite(_INT8_W4),
            INT4,
            calibrated=True,
            learned=True,
            integer="everywhere",
            float_form="tflite-float32",
            session=_tflite_session(_INT8_W4),
            low_bits=True,
        ),
        # Runs on reference kernels on CPUs, which are slow: for accelerators, or where int8 loses too much.
        Format(
            "tflite-int16x8",
            "full integer: int16 activations, int8 weights; slow on CPUs",
            ".tflite",
            _tflite(TFLiteOptions(weights="int8", activations="int16")),
            INT16,
            calibrated=True,
            integer="everywhere",
            verify_at_most=200,
        ),
        Format("onnx-float32", "float32", ".onnx", _onnx("float32"), FLOAT32),
        Format("onnx-float16", "float16", ".onnx", _onnx("float16"), FLOAT16),
        Format(
            "onnx-int8",
            "static QDQ: int8 weights per channel, 8-bit activations",
            ".onnx",
            _onnx("int8"),
            INT8,
            calibrated=True,
            learned=True,
            float_form="onnx-float32",
            session=_onnx_session,
        ),
        # Fewest instructions in float on an emulated Raspberry Pi 4. Its quantizer is in no package that pip installs.
        Format("ncnn-float32", "float32 weights and arithmetic", ".param", _ncnn(half=False), FLOAT32),
        Format(
            "ncnn-float16",
            _HALF,
            ".param",
            _ncnn(half=True),
            FLOAT16,
        ),
        # Fewest instructions on an emulated Raspberry Pi 3, and in half precision on a 5.
        Format("mnn-float32", "float32 weights and arithmetic", ".mnn", _mnn(half=False), FLOAT32),
        Format(
            "mnn-float16",
            "float16 weights; float16 arithmetic where the CPU has it, else float32",
            ".mnn",
            _mnn(half=True),
            FLOAT16,
        ),
        # The int8 model once more, as source code for a microcontroller's compiler.
        Format(
            "c-array",
            "full integer int8 as C source code for microcontrollers",
            ".tflite",
            _tflite(_INT8),
            INT8,
            calibrated=True,
            learned=True,
            integer="everywhere",
            source_code=True,
        ),
        # Takes less of a microcontroller's flash and more of its RAM, where the weights of a convolution are unpacked.
        Format(
            "c-array-int8w4",
            "full integer: int4 weights of convolutions, int8 activations, as C source code for microcontrollers",
            ".tflite",
            _tflite(replace(_INT8_W4, pack_dense=False)),
            INT4,
            calibrated=True,
            learned=True,
            integer="everywhere",
            source_code=True,
            low_bits=True,
        ),
    )
}


def choose_formats(wanted: str | Iterable[str], *, low_bits: bool = False) -> list[Format]:
    """Looks formats up.

    Args:
        wanted: "all", one id or several.
        low_bits: Whether the model was trained for weights of few bits: formats with such are then among all.

    Returns:
        The rows in the table's order, each once.

    Raises:
        InvalidInputError: If an id is unknown (the message names the closest) or none is given.
    """
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    for name in names:
        if name != "all" and name not in FORMATS:
            raise unknown_name("format", name, ["all", *FORMATS])
    if not names:
        raise InvalidInputError(f"no format given; expected all or some of: {', '.join(FORMATS)}")
    every = "all" in names
    return [row for row in FORMATS.values() if row.id in names or (every and (low_bits or not row.low_bits))]
