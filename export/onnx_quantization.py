"""Static quantization of ONNX files with QDQ nodes, by onnxruntime's quantizer: calibrated once, quantized often."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from liteport.errors import ConversionError, require, unknown_name
from liteport.runtime.backends.onnxruntime import session_errors
from liteport.terminal import muted, quiet_import

from .four_bit import four_bit_scales
from .learned import Learned
from .onnx_calibration import Ranges, activation_ranges
from .onnx_folding import output_axis
from .onnx_graph import Graph, attribute, replace_all
from .onnx_options import OnnxOptions
from .refusal import told_as_refusal

_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_ACTIVATIONS = ("Relu", "Clip", "LeakyRelu", "Elu", "Sigmoid", "Tanh", "HardSigmoid", "PRelu", "Softplus")
_CLIPS = ("Relu", "Clip")
_STEPS = 255
_KERNEL_CHANNELS = 4
_ANSWERS = ("Softmax", "LogSoftmax", "Sigmoid")


class QdqSession:
    """A float32 ONNX file and the ranges of its activations, to quantize as often as one likes."""

    def __init__(
        self,
        content: bytes,
        samples: Mapping[str, NDArray[Any]] | None,
        options: OnnxOptions,
        learned: Learned | None = None,
    ) -> None:
        """Calibrates, where ranges were not learned.

        Args:
            content: The float32 file, as `onnx.convert` makes it.
            samples: Calibration data: model input by name, (N, ...) each. Of no use where ranges were learned.
            options: How; the scheme is int8 whatever it says.
            learned: What quantization-aware training learned.

        Raises:
            InvalidInputError: If there are no samples.
            ConversionError: If samples are needed and not given, or the model cannot be run on them, or it cannot be
                told whose a learned range is.
        """
        onnx = require("onnx", "export")
        self._options = options
        self._model = onnx.shape_inference.infer_shapes(onnx.load_from_string(content))
        self._graph = Graph(onnx.load_from_string(content))
        self._learned = learned
        if learned is not None:
            self._ranges = _before_clips(self._graph, learned.of_values(content, ".onnx"))
            return
        if samples is None:
            raise ConversionError("int8 activations need calibration data")
        with told_as_refusal("onnxruntime's calibration", *session_errors(require("onnxruntime", "export"))):
            self._ranges = activation_ranges(self._model, samples, options.calibration_method)

    def quantize(self, keep_float: Sequence[str] = ()) -> bytes:
        """Quantizes.

        Args:
            keep_float: Values in the float32 file, by name: the operations that make them, each with the activation
                function or the layer it belongs to, are kept in float.

        Returns:
            The `.onnx` file.

        Raises:
            InvalidInputError: If the model computes no such value.
            ConversionError: If the quantizer refuses.
        """
        onnx = require("onnx", "export")
        excluded = [*self._layers(keep_float), *self._better_in_float(), *self._needed_clips()]
        with told_as_refusal("onnxruntime's quantizer", ValueError, RuntimeError, TypeError, KeyError), muted():
            model = self._inserted(excluded)
        if self._learned is None:
            _drop_idle_pairs(model)
        onnx.checker.check_model(model, full_check=True)
        content: bytes = model.SerializeToString()
        return content

    def _inserted(self, excluded: list[str]) -> Any:
        """Inserts QuantizeLinear and DequantizeLinear around every operation that is to be computed in integers."""
        quantization = quiet_import("onnxruntime.quantization", "export")
        utils = require("onnxruntime.quantization.quant_utils", "export")
        calibrate = require("onnxruntime.quantization.calibrate", "export")
        registry = require("onnxruntime.quantization.registry", "export")
        ranges = {name: calibrate.TensorData(lowest=low, highest=high) for name, (low, high) in self._ranges.items()}
        kinds = quantization.QuantType
        model = type(self._model).FromString(self._model.SerializeToString())
        utils.add_infer_metadata(model)  # says that shapes are known, or it would infer them by way of a file
        quantizer = quantization.QDQQuantizer(
            model,
            True,  # a scale for each channel of the weights
            self._options.target == "x86" and not self._options.vnni,
            kinds.QInt8,
            kinds.QUInt8 if self._options.target == "x86" else kinds.QInt8,
            calibrate.TensorsData(quantization.CalibrationMethod.MinMax, ranges),
            [],
            excluded,
            sorted(set(registry.QDQRegistry) | set(registry.QLinearOpsRegistry)),
            {"TensorQuantOverrides": self._four_bit_weights()} if self._learned and self._learned.low_bits else {},
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()  # it appends
        made = quantizer.model.model
        replace_all(made.metadata_props, list(self._model.metadata_props))
        return made

    def _four_bit_weights(self) -> dict[str, list[dict[str, Any]]]:
        """The scales of the weights that were trained to have 4 bits: the codes, stored in 8 bits, are those."""
        found: dict[str, list[dict[str, Any]]] = {}
        for node in self._graph.nodes:
            weights = self._graph.constant(node.input[1]) if node.op_type in _WEIGHTED else None
            axis = None if weights is None else output_axis(node, weights)
            scales = None if weights is None or axis is None else four_bit_scales(weights, axis)
            if scales is not None:
                found[node.input[1]] = [{"axis": axis, "scale": scale, "zero_point": 0} for scale in scales]
        return found

    def _layers(self, values: Iterable[str]) -> list[str]:
        """The names of the nodes that make these values, with the layer or the activation that goes with them."""
        found: list[str] = []
        known = {name for node in self._graph.nodes for name in node.output}
        for value in values:
            if value not in known:
                raise unknown_name("value to keep in float", value, known)
            found.extend(node.name for node in self._layer(self._graph.producer(value)))
        return found

    def _layer(self, node: Any) -> list[Any]:
        if node.op_type in _ACTIVATIONS:
            maker = self._graph.producer(node.input[0])
            alone = maker is not None and self._graph.only_consumer(node.input[0]) is not None
            return [maker, node] if alone and maker.op_type in _WEIGHTED else [node]
        if node.op_type in _WEIGHTED:
            taker = self._graph.only_consumer(node.output[0])
            return [node, taker] if taker is not None and taker.op_type in _ACTIVATIONS else [node]
        return [node]

    def _better_in_float(self) -> list[str]:
        """The names of nodes that integers would make slower or coarser, and hardly smaller.

        Probabilities are computed from logits in float. And on x86, convolutions of the image itself, with one channel
        or three: the integer kernel works on four at a time, the float one has a form for them. (Measured with AVX-512
        VNNI, one image, one thread: a 28x28 classifier took 99 instead of 109 us, of 96x96 230 instead of 257 with one
        channel and 262 instead of 265 with three.)
        """
        found: list[str] = []
        for node in self._graph.nodes:
            if node.op_type in _ANSWERS and node.output[0] in self._graph.outputs:
                found.append(node.name)
            elif node.op_type == "Conv" and self._options.target == "x86" and attribute(node, "group", 1) == 1:
                shape = self._graph.shape(node.input[1])
                if shape is not None and (shape[1] or 0) < _KERNEL_CHANNELS:
                    found.extend(other.name for other in self._layer(node))
        return found

    def _needed_clips(self) -> list[str]:
        """The names of the ReLUs whose learned range is wider than what they let through.

        A concatenation shares its range with what it takes. The quantizer leaves ReLUs out, counting on the rounding
        after them to clip.
        """
        found = []
        for node in self._graph.nodes if self._learned is not None else ():
            if node.op_type in _CLIPS and node.output[0] in self._ranges:
                low, high = self._ranges[node.output[0]]
                least, most = _limits(self._graph, node)
                step = (high - low) / _STEPS
                if low < least - step / 2 or high > most + step / 2:
                    found.append(node.name)
        return found


def _limits(graph: Graph, node: Any) -> tuple[float, float]:
    """What a Relu or Clip limits values to."""
    if node.op_type == "Relu":
        return 0.0, math.inf
    ends = [graph.constant(name) for name in node.input[1:]]
    least, most = (*ends, None, None)[:2]
    return -math.inf if least is None else float(least), math.inf if most is None else float(most)


def _before_clips(graph: Graph, ranges: Ranges) -> Ranges:
    """Adds ranges of what becomes one operation with the ReLU after it; the quantizer asks for them all the same."""
    clips = [node for node in graph.nodes if node.op_type in _CLIPS]
    before = {node.input[0]: ranges[node.output[0]] for node in clips if node.output[0] in ranges}
    return {**before, **ranges}


def _drop_idle_pairs(model: Any) -> None:
    """Removes rounding of dense layers' results that are only used in float: logits keep all their bits."""
    graph = Graph(model)
    for node in list(graph.nodes):
        if node.op_type != "QuantizeLinear":
            continue
        layer, back = graph.producer(node.input[0]), graph.only_consumer(node.output[0])
        if layer is None or layer.op_type not in ("Gemm", "MatMul") or back is None:
            continue
        result = back.output[0]
        if result in graph.outputs and graph.only_consumer(node.input[0]) is not None:
            graph.remove(node, back)
            graph.set_output(layer, result, graph.shape(result))
        elif all(taker.op_type in _ANSWERS and taker.output[0] in graph.outputs for taker in graph.consumers(result)):
            graph.rewire(result, node.input[0])
    graph.drop_unused()
