from pathlib import Path
from typing import Any

import numpy as np
import pytest

from liteport.errors import InvalidInputError
from liteport.train import DESIGNS, build_model


def test_baseline_is_the_classic() -> None:
    model = build_model("baseline", (28, 28, 1), 10)

    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == ["InputLayer", "Conv2D", "Conv2D", "MaxPooling2D", "Dropout", "Flatten", "Dense", "Dense", "Dense"]
    shapes = [tuple(layer.output.shape[1:]) for layer in model.layers]
    assert shapes[1:6] == [(26, 26, 32), (24, 24, 64), (12, 12, 64), (12, 12, 64), (9216,)]
    assert shapes[6:] == [(128,), (64,), (10,)]
    # 3·3·1·32+32, 3·3·32·64+64, 9216·128+128, 128·64+64, 64·10+10
    assert model.count_params() == 320 + 18_496 + 1_179_776 + 8_256 + 650
    assert [layer.activation.__name__ for layer in model.layers if hasattr(layer, "activation")] == [
        "relu", "relu", "relu", "relu", "softmax",
    ]  # fmt: skip
    assert (model.layers[0].name, model.layers[-1].name) == ("input", "output")


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize(("shape", "classes"), [((28, 28, 1), 10), ((32, 40, 3), 2)])
def test_every_design_gives_probabilities(design: str, shape: tuple[int, int, int], classes: int) -> None:
    model = build_model(design, shape, classes)
    output = np.asarray(model(np.random.default_rng(0).random((3, *shape), np.float32)))
    assert output.shape == (3, classes)
    np.testing.assert_allclose(output.sum(axis=1), 1, atol=1e-6)  # a float32 sum of `classes` terms


def test_is_float32_under_any_global_policy() -> None:
    import keras

    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build_model()
        assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")


def test_seed_gives_the_weights() -> None:
    first, same, other = (build_model(seed=seed).get_weights()[0] for seed in (3, 3, 4))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"design": "basline"}, "unknown design 'basline'; did you mean 'baseline'"),
        ({"input_shape": (28, 28)}, r"input_shape: expected \(H, W, C\)"),
        ({"input_shape": (28, 28, 2)}, "one or three channels"),
        ({"input_shape": (28, 5, 1)}, "at least 6×6 pixels, found 28×5"),
        ({"classes": 1}, "classes: expected at least two"),
        ({"dropout": 1.0}, "dropout: expected from 0 to below 1"),
    ],
)
def test_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        build_model(**arguments)


MINE = """
import keras

def small(input_shape, classes):
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(classes, "softmax")])

def dropping(input_shape, classes, dropout=0.5):
    model = small(input_shape, classes)
    model.dropped = dropout
    return model

def failing(input_shape, classes):
    raise RuntimeError("no such luck")

def nothing(input_shape, classes):
    return None
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"designs_of_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    return name


def test_a_design_of_the_users_own(mine: str) -> None:
    assert build_model(f"{mine}:small", (8, 9, 3), 4).output_shape == (None, 4)
    assert build_model(f"{mine}:dropping", (8, 9, 3), 4, dropout=0.25).dropped == 0.25
    assert build_model(f"{mine}:dropping", (8, 9, 3), 4).dropped == 0.5


@pytest.mark.parametrize(
    ("function", "dropout", "message"),
    [
        ("smal", None, "unknown design in .*did you mean 'small'"),
        ("small", 0.1, "takes no dropout; drop --dropout"),
        ("failing", None, "failed for input_shape .* and 10 classes: RuntimeError: no such luck"),
        ("nothing", None, "returned a NoneType; expected a keras.Model"),
        ("", None, "expected module:name, such as my_designs:small_cnn"),
    ],
)
def test_a_users_design_that_does_not_work(mine: str, function: str, dropout: float | None, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        build_model(f"{mine}:{function}", dropout=dropout)


def test_a_module_that_is_not_there() -> None:
    with pytest.raises(InvalidInputError, match="module 'not_there' cannot be imported: No module named"):
        build_model("not_there:design")
