import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from liteport.errors import IntegrityError, InvalidInputError, NotFoundError
from liteport.export.source import load_source, trace
from liteport.train import build_model


def small(*end: keras.layers.Layer, name: str = "small") -> keras.Model:
    start = [keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3), keras.layers.Flatten()]
    return keras.Sequential([*start, *end], name=name)


def test_a_live_model_comes_as_it_is() -> None:
    model = build_model("baseline")
    source = load_source(model)
    assert source.model is model
    assert (source.name, source.file, source.training) == ("baseline", None, None)


def test_a_run_brings_its_record(tiny_run: Path) -> None:
    for path in (tiny_run, str(tiny_run), tiny_run / "model.keras"):
        source = load_source(path)
        assert source.name == "tiny"
        assert source.training is not None
        assert source.training["class_names"] == [str(digit) for digit in range(10)]


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore:.*HDF5.*")  # Keras calls .h5 legacy; people still have such files
def test_foreign_files_come_without_a_record(suffix: str, tmp_path: Path) -> None:
    model = small(keras.layers.Dense(3, activation="softmax"))
    model.save(tmp_path / f"theirs{suffix}")
    source = load_source(tmp_path / f"theirs{suffix}")
    assert (source.name, source.training) == ("theirs", None)
    x = np.random.default_rng(0).random((2, 8, 8, 1), np.float32)
    np.testing.assert_array_equal(source.model(x), model(x))


def test_what_is_no_model_is_refused(tmp_path: Path, tiny_data: Path) -> None:
    with pytest.raises(NotFoundError, match="does not exist"):
        load_source(tmp_path / "none.keras")
    with pytest.raises(InvalidInputError, match=r"is no run: it holds no model\.keras"):
        load_source(tmp_path)
    with pytest.raises(InvalidInputError, match=r"expected a \.keras or \.h5 file"):
        load_source(tiny_data)
    for name, content in (("text.keras", b"no zip"), ("text.h5", b"no hdf5"), ("empty.keras", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InvalidInputError, match=r"its content is not that of a \.(keras|h5) file"):
            load_source(tmp_path / name)
    shutil.copy(tiny_data, tmp_path / "zip.keras")
    with pytest.raises(InvalidInputError, match="cannot be read as a Keras model"):
        load_source(tmp_path / "zip.keras")
    with pytest.raises(InvalidInputError, match="model is a int"):
        load_source(3)


def test_a_truncated_model_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    whole = (tiny_run / "model.keras").read_bytes()
    for size in (len(whole) // 2, len(whole) - 10):
        (tmp_path / "cut.keras").write_bytes(whole[:size])
        with pytest.raises(InvalidInputError, match="cannot be read as a Keras model"):
            load_source(tmp_path / "cut.keras")


def test_a_record_of_another_model_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    small(keras.layers.Dense(3, activation="softmax")).save(run / "model.keras")
    with pytest.raises(IntegrityError, match=r"training.json is about another model file than model.keras"):
        load_source(run)
    (run / "training.json").write_text("{")
    with pytest.raises(IntegrityError, match=r"training.json is damaged"):
        load_source(run)
    (run / "training.json").write_text(json.dumps({"design": "x"}))
    with pytest.raises(IntegrityError, match=r"training.json is damaged \(KeyError\('dataset'\)\)"):
        load_source(run)


@pytest.mark.parametrize(
    ("end", "activation"),
    [
        ([keras.layers.Dense(3, activation="softmax")], "softmax"),
        ([keras.layers.Dense(3), keras.layers.Softmax()], "softmax"),
        ([keras.layers.Dense(1, activation="sigmoid")], "sigmoid"),
        ([keras.layers.Dense(3)], "linear"),
        ([keras.layers.Dense(3, use_bias=False)], "linear"),
        ([keras.layers.Dense(3, activation="relu")], "other"),
    ],
)
def test_tracing_finds_shapes_and_the_last_activation(
    end: list[keras.layers.Layer], activation: str, tmp_path: Path
) -> None:
    model = small(*end)
    traced = trace(model, tmp_path)
    assert traced.input_shape == (None, 8, 8, 1)
    assert traced.output_shape == (None, model.output_shape[-1])
    assert traced.activation == activation
    x = np.random.default_rng(0).random((5, 8, 8, 1), np.float32)
    # the frozen graph may add in another order: some units in the last place
    np.testing.assert_allclose(traced.function(x)["output"], model(x), rtol=1e-5, atol=1e-6)


def test_models_of_other_shapes_are_refused(tmp_path: Path) -> None:
    two = [keras.Input((4,)), keras.Input((4,))]
    both = keras.Model(two, keras.layers.Add()(two), name="both")
    with pytest.raises(InvalidInputError, match="both does not take exactly one input"):
        trace(both, tmp_path)
    one = keras.Input((4,))
    with pytest.raises(InvalidInputError, match="split has 2 outputs; expected one"):
        trace(keras.Model(one, [keras.layers.ReLU()(one), keras.layers.Softmax()(one)], name="split"), tmp_path)
    free = keras.Sequential([keras.Input((None, None, 3)), keras.layers.GlobalMaxPooling2D()], name="free")
    with pytest.raises(InvalidInputError, match="free takes inputs of shape"):
        trace(free, tmp_path)
    with pytest.raises(InvalidInputError, match="has no input shape yet"):
        trace(keras.Sequential([keras.layers.Dense(1)], name="unbuilt"), tmp_path)
