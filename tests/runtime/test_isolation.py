"""A model that is tried in a process of its own: whatever happens there is one error here."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from liteport.errors import BackendError
from liteport.runtime import TensorSpec, isolation
from liteport.runtime.backends import choose_engine
from liteport.runtime.isolation import try_in_subprocess
from liteport.runtime.isolation_worker import _made_up

LITERT = choose_engine(".tflite", "ai-edge-litert")
WriteOnnx = Callable[..., Path]
StandIn = Callable[[str], None]


@pytest.fixture(scope="module")
def healthy(tiny_bundle: Path) -> bytes:
    return (tiny_bundle / "tflite-int8.tflite").read_bytes()


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Has other code run in place of the worker: ends that no engine comes to at will."""

    def use(code: str) -> None:
        monkeypatch.setattr(isolation, "_command", lambda *_: [sys.executable, "-I", "-c", code])

    return use


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_a_model_in_order_is_taken(suffix: str, tiny_bundle: Path) -> None:
    content = (tiny_bundle / f"{suffix[1:]}-int8{suffix}").read_bytes()
    try_in_subprocess(content, choose_engine(suffix), 1)


def test_a_crash_of_the_engine_is_an_error(healthy: bytes) -> None:
    """A convolution whose filter is tensor -1: LiteRT takes for it what lies before its tensors, and mostly crashes."""
    model = schema.ModelT.InitFromPackedBuf(healthy, 0)
    operators = model.subgraphs[0].operators
    first = next(op for op in operators if op.builtinOptionsType == schema.BuiltinOptions.Conv2DOptions)
    first.inputs = [int(first.inputs[0]), -1, int(first.inputs[2])]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    crash = r"ai-edge-litert, trying this model .*crashed \(SIGSEGV\b.*hostile"
    with pytest.raises(BackendError, match=rf"^({crash}|ai-edge-litert \S+ refuses this model: .+)$"):
        try_in_subprocess(bytes(builder.Output()), LITERT, 1)


def test_a_model_without_end_is_stopped(write_onnx: WriteOnnx) -> None:
    from onnx import TensorProto, helper

    flag, value = (helper.make_tensor_value_info(name, kind, []) for name, kind in (("c", 9), ("v", 1)))
    outputs = [helper.make_tensor_value_info(name, kind, []) for name, kind in (("c2", 9), ("v2", 1))]
    step = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    nodes = [helper.make_node("Identity", [name], [f"{name}2"]) for name in ("c", "v")]
    body = helper.make_graph(nodes, "body", [step, flag, value], outputs)
    rounds = helper.make_node("Constant", [], ["n"], value=helper.make_tensor("n", TensorProto.INT64, [], [2**62]))
    endless = [rounds, helper.make_node("Loop", ["n", "", "x"], ["y"], body=body)]
    path = write_onnx(endless, [("x", "float32", [])], [("y", "float32", [])])
    with pytest.raises(BackendError, match=r"gave no answer within 1\.5 s and was stopped"):
        try_in_subprocess(path.read_bytes(), choose_engine(".onnx"), 1, timeout_s=1.5)


def test_a_model_that_wants_all_memory_is_refused(write_onnx: WriteOnnx) -> None:
    from onnx import TensorProto, helper

    size = helper.make_tensor("n", TensorProto.INT64, [2], [40_000, 40_000])  # 6.4 GB
    nodes = [helper.make_node("Constant", [], ["n"], value=size), helper.make_node("Expand", ["x", "n"], ["y"])]
    path = write_onnx(nodes, [("x", "float32", [1, 1])], [("y", "float32", [40_000, 40_000])])
    with pytest.raises(BackendError, match=r"^onnxruntime .*(allocate memory|bad_alloc|crashed)"):
        try_in_subprocess(path.read_bytes(), choose_engine(".onnx"), 1)


def test_what_the_engine_refuses_is_told_in_its_words(healthy: bytes) -> None:
    with pytest.raises(BackendError, match=r"^ai-edge-litert [0-9.]+ refuses this model: ") as caught:
        try_in_subprocess(healthy[:1000], LITERT, 1)
    assert "\n" not in str(caught.value)


ENDS = {
    "raise SystemExit(7)": r"failed \(status 7\)",
    "raise ValueError('no such thing')": r"failed \(status 1: ValueError: no such thing\)",
    "print('hello')": "ended without an answer",
    "print('{}')": "ended without an answer",
    "print('[1]')": "ended without an answer",
    "": "ended without an answer",
    "import ctypes; ctypes.string_at(0)": r"crashed \(SIGSEGV\b",
    "import os; os.kill(os.getpid(), 9)": r"crashed \(SIGKILL, as the system does where memory runs out\)",
    "import sys; sys.stderr.write('x' * 3_000_000); sys.exit(1)": r"failed \(status 1: x{300}\)",
    "import sys; sys.stdin.close(); sys.exit(2)": r"failed \(status 2\)",
}


@pytest.mark.parametrize("code", ENDS)
@pytest.mark.skipif(sys.platform == "win32", reason="ends as processes do where there are signals")
def test_every_end_is_one_error(code: str, stand_in: StandIn) -> None:
    stand_in(code)
    with pytest.raises(BackendError, match=ENDS[code]) as caught:
        try_in_subprocess(b"x" * 1_000_000, LITERT, 1)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_crash_on_windows_is_named_by_its_digits() -> None:
    assert isolation._ending(0xC0000005, "").startswith("crashed (status 0xC0000005); ")  # an access violation
    assert isolation._ending(-99, "last words").startswith("crashed (signal 99: last words); ")


def test_a_frozen_program_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(BackendError, match="this program is frozen and has no Python to start"):
        try_in_subprocess(b"", LITERT, 1)


def test_an_interpreter_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(BackendError, match="cannot be started to try a model: No such file"):
        try_in_subprocess(b"", LITERT, 1)


@pytest.fixture
def hostile_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with modules named as those that the process imports, on all paths that the environment can name."""
    for name in ("numpy", "json", "liteport", "ai_edge_litert", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("import os; os._exit(66)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    return tmp_path


def test_modules_beside_a_model_are_not_imported(hostile_folder: Path, healthy: bytes) -> None:
    try_in_subprocess(healthy, LITERT, 1)


def test_input_is_measured_before_it_is_made() -> None:
    huge = TensorSpec("x", "float32", (None, 2**14, 2**15))  # 2 GiB
    with pytest.raises(ValueError, match="the model's inputs take 2147483648 bytes, expected at most"):
        next(_made_up([huge]))


def test_input_is_zeros_and_then_what_each_type_can_be() -> None:
    specs = [
        TensorSpec("image", "int8", (None, 8, 8), 0.5, 3),
        TensorSpec("real", "float32", (None, 64)),
        TensorSpec("index", "int64", (64,)),
        TensorSpec("flag", "bool", (64,)),
    ]
    zeros, random = _made_up(specs)
    assert [array.shape for array in random] == [(1, 8, 8), (1, 64), (64,), (64,)]
    assert [array.dtype for array in random] == ["int8", "float32", "int64", "bool"]
    assert not any(np.any(array) for array in zeros)
    assert (random[0].min() < -64, random[0].max() > 64) == (True, True)  # the whole range; seeded, so always so
    assert set(random[2].tolist()) == {0, 1}  # indices that any table has
