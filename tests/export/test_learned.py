from dataclasses import replace

import keras
import numpy as np
import pytest

from liteport.errors import ConversionError, InvalidInputError
from liteport.export import onnx, tflite
from liteport.export.learned import Learned, aware_of, learned
from liteport.export.tracing import Traced
from liteport.train.qat import learned_ranges, quantize_aware


def float_file(traced: Traced, suffix: str) -> bytes:
    if suffix == ".onnx":
        return onnx.convert(traced, None, onnx.OnnxOptions())
    return tflite.convert(traced, None, tflite.TFLiteOptions())


def of(traced: Traced) -> Learned:
    assert traced.learned is not None
    return traced.learned


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_every_learned_range_is_found_where_its_layer_is_named(aware_traced: dict[int, Traced], suffix: str) -> None:
    traced = aware_traced[8]
    found = of(traced).of_values(float_file(traced, suffix), suffix)
    for layer, ends in of(traced).ranges.items():
        names = [name for name, range_ in found.items() if range_ == ends]
        # Ends are drawn apart by the noise they come from, but for values that share one range on purpose. The input
        # and what only has to do with its layout are not named after it.
        assert layer == "image" or any(f"/{layer}_" in name for name in names), (layer, names)


def test_values_in_another_layout_have_the_range_as_well(aware_traced: dict[int, Traced]) -> None:
    traced = aware_traced[8]
    found = of(traced).of_values(float_file(traced, ".onnx"), ".onnx")
    image = of(traced).ranges["image"]
    assert len([name for name, ends in found.items() if ends == image]) == 2  # as it is given, and channels first


def test_ends_are_what_the_outermost_codes_stand_for(
    aware_models: dict[int, keras.Model], aware_traced: dict[int, Traced]
) -> None:
    for layer, range_ in learned_ranges(aware_models[8]).items():
        low, high = of(aware_traced[8]).ranges[layer]
        assert -low / range_.scale == pytest.approx(range_.zero_point + 128, abs=1e-4)  # single precision, of 255 steps
        assert (high - low) / 255 == pytest.approx(range_.scale, rel=1e-6)


def test_a_range_of_which_no_value_is_found_is_an_error(aware_traced: dict[int, Traced]) -> None:
    traced = aware_traced[8]
    whole = of(traced)
    more = replace(
        whole,
        ranges={**whole.ranges, "gone": (np.float32(0), np.float32(1))},
        outputs={**whole.outputs, "gone": whole.outputs["add"] + 1},
    )
    with pytest.raises(ConversionError, match=r"no value of the float .tflite file is the output of layer 'gone'"):
        more.of_values(float_file(traced, ".tflite"), ".tflite")


def test_of_layers_with_equal_outputs_names_tell(aware_traced: dict[int, Traced]) -> None:
    traced = aware_traced[8]
    whole = of(traced)
    double = replace(
        whole,
        ranges={**whole.ranges, "twin": (np.float32(0), np.float32(1))},
        outputs={**whole.outputs, "twin": whole.outputs["project"]},
    )
    assert double._owners("aware_1/project_1/BiasAdd;aware_1/twins_1/Relu", whole.outputs["project"]) == ["project"]
    assert double._owners("aware_1/twin/Relu", whole.outputs["project"]) == ["twin"]
    with pytest.raises(
        ConversionError, match="'project' or 'twin', which are equal, while their learned ranges differ"
    ):
        double._owners("Conv", whole.outputs["project"])
    alike = replace(double, ranges={**double.ranges, "twin": double.ranges["project"]})
    assert alike._owners("Conv", whole.outputs["project"]) == ["project", "twin"]


def test_other_models_are_none(aware_models: dict[int, keras.Model]) -> None:
    assert aware_of(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])) is None
    found = aware_of(aware_models[4])
    assert found is not None
    assert found.low_bits


def test_a_model_that_has_learned_nothing_is_an_error() -> None:
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(InvalidInputError, match="has not learned the range"):
        aware_of(quantize_aware(plain))


def test_samples_are_as_many_as_a_fixed_batch(aware_models: dict[int, keras.Model]) -> None:
    found = aware_of(aware_models[8])
    assert found is not None
    made = learned(found, batch=3)
    assert {len(array) for array in (*made.feeds.values(), *made.outputs.values())} == {3}
