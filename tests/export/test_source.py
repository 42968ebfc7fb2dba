import json
import os
import shutil
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from liteport.errors import IntegrityError, InvalidInputError, NotFoundError
from liteport.export.custom_objects import load_custom_objects
from liteport.export.source import Source, load_source
from liteport.train import build_model


def small(*end: keras.layers.Layer, name: str = "small") -> keras.Model:
    start = [keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3), keras.layers.Flatten()]
    return keras.Sequential([*start, *end], name=name)


def answers(source: Source, x: np.ndarray) -> np.ndarray:
    return np.asarray(source.model.call(x)["output"])


def test_a_live_model_comes_as_it_is() -> None:
    model = build_model("baseline")
    source = load_source(model)
    assert (source.name, source.file, source.training, source.sha256()) == ("baseline", None, None, None)
    assert [(spec.name, spec.shape) for spec in source.model.inputs] == [("input", (None, 28, 28, 1))]


def test_a_run_brings_its_record(tiny_run: Path) -> None:
    for path in (tiny_run, str(tiny_run), tiny_run / "model.keras"):
        source = load_source(path)
        assert source.name == "tiny"
        assert source.training is not None
        assert source.training["class_names"] == [str(digit) for digit in range(10)]


@pytest.mark.parametrize("suffix", [".keras", ".h5", ""])
@pytest.mark.filterwarnings("ignore:.*HDF5.*")  # Keras calls .h5 legacy; people still have such files
def test_foreign_files_and_folders_come_without_a_record(suffix: str, tmp_path: Path) -> None:
    model = small(keras.layers.Dense(3, activation="softmax"))
    path = tmp_path / f"theirs{suffix}"
    model.save(path) if suffix else model.export(path, verbose=False)
    source = load_source(path)
    assert (source.name, source.training) == ("theirs", None)
    assert source.sha256() is not None
    x = np.random.default_rng(0).random((2, 8, 8, 1), np.float32)
    # the same graph; TensorFlow may run it in another order outside Keras: some units in the last place
    np.testing.assert_allclose(answers(source, x), model(x), rtol=1e-5, atol=1e-6)


def test_what_is_no_model_is_refused(tmp_path: Path, tiny_data: Path) -> None:
    with pytest.raises(NotFoundError, match="does not exist"):
        load_source(tmp_path / "none.keras")
    with pytest.raises(InvalidInputError, match=r"holds neither model\.keras nor saved_model\.pb"):
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
    (tmp_path / "saved_model.pb").write_bytes(b"no graph")
    with pytest.raises(InvalidInputError, match="cannot be read as a SavedModel"):
        load_source(tmp_path)


def test_a_truncated_model_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    whole = (tiny_run / "model.keras").read_bytes()
    for size in (10, len(whole) // 2, len(whole) - 10):
        (tmp_path / "cut.keras").write_bytes(whole[:size])
        with pytest.raises(InvalidInputError, match="cannot be read as a Keras model: its end is missing or damaged"):
            load_source(tmp_path / "cut.keras")


def with_config(model: Path, config: bytes, path: Path) -> Path:
    """Copies a `.keras` file with another description of its layers."""
    with zipfile.ZipFile(model) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, config if name == "config.json" else old.read(name))
    return path


def test_errors_of_every_reader_are_told_in_one_line(tmp_path: Path) -> None:
    for name in ("whole.keras", "whole.h5"):
        small().save(tmp_path / name)
    deep = with_config(tmp_path / "whole.keras", b"[" * 100_000, tmp_path / "deep.keras")  # RecursionError
    content = (tmp_path / "whole.h5").read_bytes()
    (tmp_path / "tree.h5").write_bytes(content.replace(b"TREE", b"BREE"))  # RuntimeError of h5py
    for path in (deep, tmp_path / "tree.h5"):
        with pytest.raises(InvalidInputError, match="cannot be read as a Keras model: ") as raised:
            load_source(path)
        assert "\n" not in str(raised.value)


def test_the_message_of_a_layer_that_fails_has_no_colours(tmp_path: Path) -> None:
    class Failing(keras.layers.Layer):
        def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
            return x

    keras.Sequential([keras.Input((4,)), Failing()]).save(tmp_path / "failing.keras")

    def fail(self: Failing, x: keras.KerasTensor) -> keras.KerasTensor:
        raise ZeroDivisionError("in the layer")

    Failing.call = fail  # type: ignore[method-assign]
    with pytest.raises(InvalidInputError, match="cannot be read as a Keras model: ") as raised:
        load_source(tmp_path / "failing.keras", {"Failing": Failing})
    assert "\x1b" not in str(raised.value)


def test_a_file_name_that_is_no_unicode_gives_a_name_that_is(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"net\xff.keras")
    small().save(tmp_path / "net.keras")
    (tmp_path / "net.keras").rename(path)
    assert load_source(path).name == "net?"


def test_another_backend_of_keras_is_told(monkeypatch: pytest.MonkeyPatch, tiny_run: Path) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(InvalidInputError, match=r"Keras runs on 'jax'; .* KERAS_BACKEND=tensorflow"):
        load_source(tiny_run)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise SystemExit(7)", "SystemExit: 7"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
        ("def (", "invalid syntax"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told(
    code: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"module_{len(code)}"
    (tmp_path / f"{name}.py").write_text(code)
    with pytest.raises(InvalidInputError, match=f"module '{name}' cannot be imported: {message}"):
        load_custom_objects(f"{name}:Layer")


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


def test_code_in_a_file_is_refused_unless_allowed(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x * 2)])
    model.save(tmp_path / "code.keras")
    with pytest.raises(InvalidInputError, match=r"it holds code \(a Lambda layer\).*--no-safe-mode"):
        load_source(tmp_path / "code.keras")
    source = load_source(tmp_path / "code.keras", safe_mode=False)
    np.testing.assert_array_equal(answers(source, np.ones((1, 4), np.float32)), [[2, 2, 2, 2]])


MODULE = """
import keras

class Halve(keras.layers.Layer):
    def call(self, x):
        return x / 2
"""


def test_custom_layers_come_from_a_module_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "halving_layers.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    halve = load_custom_objects("halving_layers:Halve")["Halve"]
    keras.Sequential([keras.Input((4,)), halve()]).save("halve.keras")
    with pytest.raises(InvalidInputError, match="--custom-objects module:name"):
        load_source("halve.keras")
    for given in ("halving_layers:Halve", ["halving_layers:Halve"], {"Halve": halve}):
        source = load_source("halve.keras", given)  # type: ignore[arg-type]
        np.testing.assert_array_equal(answers(source, np.ones((1, 4), np.float32)), [[0.5] * 4])
    for text, message in (
        ("halving_layers", "expected module:name"),
        ("halving_layers:Half", "unknown custom object in halving_layers 'Half'; did you mean 'Halve'"),
        ("no_such_module:Halve", "'no_such_module' cannot be imported"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            load_source("halve.keras", text)
