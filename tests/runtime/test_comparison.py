"""Models made to quantize badly in one known layer, each in its own way; the comparison must name that layer."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from liteport.errors import InvalidInputError
from liteport.runtime.causes import rank_layers
from liteport.runtime.comparison import Comparison, LayerComparison, compare_files

Floats = NDArray[np.float32]
Quantize = Callable[..., tuple[bytes, bytes]]

SPREAD = 10.0 ** np.linspace(-1.5, 1.5, 8)  # 1,000-fold from the first of eight channels to the last


@pytest.fixture
def quantize(tmp_path: Path) -> Quantize:
    """Makes a float and a QDQ file of 1×1 convolutions with these weights (out, in), named conv1, conv2 and so on."""
    import onnx
    from onnx import helper, numpy_helper
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, samples: Floats) -> None:
            self._left: Iterator[Floats] = iter(samples)

        def get_next(self) -> dict[str, Floats] | None:
            sample = next(self._left, None)
            return None if sample is None else {"input": sample[np.newaxis]}

    def make(weights: list[Floats], calibration: Floats, *, per_channel: bool = True) -> tuple[bytes, bytes]:
        name, nodes, constants = "input", [], []
        for number, values in enumerate(weights, 1):
            constants.append(numpy_helper.from_array(values[..., np.newaxis, np.newaxis], f"m/conv{number}/kernel"))
            made = f"m/conv{number}/convolution"
            nodes.append(helper.make_node("Conv", [name, f"m/conv{number}/kernel"], [made]))
            name = made
        nodes.append(helper.make_node("Flatten", [name], ["output"]))
        shape = ["N", weights[0].shape[1], 4, 4]
        ends = [
            helper.make_tensor_value_info(end, onnx.TensorProto.FLOAT, dims)
            for end, dims in (("input", shape), ("output", ["N", weights[-1].shape[0] * 16]))
        ]
        graph = helper.make_graph(nodes, "m", ends[:1], ends[1:], constants)
        model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
        quantize_static(
            model,
            str(tmp_path / "int8.onnx"),
            Reader(calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=per_channel,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return model.SerializeToString(), (tmp_path / "int8.onnx").read_bytes()

    return make


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def mixing(rng: np.random.Generator) -> Floats:
    """Weights (8, 8) in which every channel counts alike."""
    return rng.normal(size=(8, 8)).astype(np.float32)


def samples(rng: np.random.Generator, count: int = 32) -> Floats:
    return rng.normal(size=(count, 8, 4, 4)).astype(np.float32)


def layer(comparison: Comparison, name: str) -> LayerComparison:
    (found,) = (entry for entry in comparison.layers if entry.layer == name)
    return found


def test_a_file_equals_itself(quantize: Quantize, rng: np.random.Generator) -> None:
    exact, _ = quantize([mixing(rng), mixing(rng)], samples(rng))
    found = compare_files(exact, exact, ".onnx", {"input": samples(rng)})
    assert [entry.layer for entry in found.layers] == ["conv1", "conv2", "(output)"]
    assert found.matched == found.tensors == 3
    assert found.samples == 32
    assert all(entry.snr_db == math.inf and entry.max_abs_error == 0 for entry in found.layers)
    assert all(entry.saturation is None for entry in found.layers)
    assert all(finding.noise == 0 for finding in rank_layers(found))


def test_figures_are_those_of_their_definitions(quantize: Quantize, rng: np.random.Generator) -> None:
    """One layer that hands its input on: all noise is the rounding of the input, which can be computed here."""
    feeds = samples(rng)
    exact, quantized = quantize([np.eye(8, dtype=np.float32)], feeds)
    found = layer(compare_files(exact, quantized, ".onnx", {"input": feeds}), "(input)")
    low, high = min(feeds.min(), 0), max(feeds.max(), 0)
    scale = (high - low) / 255
    zero_point = np.rint(-low / scale)
    rounded = (np.clip(np.rint(feeds / scale) + zero_point, 0, 255) - zero_point) * scale
    noise = np.abs(rounded - feeds)
    # The range is computed in other precision by the quantizer, so some values fall on the other side of a half step.
    assert found.snr_db == pytest.approx(10 * math.log10((feeds**2).sum() / (noise**2).sum()), abs=0.1)
    assert found.mean_abs_error == pytest.approx(noise.mean(), rel=0.01)
    assert found.max_abs_error == pytest.approx(scale / 2, rel=0.02)
    assert found.own_snr_db == found.snr_db
    assert found.saturation == 0
    assert found.range_used == pytest.approx(1, abs=0.01)  # of 255 steps, rounded


def test_names_the_layer_whose_channels_differ(quantize: Quantize, rng: np.random.Generator) -> None:
    """conv2's channels differ 1,000-fold; conv3 undoes that. As a whole conv2 looks fine: the large ones drown it."""
    spread, undone = np.diag(SPREAD).astype(np.float32), np.diag(1 / SPREAD).astype(np.float32)
    weights = [mixing(rng), spread @ mixing(rng), mixing(rng) @ undone, mixing(rng)]
    exact, quantized = quantize(weights, samples(rng))
    found = compare_files(exact, quantized, ".onnx", {"input": samples(rng)})
    assert layer(found, "conv2").snr_db > 20  # the usual 30 to 40 dB of int8, less a margin
    worst = rank_layers(found)[0]
    assert (worst.layer.layer, worst.cause, worst.seen_in) == ("conv2", "channels", "conv3")
    assert worst.layer.channel_spread > 100  # mixing before it blurs 1,000, not more than ten-fold
    assert worst.layer.weak_channels >= 0.25


