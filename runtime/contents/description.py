"""What is told of a model file: its tensors, its operations and its metadata."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Tensor:
    """A value that the main graph holds or computes.

    Attributes:
        name: Its name in the file.
        dtype: A numpy dtype name, or "bfloat16", "int4", "string", "resource" and the like where numpy has none; ""
            where the file states no type (ONNX leaves it open for most intermediate values).
        shape: Its dimensions, None where they are free; () for scalars, and where the file states none.
        scales: The steps between quantized values, `real = scale * (q - zero_point)`: none, one for the tensor, one
            per channel, or one per block in C order.
        zero_points: As many as `scales`: the quantized values that stand for 0.0.
        axis: Which dimension the channels (or blocks) are counted along, where there is more than one scale.
        constant: Whether the file holds its data.
        size_bytes: How many bytes that data takes.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis: int | None = None
    constant: bool = False
    size_bytes: int = 0


@dataclass(frozen=True)
class Op:
    """One operation of the main graph.

    Attributes:
        kind: Its name: "CONV_2D" (TFLite), "Conv" or "com.microsoft.QLinearAdd" (ONNX), or a custom operation's own.
        version: TFLite's version of the operator; None for ONNX, where the opset fixes it.
        inputs: Indices into `Contents.tensors`, -1 for an optional one that is absent.
        outputs: The same.
        name: The node's name (ONNX).
    """

    kind: str
    version: int | None
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    name: str = ""


@dataclass(frozen=True)
class Contents:
    """What a model file holds; of several graphs, the main one.

    Attributes:
        format: "tflite", "onnx", "ncnn" or "mnn".
        inputs: Indices into `tensors`.
        outputs: The same.
        tensors: Each of the graph's values once.
        ops: In the order in which they run.
        minimum_runtime: The oldest TensorFlow Lite that the converter vouches for, where the file says.
        opsets: ONNX operator sets by domain, "" being ONNX's own; empty for TFLite.
        producer: What the file says of the program that made it.
        metadata: TFLite metadata buffers or ONNX metadata_props, by name.
    """

    format: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    minimum_runtime: str | None
    opsets: Mapping[str, int]
    producer: str
    metadata: Mapping[str, bytes]
