import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import numpy as np

from liteport.benchmarks.process import Worker
from liteport.benchmarks.worker import serve
from liteport.runtime import load
from liteport.train import load_dataset

HEAVY = {
    "numpy.random",  # with OpenSSL by way of the standard library's random
    "tensorflow",
    "keras",
    "matplotlib",
    "scipy",
    "psutil",
    "rich",
    "typer",
    "PIL",
    "onnxruntime",
    "ai_edge_litert",
}
MB = 1_000_000


def test_imports_nothing_that_would_count_as_memory() -> None:
    program = (
        "import sys, liteport.benchmarks.worker; print(*{name.split('.')[0] for name in sys.modules}, *sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "numpy" in loaded
    assert not HEAVY & set(loaded)


def test_peak_memory_sees_what_was_freed_again() -> None:
    program = (
        "import numpy as np; from liteport.benchmarks.worker import peak_resident_bytes as peak\n"
        "before = peak(); block = np.ones(100_000_000, np.uint8); del block; print(peak() - before)"
    )
    grown = int(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)
    # The 100 MB that were touched; the interpreter may have reused or needed a few MB besides.
    assert 90 * MB < grown < 130 * MB


def test_peak_memory_is_not_the_parents(tmp_path: Path) -> None:
    block = np.ones(400 * MB, np.uint8)  # getrusage would report these for a child, too
    with Worker(tmp_path, timeout=60) as worker:
        peak = worker.ask("memory")["peak_bytes"]
    assert block.all()
    assert 10 * MB < peak < 200 * MB


def test_a_refusal_is_an_answer(tmp_path: Path) -> None:
    images = str(tmp_path / "few.npy")
    arguments = {"path": str(tmp_path / "none"), "variant": "x", "threads": 1, "inputs": images, "batch": 1}
    np.save(tmp_path / "few.npy", np.zeros((1, 4, 4, 1), np.uint8))
    answers = StringIO()
    serve(StringIO(json.dumps({"command": "load", "arguments": arguments}) + "\n"), answers)
    assert "none does not exist" in json.loads(answers.getvalue())["error"]


def test_runs_a_real_variant(tiny_bundle: Path, tiny_data: Path, tmp_path: Path) -> None:
    pixels = load_dataset(tiny_data).test.images[:50]
    path = str(tmp_path / "images.npy")
    np.save(path, pixels)
    with Worker(tmp_path, timeout=60) as worker:
        bare = worker.ask("memory")["peak_bytes"]
        variant = {"path": str(tiny_bundle), "variant": "tflite-int8", "threads": 1, "inputs": path, "batch": 1}
        loaded = worker.ask("load", variant)
        assert loaded["engine"][0] == "ai-edge-litert"
        assert loaded["ns"] > 0
        assert len(worker.ask("latency", {"runs": 7, "settle": True})["ns"]) == 7
        assert worker.ask("warm_up")["runs"] >= 30  # three chunks of ten are needed to call it steady
        assert worker.ask("memory")["peak_bytes"] > bare
        stages = worker.ask("stages", {"runs": 20})
        assert set(stages) == {"preprocess", "invoke", "postprocess"}
        assert all(ns > 0 for ns in stages.values())
        # A batch larger than the split goes through it again; a budget that one call exceeds ends it after one.
        batches = {"images": path, "batch": 64, "workers": 2}
        assert len(worker.ask("throughput", {**batches, "calls": 2, "budget_ns": 10**11})["ns"]) == 2
        assert len(worker.ask("throughput", {**batches, "calls": 2, "budget_ns": 1})["ns"]) == 1
        worker.ask("predict", {"images": path, "start": 8, "stop": 50, "batch": 16, "out": "p.npy"})
        predictions = np.load(worker.folder / "p.npy")
    with load(tiny_bundle, variant="tflite-int8") as model:
        # The same integer kernels on the same pixels: batching changes nothing.
        np.testing.assert_array_equal(predictions, model.predict(pixels[8:]))
