import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from liteport.export import tflite_runtime
from liteport.export.tflite_runtime import OldRuntime, Unavailable, find_environment, try_in
from liteport.runtime.backends import choose_engine
from liteport.terminal import muted

layers = keras.layers


@pytest.fixture(scope="session")
def runtime() -> OldRuntime:
    found = find_environment()
    if isinstance(found, Unavailable):
        pytest.skip(found.reason)
    return found


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """A small model in float, with int8 weights, and in int8."""
    import tensorflow as tf

    keras.utils.set_random_seed(4)
    stack = [layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(40, activation="relu")]
    model = keras.Sequential([keras.Input((12, 12, 1), name="image"), *stack, layers.Dense(3)])
    images = np.random.default_rng(0).random((20, 1, 12, 12, 1), np.float32)

    def convert(**settings: Any) -> bytes:
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        for name, value in settings.items():
            setattr(converter, name, value)
        with muted():
            content: bytes = converter.convert()
        return content

    quantized = {"optimizations": [tf.lite.Optimize.DEFAULT]}
    ranges = {"representative_dataset": lambda: ([one] for one in images)}
    edges = {"inference_input_type": tf.int8, "inference_output_type": tf.int8}
    return {"float32": convert(), "dynamic": convert(**quantized), "int8": convert(**quantized, **ranges, **edges)}


Arrays = dict[str, NDArray[Any]]


def litert(content: bytes) -> tuple[Arrays, Arrays]:
    """Inputs for a file, five images, and what LiteRT makes of them."""
    backend = choose_engine(".tflite").load(content, threads=1)
    pixels = np.random.default_rng(1).integers(-128, 128, (5, 12, 12, 1), np.int8)
    array = pixels if backend.inputs[0].dtype == "int8" else pixels.astype(np.float32) / 128
    (outputs,) = backend.run([array])
    return {backend.inputs[0].name: array}, {backend.outputs[0].name: outputs}


@pytest.mark.parametrize(
    ("scheme", "most"),
    [
        ("float32", 1e-5),  # values around 1, in single precision, added up in another order
        ("int8", 3),  # each of the three layers with weights may round the other way, by one step
    ],
)
def test_runs_a_file_as_litert_does(runtime: OldRuntime, files: dict[str, bytes], scheme: str, most: float) -> None:
    trial = try_in(runtime, files[scheme], *litert(files[scheme]))
    assert trial.ran, trial.reason
    assert (trial.name, trial.version, trial.reason) == ("tflite-runtime", runtime.version, None)
    assert trial.max_difference is not None
    assert trial.max_difference <= most


def test_measures_the_difference(runtime: OldRuntime, files: dict[str, bytes]) -> None:
    feeds, expected = litert(files["float32"])
    trial = try_in(runtime, files["float32"], feeds, {name: array + 1 for name, array in expected.items()})
    assert trial.max_difference == pytest.approx(1, abs=1e-5)


def test_tells_which_op_is_too_new(runtime: OldRuntime, files: dict[str, bytes]) -> None:
    trial = try_in(runtime, files["dynamic"], *litert(files["dynamic"]))
    assert not trial.ran
    assert trial.max_difference is None
    assert trial.reason == "it has no FULLY_CONNECTED version 12"


def test_a_refusal_is_one_line(runtime: OldRuntime, files: dict[str, bytes]) -> None:
    feeds, expected = litert(files["float32"])
    damaged = try_in(runtime, files["float32"][:1000], feeds, expected)
    misnamed = try_in(runtime, files["float32"], {"other": next(iter(feeds.values()))}, expected)
    for trial in (damaged, misnamed):
        assert not trial.ran
        assert trial.reason
        assert "\n" not in trial.reason
    assert "expected ['other']" in str(misnamed.reason)


def test_other_outputs_are_no_run(runtime: OldRuntime, files: dict[str, bytes]) -> None:
    feeds, expected = litert(files["float32"])
    trial = try_in(runtime, files["float32"], feeds, {name: array[:, :2] for name, array in expected.items()})
    assert not trial.ran
    assert "expected {" in str(trial.reason)


def test_a_crash_is_told(tmp_path: Path, files: dict[str, bytes]) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nkill -SEGV $$\n")
    python.chmod(0o755)
    trial = try_in(OldRuntime(python, "2.14.0"), files["float32"], *litert(files["float32"]))
    assert not trial.ran
    assert trial.reason == "it crashed (SIGSEGV)"


def test_the_variable_names_a_python(runtime: OldRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITEPORT_TFLITE_RUNTIME", str(runtime.python))
    assert find_environment(create=False) == runtime


@pytest.mark.parametrize(("python", "reason"), [(sys.executable, "No module named"), ("/none", "cannot be started")])
def test_a_python_without_it_is_no_use(monkeypatch: pytest.MonkeyPatch, python: str, reason: str) -> None:
    monkeypatch.setenv("LITEPORT_TFLITE_RUNTIME", python)
    found = find_environment()
    assert isinstance(found, Unavailable)
    assert reason in found.reason
    assert found.reason.startswith("LITEPORT_TFLITE_RUNTIME")


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("LITEPORT_TFLITE_RUNTIME", raising=False)
    monkeypatch.setenv("LITEPORT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_makes_nothing_unless_asked(empty_cache: Path) -> None:
    assert isinstance(find_environment(create=False), Unavailable)
    assert not empty_cache.exists()


def test_a_failed_installation_leaves_nothing(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python3.11"
    python.write_text("#!/bin/sh\necho half > $4/half\necho some >&2\necho no ensurepip >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(tflite_runtime, "_suitable_python", lambda: str(python))
    found = find_environment()
    assert isinstance(found, Unavailable)
    assert "making a virtual environment failed" in found.reason
    assert found.reason.endswith("no ensurepip")
    assert list(empty_cache.iterdir()) == []


def test_says_that_no_python_is_old_enough(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 13, 0))
    monkeypatch.setenv("PATH", str(empty_cache))
    found = find_environment()
    assert isinstance(found, Unavailable)
    assert "needs Python 3.9 to 3.11" in found.reason


def test_says_that_the_cache_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LITEPORT_TFLITE_RUNTIME", raising=False)
    monkeypatch.setattr(tflite_runtime, "_suitable_python", lambda: sys.executable)
    (tmp_path / "file").touch()
    monkeypatch.setenv("LITEPORT_CACHE", str(tmp_path / "file"))
    found = find_environment()
    assert isinstance(found, Unavailable)
    assert "cannot be written: File exists" in found.reason


def test_the_faster_of_two_processes_wins(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / folder).touch()
    for folder in ("first", "second"):
        tflite_runtime._settle(tmp_path / folder, tmp_path / "environment")
    assert [path.name for path in (tmp_path / "environment").iterdir()] == ["first"]
