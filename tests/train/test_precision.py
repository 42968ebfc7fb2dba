import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from liteport.errors import InvalidInputError
from liteport.terminal import no_progress
from liteport.train import Dataset, TrainConfig, build_model, fit
from liteport.train import precision as module
from liteport.train.pipeline import EpochPipeline
from liteport.train.precision import (
    ChosenPrecision,
    choose_precision,
    copy_with_policy,
    cpu_has_bfloat16,
    measured_ratio,
    multiply_accumulates,
)

CONFIG = TrainConfig(epochs=2, batch_size=64)


def test_copy_computes_in_bfloat16_but_for_its_output(make_model: Callable[[], Any]) -> None:
    model = make_model()
    twin = copy_with_policy(model, "mixed_bfloat16")

    assert [layer.compute_dtype for layer in twin.layers] == ["bfloat16"] * 4 + ["float32"]
    assert {weight.dtype for weight in twin.weights} == {"float32"}
    for ours, given in zip(twin.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, given)


def test_copy_reaches_into_nested_models(make_model: Callable[[], Any]) -> None:
    outer = keras.Sequential([keras.Input((14, 14, 1)), layers.Activation("linear"), make_model()])
    nested = copy_with_policy(outer, "mixed_bfloat16").layers[-1]
    assert [layer.compute_dtype for layer in nested.layers] == ["bfloat16"] * 4 + ["float32"]


def test_copy_and_back_is_the_same_model(make_model: Callable[[], Any], dataset: Dataset) -> None:
    model = make_model()
    images = dataset.test.images / np.float32(255)
    back = copy_with_policy(copy_with_policy(model, "mixed_bfloat16"), "float32")
    np.testing.assert_array_equal(back.predict(images, verbose=0), model.predict(images, verbose=0))


def test_copy_refuses_a_subclassed_model() -> None:
    class Own(keras.Model):  # type: ignore[misc]
        pass

    with pytest.raises(InvalidInputError, match="expected a Sequential or functional Keras model, found Own"):
        copy_with_policy(Own(), "float32")


def test_multiply_accumulates_of_the_baseline() -> None:
    # 26·26·9·32, 24·24·9·32·64, and the dense layers' matrices
    expected = 26 * 26 * 9 * 32 + 24 * 24 * 9 * 32 * 64 + 9216 * 128 + 128 * 64 + 64 * 10
    assert multiply_accumulates(build_model()) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor: 0\nflags\t\t: fpu amx_bf16 sse\n", True),
        ("flags\t\t: fpu avx512_bf16\n", True),
        ("flags\t\t: fpu avx512f\nmodel name: amx_bf16 like\n", False),
        ("", False),
    ],
)
def test_cpu_flags(tmp_path: Path, text: str, expected: bool) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert cpu_has_bfloat16(tmp_path / "cpuinfo") is expected
    assert cpu_has_bfloat16(tmp_path / "absent") is False


@pytest.fixture
def no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(*_: object) -> float:
        raise AssertionError("measured")

    monkeypatch.setattr(module, "measured_ratio", measure)


@pytest.mark.usefixtures("no_measurement")
def test_small_or_decided_trainings_are_not_measured(make_model: Callable[[], Any], dataset: Dataset) -> None:
    model, pipeline = make_model(), EpochPipeline(dataset.train, 10, CONFIG)
    assert choose_precision(model, pipeline, CONFIG, 220, no_progress) == ("float32", None)
    asked = replace(CONFIG, precision="mixed_bfloat16")
    assert choose_precision(model, pipeline, asked, 220, no_progress) == ("mixed_bfloat16", None)


@pytest.mark.parametrize(
    ("has_bfloat16", "ratio", "expected"),
    [
        (True, 0.6, ("mixed_bfloat16", 0.6)),
        (True, 0.85, ("mixed_bfloat16", 0.85)),
        (True, 0.9, ("float32", 0.9)),
        (False, 0.6, ("float32", None)),
    ],
)
def test_large_trainings_go_by_cpu_and_measurement(
    monkeypatch: pytest.MonkeyPatch, has_bfloat16: bool, ratio: float, expected: ChosenPrecision
) -> None:
    monkeypatch.setattr(module, "cpu_has_bfloat16", lambda: has_bfloat16)
    monkeypatch.setattr(module, "measured_ratio", lambda *_: ratio)
    chosen = choose_precision(build_model(), None, CONFIG, 55_000, no_progress)  # type: ignore[arg-type]
    assert chosen == expected


def test_measurement_leaves_the_model_alone(make_model: Callable[[], Any], dataset: Dataset) -> None:
    model = make_model()
    before = model.get_weights()
    shown: list[tuple[int, int]] = []
    ratio = measured_ratio(
        model, EpochPipeline(dataset.train, 10, CONFIG), CONFIG, lambda _, done, total, __: shown.append((done, total))
    )
    assert ratio > 0
    assert shown[-1][0] == shown[-1][1] == len(shown) - 1
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.usefixtures("undrawn")
def test_saved_model_is_float32_after_training_in_bfloat16(
    make_model: Callable[[], Any], dataset: Dataset, tmp_path: Path
) -> None:
    run = fit(make_model(), dataset, replace(CONFIG, precision="mixed_bfloat16"), out=tmp_path / "run")

    assert run.precision == ("mixed_bfloat16", None)
    with zipfile.ZipFile(tmp_path / "run" / "model.keras") as archive:
        assert b"bfloat16" not in archive.read("config.json")
    loaded = keras.models.load_model(tmp_path / "run" / "model.keras")
    assert {layer.compute_dtype for layer in loaded.layers} == {"float32"}
    images = dataset.test.images / np.float32(255)
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), run.model.predict(images, verbose=0))
