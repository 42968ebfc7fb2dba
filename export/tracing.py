"""A model's inference graph, traced once and frozen for all converters."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError
from liteport.runtime import TensorSpec
from liteport.terminal import muted, quiet_import

from .callable_model import CallableModel
from .refusal import told_as_refusal

_REFERENCE_BATCH = 256

# The activation that ends a model, by the TensorFlow operation that computes it; a weighted sum gives logits.
_ACTIVATIONS = {
    "Softmax": "softmax",
    "Sigmoid": "sigmoid",
    "BiasAdd": "linear",
    "MatMul": "linear",
    "AddV2": "linear",
}


@dataclass(frozen=True)
class Traced:
    """A model's inference graph.

    Attributes:
        live: The model's own graph, weights as variables: positional tensors in, a list of tensors out.
        function: A `tf.function` with the weights as constants: positional tensors in, outputs by name out.
        saved_model: The latter as a SavedModel folder with the signature `serving_default`.
        inputs: Each input's name, dtype and shape; shape[0] is None where the batch is free.
        outputs: Each output's, likewise.
        activations: What computes each output: "softmax", "sigmoid", "linear" (logits) or "other".
    """

    live: Any
    function: Any
    saved_model: Path
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    activations: tuple[str, ...]

    def answers(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Runs the model itself, by TensorFlow: what every variant is held against.

        Args:
            feeds: Model input by name, (N, ...) each.

        Returns:
            Outputs by name, (N, ...) each.
        """
        tf = quiet_import("tensorflow", "export")
        arrays = [feeds[spec.name] for spec in self.inputs]
        size = self.inputs[0].shape[0] or _REFERENCE_BATCH
        parts = []
        for start in range(0, len(arrays[0]), size):
            batch = [array[start : start + size] for array in arrays]
            count = len(batch[0])
            if self.inputs[0].shape[0]:  # a fixed batch is filled up
                batch = [np.concatenate([part, np.repeat(part[-1:], size - count, axis=0)]) for part in batch]
            parts.append([np.asarray(output)[:count] for output in self.live(*map(tf.constant, batch))])
        joined = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
        return {spec.name: array for spec, array in zip(self.outputs, joined, strict=True)}


def trace(model: CallableModel, folder: Path, batch: int | None = None) -> Traced:
    """Traces a model once and freezes its weights.

    Args:
        model: The model.
        folder: An existing empty folder for the SavedModel.
        batch: A fixed batch size; by default the model's own, which mostly is free.

    Raises:
        InvalidInputError: If the batch size does not fit the model's own.
        ConversionError: If it cannot be traced.
    """
    tf = quiet_import("tensorflow", "export")
    inputs = tuple(_with_batch(spec, batch) for spec in model.inputs)
    specs = [tf.TensorSpec(spec.shape, spec.dtype, name=spec.name) for spec in inputs]
    names: list[str] = []

    def flat(*tensors: Any) -> list[Any]:
        outputs = model.call(*tensors)
        names[:] = outputs
        return list(outputs.values())

    with (
        told_as_refusal("TensorFlow's tracing", ValueError, TypeError, NotImplementedError, tf.errors.OpError),
        muted(),
    ):
        live = tf.function(flat, input_signature=specs).get_concrete_function()
    frozen = _with_products_for_negations(_freezer()(live, lower_control_flow=False), tf)

    @tf.function(input_signature=specs)  # type: ignore[untyped-decorator]
    def serve(*tensors: Any) -> dict[str, Any]:
        return dict(zip(names, frozen(*tensors), strict=True))

    module = tf.Module()
    module.serve = serve
    # Gradients are of no use in inference, and some (swish has its own) cannot be saved once weights are frozen.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    with muted():
        signatures = {"serving_default": serve.get_concrete_function()}
        tf.saved_model.save(module, str(folder), signatures=signatures, options=options)
    outputs = tuple(
        _output_spec(name, tensor, inputs[0].shape[0]) for name, tensor in zip(names, frozen.outputs, strict=True)
    )
    return Traced(live, serve, folder, inputs, outputs, tuple(map(_activation, frozen.outputs)))


def _freezer() -> Any:
    """What TensorFlow's converters turn variables into constants with; it is not among its public names."""
    return quiet_import("tensorflow.python.framework.convert_to_constants", "export").convert_variables_to_constants_v2


def _with_products_for_negations(frozen: Any, tf: Any) -> Any:
    """Writes -x as x * -1, which is the same: TensorFlow Lite has no integer kernel for the former.

    Layer normalization negates, and would else keep every transformer from being an integer model.
    """
    graph = frozen.graph.as_graph_def()
    negations = [node for node in graph.node if node.op == "Neg" and node.attr["T"].type == tf.float32.as_datatype_enum]
    if not negations:
        return frozen
    for node in negations:
        factor = graph.node.add(name=f"{node.name}/minus_one", op="Const")
        factor.attr["dtype"].type = tf.float32.as_datatype_enum
        factor.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(-1.0, tf.float32))
        node.op = "Mul"
        node.input.append(factor.name)
    whole = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
    return whole.prune(*([tensor.name for tensor in tensors] for tensors in (frozen.inputs, frozen.outputs)))


def _with_batch(spec: TensorSpec, batch: int | None) -> TensorSpec:
    if batch is None or spec.shape[0] == batch:
        return spec
    if batch < 1 or spec.shape[0] is not None:
        raise InvalidInputError(
            f"batch is {batch}; expected at least 1, and {spec.name!r} has {spec.shape[0] or 'any'}"
        )
    return replace(spec, shape=(batch, *spec.shape[1:]))


def _output_spec(name: str, tensor: Any, batch: int | None) -> TensorSpec:
    shape = tuple(tensor.shape.as_list()) if tensor.shape.rank is not None else (None,)
    return TensorSpec(name, tensor.dtype.name, (batch, *shape[1:]))


def _activation(output: Any) -> str:
    operation = output.op
    while operation.type == "Identity":
        operation = operation.inputs[0].op
    return _ACTIVATIONS.get(operation.type, "other")
