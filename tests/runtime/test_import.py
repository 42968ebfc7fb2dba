import subprocess
import sys
from pathlib import Path


def test_importing_the_runtime_brings_in_nothing_heavy() -> None:
    """In a process of its own: this one has everything loaded."""
    code = "import sys, liteport.runtime; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    call = [sys.executable, "-c", code]
    loaded = set(subprocess.run(call, capture_output=True, text=True, check=True).stdout.split())
    assert {"liteport", "numpy"} <= loaded
    heavy = {"tensorflow", "keras", "onnx", "onnxruntime", "ai_edge_litert", "PIL", "typer", "rich", "matplotlib"}
    assert not loaded & heavy


def test_a_bundle_is_loaded_without_the_readers_of_lone_files(tiny_bundle: Path) -> None:
    """They take a third of a start, and memory."""
    code = "import sys; from liteport.runtime import load; load(sys.argv[1], 'tflite-int8'); print(*sys.modules)"
    call = [sys.executable, "-c", code, str(tiny_bundle)]
    loaded = set(subprocess.run(call, capture_output=True, text=True, check=True).stdout.split())
    assert "liteport.runtime.bundle" in loaded
    assert not loaded & {"tempfile", "liteport.runtime.contents", "liteport.runtime.isolation"}
