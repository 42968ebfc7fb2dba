"""What quantization-aware training learned: the ranges of activations, and whose they are in a float file.

The integer files of a quantization-aware model are made of its plain form, weights rounded as in training, whose float
file is quantized by the learned ranges. A range belongs to a layer's output; which value of a file that is, its numbers
tell: layers and file are run on the same few inputs. Converters merge, move and rename too much for names to tell.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import ConversionError
from liteport.runtime.activations import Probe
from liteport.terminal import quiet_import

from .callable_model import CallableModel, of_keras

Range = tuple[np.float32, np.float32]
"""The least and the greatest value that are represented."""

_COUNT = 4
# Two engines differ by their order of additions, which is a thousand times less.
_SAME = 1e-3


@dataclass(frozen=True)
class Aware:
    """A quantization-aware model in its plain forms.

    Attributes:
        plain: With the weights as they are: for the float formats.
        rounded: With the weights as they are rounded, for the integer formats; what is right (`as_it_is`) is what the
            fake-quantized model says.
        ranges: What is represented of each layer's output, by the layer's name.
        low_bits: Whether some layers' weights have fewer than 8 bits.
        layers: A Keras model, with rounded weights, that gives the outputs of these layers, in that order.
    """

    plain: CallableModel
    rounded: CallableModel
    ranges: Mapping[str, Range]
    low_bits: bool
    layers: Any


@dataclass(frozen=True)
class Learned:
    """Learned ranges, and what is needed to find whose they are.

    Attributes:
        ranges: What is represented of each layer's output, by the layer's name.
        low_bits: Whether some layers' weights have fewer than 8 bits.
        feeds: Some model input by name.
        outputs: What these layers make of it, channels last.
    """

    ranges: Mapping[str, Range]
    low_bits: bool
    feeds: Mapping[str, NDArray[np.float32]]
    outputs: Mapping[str, NDArray[np.float32]]

    def of_values(self, content: bytes, suffix: str) -> dict[str, Range]:
        """Returns the range of each value in a float file that is one of these layers' output.

        Args:
            content: The file, of the rounded model.
            suffix: ".tflite" or ".onnx".

        Raises:
            ConversionError: If a layer's output is not in the file, or it cannot be told which of two a value is.
        """
        with Probe(content, suffix) as probe:
            values = probe.run(self.feeds)
        owners = {name: self._owners(name, value) for name, value in values.items()}
        found = {layer for layers in owners.values() for layer in layers}
        if missing := [layer for layer in self.ranges if layer not in found]:
            raise ConversionError(
                f"no value of the float {suffix} file is the output of layer {missing[0]!r}, whose range was learned"
            )
        return {name: self.ranges[layers[0]] for name, layers in owners.items() if layers}

    def _owners(self, name: str, value: NDArray[np.float32]) -> list[str]:
        """The layers whose output a value is: of several with equal outputs and different ranges, the one it names."""
        found = [layer for layer, output in self.outputs.items() if _same(value, output)]
        if len({self.ranges[layer] for layer in found}) < 2:
            return found
        named = [layer for layer in found if layer in _layers_in(name)]
        if len(named) != 1:
            raise ConversionError(
                f"{name!r} may be the output of {' or '.join(map(repr, found))}, which are equal, while their learned "
                "ranges differ; remove the layer that changes nothing"
            )
        return named


def aware_of(model: Any) -> Aware | None:
    """Takes a Keras model apart that was made by `liteport.train.quantize_aware`; None where it was not.

    Raises:
        InvalidInputError: If no range has been learned yet, or the model cannot be called: see `of_keras`.
    """
    qat = _qat()
    if not qat.is_quantize_aware(model):
        return None
    keras = quiet_import("keras", "export")
    rounded = qat.float_model(model, rounded=True)
    ranges = {name: _ends(found) for name, found in qat.learned_ranges(model).items()}
    return Aware(
        plain=of_keras(qat.float_model(model)),
        rounded=replace(of_keras(rounded), as_it_is=of_keras(model).call),
        ranges=ranges,
        low_bits=min(qat.weight_bits(model).values(), default=8) < 8,
        layers=keras.Model(rounded.inputs, [rounded.get_layer(name).output for name in ranges]),
    )


def know_layers() -> None:
    """Lets Keras load quantization-aware models: their layers are known once they are imported."""
    _qat()


def _qat() -> Any:
    return quiet_import("liteport.train.qat", "export")


def _ends(found: Any) -> Range:
    """What the lowest and the highest int8 code stand for: by these, every quantizer arrives at this very grid."""
    low, high = ((code - found.zero_point) * float(found.scale) for code in (-128, 127))
    return np.float32(low), np.float32(high)


def learned(aware: Aware, batch: int | None, seed: int = 0) -> Learned:
    """Runs the layers whose ranges were learned on noise: of several strengths, as some layers may not notice one.

    Args:
        aware: The model.
        batch: The batch size that the files will have; None where it is free.
        seed: Of the noise.
    """
    generator = np.random.default_rng(seed)
    feeds = {}
    for spec, tensor in zip(aware.rounded.inputs, aware.layers.inputs, strict=True):
        low, high = aware.ranges.get(tensor.name, (np.float32(0), np.float32(1)))
        shape = (batch or _COUNT, *(size or 1 for size in spec.shape[1:]))
        strength = np.linspace(1, 1 / 4, shape[0]).reshape(-1, *[1] * (len(shape) - 1))
        feeds[spec.name] = (generator.uniform(low, high, shape) * strength).astype(np.float32)
    arrays = [feeds[spec.name] for spec in aware.rounded.inputs]
    outputs = aware.layers(arrays, training=False)
    values = (np.asarray(output) for output in outputs)
    return Learned(aware.ranges, aware.low_bits, feeds, dict(zip(aware.ranges, values, strict=True)))


def _same(value: NDArray[np.float32], output: NDArray[np.float32]) -> bool:
    """Whether two arrays hold the same numbers up to rounding; in the first, channels may come first or last."""
    if value.size != output.size or len(value) != len(output):
        return False
    limit = _SAME * float(np.abs(output).max())
    flat = value.reshape(len(value), -1)
    return any(
        float(np.abs(flat - form.reshape(len(form), -1)).max()) <= limit
        for form in (output, np.moveaxis(output, -1, 1))
    )


def _layers_in(name: str) -> Iterator[str]:
    """The layers that may be meant by a value's name, such as "net_1/conv1_1/Relu;net_1/conv1_1/BiasAdd"."""
    for part in re.split("[;/]", name):
        yield part
        yield re.sub(r"_\d+$", "", part)
