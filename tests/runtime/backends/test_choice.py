from pathlib import Path

import pytest

from liteport.errors import InvalidInputError, MissingDependencyError
from liteport.runtime import backends, load
from liteport.runtime.backends import ENGINES, Engine, choose_engine, installed


def without(*packages: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes these engines' packages seem not to be installed."""
    monkeypatch.setattr(backends, "installed", lambda engine: engine.package not in packages and installed(engine))


def test_each_kind_of_file_has_its_engine() -> None:
    assert choose_engine(".tflite").package == "ai-edge-litert"
    assert choose_engine(".onnx", "onnxruntime").package == "onnxruntime"


@pytest.mark.parametrize("suffix", [".pb", "", ".TFLITE"])
def test_another_kind_of_file_has_none(suffix: str) -> None:
    with pytest.raises(InvalidInputError, match=r"no engine runs .* files; expected a \.tflite, an \.onnx"):
        choose_engine(suffix)


def test_an_engine_is_named_by_its_package() -> None:
    with pytest.raises(InvalidInputError, match=r"'onnx-runtime'; did you mean 'onnxruntime'\?"):
        choose_engine(".onnx", "onnx-runtime")
    with pytest.raises(InvalidInputError, match=r"backend for \.tflite files 'onnxruntime'.*ai-edge-litert, tflite-ru"):
        choose_engine(".tflite", "onnxruntime")


def test_a_missing_engine_is_told_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    without("ai-edge-litert", "tflite-runtime", "onnxruntime", monkeypatch=monkeypatch)
    with pytest.raises(MissingDependencyError, match=r"run: pip install ai-edge-litert$"):
        choose_engine(".tflite")
    with pytest.raises(MissingDependencyError, match=r"^tflite-runtime is needed .* run: pip install tflite-runtime$"):
        choose_engine(".tflite", "tflite-runtime")
    with pytest.raises(MissingDependencyError, match=r'run: pip install "liteport\[onnx\]"$'):
        choose_engine(".onnx")
    without("ncnn", monkeypatch=monkeypatch)
    with pytest.raises(MissingDependencyError, match=r"^ncnn is needed for \.param files; run: pip install ncnn$"):
        choose_engine(".param")
    without("MNN", monkeypatch=monkeypatch)
    with pytest.raises(
        MissingDependencyError, match=r'^MNN is needed for \.mnn files; run: pip install "liteport\[mnn\]"$'
    ):
        choose_engine(".mnn")


def test_an_engine_is_found_without_importing_it() -> None:
    assert not installed(Engine("x", "no_such_package.part", ".x", ENGINES[0].loader, "pip install x"))


def test_a_bundle_loads_its_first_variant_that_can_run(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without("ai-edge-litert", "tflite-runtime", "ncnn", monkeypatch=monkeypatch)
    with load(tiny_bundle) as model:
        assert model.variant == "onnx-float32"
    with pytest.raises(MissingDependencyError, match="pip install ai-edge-litert"):
        load(tiny_bundle, "tflite-int8")  # a variant that was asked for is never replaced by another
    without("ai-edge-litert", "tflite-runtime", "onnxruntime", monkeypatch=monkeypatch)
    with load(tiny_bundle) as model:
        assert model.variant == "ncnn-float32"
    without("ai-edge-litert", "tflite-runtime", "onnxruntime", "ncnn", monkeypatch=monkeypatch)
    with load(tiny_bundle) as model:
        assert model.variant == "mnn-float32"
    without("ai-edge-litert", "tflite-runtime", "onnxruntime", "ncnn", "MNN", monkeypatch=monkeypatch)
    with pytest.raises(MissingDependencyError, match="pip install ai-edge-litert"):
        load(tiny_bundle)


def test_a_backend_asked_for_chooses_among_the_variants(tiny_bundle: Path) -> None:
    with load(tiny_bundle, backend="onnxruntime") as model:
        assert (model.variant, model.backend.name) == ("onnx-float32", "onnxruntime")
    with pytest.raises(InvalidInputError, match=r"unknown backend for \.tflite files 'onnxruntime'"):
        load(tiny_bundle, "tflite-int8", backend="onnxruntime")
    with pytest.raises(InvalidInputError, match="unknown backend"):
        load(tiny_bundle, backend="tensorrt")
