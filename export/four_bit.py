"""4-bit weights in full-integer TensorFlow Lite files: the codes of an 8-bit file made -7 to 7, and packed.

Weights are symmetric and have a scale for each output channel, so that 8 bits have 127 steps to the largest weight of
a channel and 4 bits have 7: a 4-bit code is 7/127 of the 8-bit one, rounded. Where weights were trained to have 4
bits, the 8-bit codes are the rounded multiples of 127/7, and the 4-bit ones are exactly those of the training.

Biases have the step of input times weights, and follow.
"""

from collections import Counter
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import require

# The versions of operations with such weights, as TensorFlow's converter states them; of dense layers with a scale for
# each output the version that came with those, so that older runtimes say that they lack it.
_VERSIONS = {"CONV_2D": 7, "DEPTHWISE_CONV_2D": 7, "FULLY_CONNECTED": 12}

_STEPS, _FINE_STEPS = 7, 127


LAYERS = frozenset(_VERSIONS)
"""The operations whose weights can have 4 bits."""


def four_bit(content: bytes, *, trained: bool, packed: Collection[str]) -> bytes:
    """Gives the weights of convolutions and dense layers 4 bits.

    Args:
        content: A full-integer `.tflite` file with int8 weights; layers kept in float stay so.
        trained: Take only layers whose weights were trained to have 4 bits: nothing is lost.
        packed: The operations, of `LAYERS`, whose weights are stored as int4, two a byte. Those of others are codes
            from -7 to 7 in int8, which more runtimes take.

    Returns:
        The `.tflite` file: the very same where no layer qualifies.
    """
    utilities = require("ai_edge_litert.tools.flatbuffer_utils", "export")
    model = utilities.read_model_from_bytearray(bytearray(content))
    kinds = {getattr(utilities.BuiltinOperator, kind): kind for kind in _VERSIONS}
    file = _File(model, utilities)
    for graph in model.subgraphs:
        for op in graph.operators:
            code = model.operatorCodes[op.opcodeIndex]
            kind = kinds.get(code.builtinCode, "")
            if kind and file.reduce(graph, op, trained=trained, packed=kind in packed) and kind in packed:
                code.version = max(code.version, _VERSIONS[kind])
    return bytes(utilities.convert_object_to_bytearray(model)) if file.done else content


class _File:
    """A model whose layers are given 4-bit weights one after the other."""

    def __init__(self, model: Any, utilities: Any) -> None:
        self._model = model
        self._types = utilities.TensorType
        self._users = Counter(tensor.buffer for graph in model.subgraphs for tensor in graph.tensors)
        self._new_buffer = type(model.buffers[0])
        self.done: set[int] = set()  # tensors, which layers may share

    def reduce(self, graph: Any, op: Any, *, trained: bool, packed: bool) -> bool:
        """Gives a layer 4-bit weights; False where it does not qualify."""
        weights = graph.tensors[op.inputs[1]]
        data = self._model.buffers[weights.buffer].data
        if id(weights) in self.done:
            return True
        if weights.type != self._types.INT8 or data is None:
            return False
        codes = data.view(np.int8)
        small = reduced(codes)
        if trained and not np.array_equal(expanded(small), codes):
            return False
        self._set(weights, pack(small) if packed else small.view(np.uint8))
        if packed:
            weights.type = self._types.INT4
        if len(op.inputs) > 2 and op.inputs[2] >= 0 and id(bias := graph.tensors[op.inputs[2]]) not in self.done:
            values = self._model.buffers[bias.buffer].data.view(np.int32)
            self._set(bias, np.rint(values * (_STEPS / _FINE_STEPS)).astype(np.int32).view(np.uint8))
        return True

    def _set(self, tensor: Any, data: NDArray[np.uint8]) -> None:
        """Replaces a tensor's data and widens its step; equal tensors may have had one buffer."""
        if self._users[tensor.buffer] > 1:
            self._users[tensor.buffer] -= 1
            self._model.buffers.append(self._new_buffer())
            tensor.buffer = len(self._model.buffers) - 1
        self._model.buffers[tensor.buffer].data = data
        scales = np.asarray(tensor.quantization.scale, np.float64) * (_FINE_STEPS / _STEPS)
        tensor.quantization.scale = scales.astype(np.float32)
        self.done.add(id(tensor))


def reduced(codes: NDArray[np.int8]) -> NDArray[np.int8]:
    """Returns the 4-bit codes of 8-bit ones."""
    small: NDArray[np.int8] = np.rint(codes * (_STEPS / _FINE_STEPS)).astype(np.int8)
    return small


def expanded(codes: NDArray[np.int8]) -> NDArray[np.int8]:
    """Returns the 8-bit codes of 4-bit ones."""
    large: NDArray[np.int8] = np.rint(codes * (_FINE_STEPS / _STEPS)).astype(np.int8)
    return large


def pack(codes: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Packs two 4-bit codes a byte, the first in the lower half; an odd one's other half is 0."""
    pairs = np.append(codes, np.zeros(len(codes) % 2, np.int8)).view(np.uint8).reshape(-1, 2) & 0x0F
    halves: NDArray[np.uint8] = np.bitwise_or(pairs[:, 0], np.left_shift(pairs[:, 1], 4))
    return halves


def four_bit_scales(weights: NDArray[np.float32], axis: int) -> NDArray[np.float32] | None:
    """Returns the scale of each channel where floating weights were rounded to 4 bits in training; else None.

    Args:
        weights: Of one layer.
        axis: That of the output channels.
    """
    others = tuple(number for number in range(weights.ndim) if number != axis % weights.ndim)
    scales = np.abs(weights).max(axis=others, keepdims=True) / np.float32(_STEPS)
    codes = np.divide(weights, scales, out=np.zeros_like(weights), where=scales > 0)
    on_grid = np.abs(codes - np.rint(codes)).max(initial=0) < 1e-3  # single precision keeps 7 digits
    return np.where(scales > 0, scales, 1).astype(np.float32).reshape(-1) if on_grid else None
