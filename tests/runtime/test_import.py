import subprocess
import sys


def test_importing_the_runtime_brings_in_nothing_heavy() -> None:
    """In a process of its own: this one has everything loaded."""
    code = "import sys, liteport.runtime; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    call = [sys.executable, "-c", code]
    loaded = set(subprocess.run(call, capture_output=True, text=True, check=True).stdout.split())
    assert {"liteport", "numpy"} <= loaded
    heavy = {"tensorflow", "keras", "onnx", "onnxruntime", "ai_edge_litert", "PIL", "typer", "rich", "matplotlib"}
    assert not loaded & heavy