def test_names_the_layer_whose_weights_share_a_scale(quantize: Quantize, rng: np.random.Generator) -> None:
    """The same weights, but each layer's with one scale: conv2's small rows are rounded away."""
    weights = [mixing(rng), np.diag(SPREAD).astype(np.float32) @ mixing(rng), mixing(rng)]
    exact, quantized = quantize(weights, samples(rng), per_channel=False)
    found = layer(compare_files(exact, quantized, ".onnx", {"input": samples(rng)}), "conv2").weights
    assert found is not None
    assert not found.per_channel
    assert found.channel_spread > 100
    assert found.weak_channels >= 0.25
    exact, quantized = quantize(weights, samples(rng))
    found = layer(compare_files(exact, quantized, ".onnx", {"input": samples(rng)}), "conv2").weights
    assert found is not None
    assert found.per_channel
    assert found.weak_channels == 0


def test_names_an_outlier_in_the_calibration_data(quantize: Quantize, rng: np.random.Generator) -> None:
    calibration = samples(rng)
    calibration[3, 0, 0, 0] = 500  # beside values of about 1
    weights = [np.eye(8, dtype=np.float32), mixing(rng)]
    weights[0][0, 0] = 0  # only the input's range is spoilt
    exact, quantized = quantize(weights, calibration)
    found = compare_files(exact, quantized, ".onnx", {"input": samples(rng)})
    worst = rank_layers(found)[0]
    assert (worst.layer.layer, worst.cause) == ("(input)", "resolution")
    assert worst.layer.range_used is not None
    assert worst.layer.range_used < 0.05  # about 8 of 500


def test_names_the_layer_that_saturates(quantize: Quantize, rng: np.random.Generator) -> None:
    """Calibrated on an input in which a channel is silent that speaks later, and that conv2 alone listens to."""
    calibration, feeds = samples(rng), samples(rng)
    calibration[:, 0] *= 0.05
    calibration[:, 1] *= 5  # the input's range, and that of conv1 which passes it on, are large enough
    second = mixing(rng)
    second[:, 1:] *= 0.01
    exact, quantized = quantize([np.eye(8, dtype=np.float32), second], calibration)
    found = compare_files(exact, quantized, ".onnx", {"input": feeds})
    worst = rank_layers(found)[0]
    assert (worst.layer.layer, worst.cause) == ("conv2", "saturation")
    assert worst.layer.saturation is not None
    assert worst.layer.saturation > 0.1
    assert layer(found, "(input)").saturation == 0


def test_refuses_what_cannot_be_compared(quantize: Quantize, rng: np.random.Generator) -> None:
    exact, quantized = quantize([mixing(rng)], samples(rng))
    for feeds, message in (
        ({"input": samples(rng, 0)}, r"feeds hold \[0\] items"),
        ({"inptu": samples(rng)}, r"inputs lack \['input'\]"),
        ({}, r"feeds hold \[\] items"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            compare_files(exact, quantized, ".onnx", feeds)


@pytest.mark.parametrize(
    ("reference", "quantized", "integer"),
    [
        ("tflite-float32.tflite", "tflite-int8.tflite", True),
        ("tflite-float32.tflite", "tflite-int16x8.tflite", True),
        ("tflite-float32.tflite", "tflite-dynamic.tflite", False),
        ("onnx-float32.onnx", "onnx-int8.onnx", True),
        ("onnx-float32.onnx", "onnx-float16.onnx", False),
    ],
)
def test_compares_every_layer_of_a_bundle(
    reference: str, quantized: str, integer: bool, tiny_bundle: Path, digits: NDArray[np.uint8]
) -> None:
    feeds: dict[str, Any] = {"input": (digits[:40, ..., np.newaxis] / 255).astype(np.float32)}
    files = [(tiny_bundle / name).read_bytes() for name in (reference, quantized)]
    found = compare_files(*files, Path(reference).suffix, feeds)
    assert {"conv2d", "conv2d_1", "output"} <= {entry.layer for entry in found.layers if entry.weights is not None}
    for entry in found.layers:
        assert entry.snr_db > 20  # int8 leaves 30 to 45 dB in a model that quantizes well
    # ONNX variants leave some layers in float where that is faster.
    grids = [entry.grid_snr_db is not None for entry in found.layers]
    assert any(grids) == integer
    assert all(grids) == (integer and quantized.startswith("tflite"))


def test_noise_on_a_silent_tensor_is_bounded_when_ranked(quantize: Quantize, rng: np.random.Generator) -> None:
    """Zeros that became something else have no ratio to a signal; one such layer must not make all shares NaN."""
    exact, quantized = quantize([mixing(rng)], samples(rng))
    found = compare_files(exact, quantized, ".onnx", {"input": samples(rng)})
    silent = replace(found.layers[1], snr_db=-math.inf, own_snr_db=-math.inf, grid_snr_db=math.inf, weights=None)
    ranked = rank_layers(replace(found, layers=(found.layers[0], silent)))
    assert ranked[0].layer == silent
    assert math.isfinite(ranked[0].noise)
