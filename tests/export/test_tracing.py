from pathlib import Path

import keras
import numpy as np
import pytest

from liteport.errors import InvalidInputError
from liteport.export.callable_model import of_keras, of_saved_model
from liteport.export.tracing import Traced, trace

layers = keras.layers


def small(*end: keras.layers.Layer, name: str = "small", batch: int | None = None) -> keras.Model:
    start = [keras.Input((8, 8, 1), batch_size=batch), layers.Conv2D(4, 3), layers.Flatten()]
    return keras.Sequential([*start, *end], name=name)


def both() -> keras.Model:
    image, side = keras.Input((8, 8, 1), name="image"), keras.Input((5,), name="side")
    joined = layers.Concatenate()([layers.Flatten()(image), side])
    kind, size = layers.Dense(3, activation="softmax", name="kind")(joined), layers.Dense(1, name="size")(joined)
    return keras.Model([image, side], [kind, size], name="both")


def feeds(traced: Traced, count: int = 5) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {spec.name: generator.random((count, *spec.shape[1:])).astype(spec.dtype) for spec in traced.inputs}


def frozen(traced: Traced, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in traced.function(*arrays.values()).items()}


@pytest.mark.parametrize(
    ("end", "activation"),
    [
        ([layers.Dense(3, activation="softmax")], "softmax"),
        ([layers.Dense(3), layers.Softmax()], "softmax"),
        ([layers.Dense(1, activation="sigmoid")], "sigmoid"),
        ([layers.Dense(3)], "linear"),
        ([layers.Dense(3, use_bias=False)], "linear"),
        ([layers.Dense(3, activation="relu")], "other"),
    ],
)
def test_tracing_finds_shapes_and_the_last_activation(
    end: list[keras.layers.Layer], activation: str, tmp_path: Path
) -> None:
    model = small(*end)
    traced = trace(of_keras(model), tmp_path)
    assert [spec.shape for spec in traced.inputs] == [(None, 8, 8, 1)]
    assert [spec.shape for spec in traced.outputs] == [(None, model.output_shape[-1])]
    assert traced.activations == (activation,)
    arrays = feeds(traced)
    expected = np.asarray(model(arrays["input"]))
    # the frozen graph may add in another order: some units in the last place
    np.testing.assert_allclose(frozen(traced, arrays)["output"], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(traced.answers(arrays)["output"], expected, rtol=1e-5, atol=1e-6)


def test_several_inputs_and_outputs_keep_their_names(tmp_path: Path) -> None:
    model = both()
    traced = trace(of_keras(model), tmp_path)
    assert [spec.name for spec in traced.inputs] == ["image", "side"]
    assert [spec.name for spec in traced.outputs] == ["kind", "size"]
    assert traced.activations == ("softmax", "linear")
    arrays = feeds(traced)
    for name, expected in zip(("kind", "size"), model(list(arrays.values())), strict=True):
        np.testing.assert_allclose(traced.answers(arrays)[name], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(frozen(traced, arrays)[name], expected, rtol=1e-5, atol=1e-6)


def test_a_saved_model_is_traced_by_its_signature(tmp_path: Path) -> None:
    model = both()
    model.export(tmp_path / "saved", verbose=False)
    (tmp_path / "out").mkdir()
    traced = trace(of_saved_model(tmp_path / "saved"), tmp_path / "out")
    assert [(spec.name, spec.shape) for spec in traced.inputs] == [("image", (None, 8, 8, 1)), ("side", (None, 5))]
    arrays = feeds(traced)
    expected = dict(zip(("kind", "size"), model(list(arrays.values())), strict=True))
    # Keras calls a SavedModel's outputs output_0 and output_1
    for name, key in zip(("output_0", "output_1"), expected, strict=True):
        np.testing.assert_allclose(traced.answers(arrays)[name], expected[key], rtol=1e-5, atol=1e-6)


class Dictionaries(keras.Model):
    """Subclassed; takes a dictionary and gives one."""

    def __init__(self) -> None:
        super().__init__(name="dictionaries")
        self.left, self.right = layers.Dense(2), layers.Dense(3)

    def call(self, inputs: dict[str, keras.KerasTensor]) -> dict[str, keras.KerasTensor]:
        return {"z": self.left(inputs["left"]), "a": self.right(inputs["right"])}


def test_a_subclassed_model_of_dictionaries(tmp_path: Path) -> None:
    model = Dictionaries()
    arrays = {"left": np.ones((1, 4), np.float32), "right": np.ones((1, 6), np.float32)}
    expected = model(arrays)
    traced = trace(of_keras(model), tmp_path)
    assert {spec.name: spec.shape for spec in traced.inputs} == {"left": (None, 4), "right": (None, 6)}
    found = traced.answers(arrays)
    for name in ("a", "z"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6)


def test_token_ids_and_recurrent_layers(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    steps = [layers.Embedding(9, 4), layers.Bidirectional(layers.LSTM(3, return_sequences=True)), layers.GRU(2)]
    model = keras.Sequential([keras.Input((6,), dtype="int32"), *steps], name="words")
    traced = trace(of_keras(model), tmp_path)
    assert traced.inputs[0].dtype == "int32"
    tokens = np.arange(12, dtype=np.int32).reshape(2, 6) % 9
    np.testing.assert_allclose(traced.answers({"input": tokens})["output"], model(tokens), rtol=1e-5, atol=1e-6)
    # what neither converter takes is gone, and the live model is as it was
    kinds = {node.op for node in traced.function.get_concrete_function().graph.as_graph_def().node}
    assert not any("TensorList" in kind or kind == "While" for kind in kinds)
    assert not model.layers[-1].unroll


def test_mixed_precision_is_computed_in_float32_and_the_live_model_left_alone(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    policy = "mixed_bfloat16"
    model = keras.Sequential(
        [keras.Input((8,)), layers.Dense(16, activation="relu", dtype=policy), layers.Dense(3, dtype=policy)],
        name="mixed",
    )
    exact = keras.Sequential([keras.Input((8,)), layers.Dense(16, activation="relu"), layers.Dense(3)])
    exact.set_weights(model.get_weights())
    traced = trace(of_keras(model), tmp_path)
    arrays = feeds(traced)
    assert traced.outputs[0].dtype == "float32"
    np.testing.assert_allclose(traced.answers(arrays)["output"], exact(arrays["input"]), rtol=1e-5, atol=1e-6)
    assert [layer.compute_dtype for layer in model.layers] == ["bfloat16", "bfloat16"]


def test_a_fixed_batch_stays_and_a_free_one_can_be_fixed(tmp_path: Path) -> None:
    for number, (model, batch) in enumerate(((small(layers.Dense(2), batch=4), None), (small(layers.Dense(2)), 4))):
        folder = tmp_path / str(number)
        folder.mkdir()
        traced = trace(of_keras(model), folder, batch)
        assert traced.inputs[0].shape == (4, 8, 8, 1)
        assert traced.outputs[0].shape == (4, 2)
        arrays = feeds(traced, count=6)  # one and a half batches
        np.testing.assert_allclose(
            traced.answers(arrays)["output"],
            np.concatenate([model(arrays["input"][:4]), model(arrays["input"][2:])[2:]]),
            rtol=1e-5,
            atol=1e-6,
        )
    with pytest.raises(InvalidInputError, match="batch is 2; expected at least 1, and 'input' has 4"):
        trace(of_keras(small(batch=4)), tmp_path, 2)


def test_what_has_no_fixed_size_is_refused() -> None:
    free = keras.Sequential([keras.Input((None, None, 3)), layers.GlobalMaxPooling2D()], name="free")
    with pytest.raises(InvalidInputError, match="free takes 'input' of shape"):
        of_keras(free)
    with pytest.raises(InvalidInputError, match="has no input shape yet"):
        of_keras(keras.Sequential([layers.Dense(1)], name="unbuilt"))
    words = keras.Sequential([keras.Input((1,), dtype="string"), layers.StringLookup(vocabulary=["a"])], name="words")
    with pytest.raises(InvalidInputError, match="words takes 'input' of dtype string"):
        of_keras(words)


@pytest.mark.parametrize("policy", ["float16", "float64"])
def test_other_precisions_than_float32_are_refused(policy: str) -> None:
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1, dtype=policy, name="odd")], name="other")
    with pytest.raises(InvalidInputError, match=rf"other computes in {policy} \(layer 'odd'\); expected float32"):
        of_keras(model)


def test_the_reference_has_its_loops_as_they_are(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    backwards = layers.GRU(3, go_backwards=True, return_sequences=True, zero_output_for_mask=True)
    model = keras.Sequential(
        [keras.Input((4,), dtype="int32"), layers.Embedding(9, 4, mask_zero=True), backwards], name="words"
    )
    tokens = np.array([[3, 5, 0, 0], [1, 2, 3, 0]], np.int32)
    traced = trace(of_keras(model), tmp_path)
    # Keras unrolls this layer to something else, which verification must see; the graph is the same, hence exact
    np.testing.assert_allclose(traced.answers({"input": tokens})["output"], model(tokens), rtol=1e-6)
