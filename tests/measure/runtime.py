"""What the runtime costs beside a bare engine, measured side by side: `make measure BUNDLE=demo/bundle`.

Shares of a shared machine come and go, so everything is a ratio of medians of pairs: what is compared takes turns in
random order within one process, or process by process. Nothing here is a test, and no test asserts a time.
"""

import json
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.runtime import load
from liteport.terminal import print_table
from liteport.train import load_dataset

Images = NDArray[np.uint8]

_ROUNDS, _CALLS = 1500, 4  # calls in a row, after one that is not counted: it finds the caches as another left them

_BARE = """
import sys, numpy as np
from ai_edge_litert.interpreter import Interpreter
image = np.load(sys.argv[2])
interpreter = Interpreter(model_path=sys.argv[1] + "/tflite-int8.tflite", num_threads=1)
interpreter.allocate_tensors()
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], (image ^ 128).view(np.int8)[None])
interpreter.invoke()
interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
"""
_PROGRAMS = {
    "numpy and the bare interpreter": _BARE,
    "liteport": """
import sys, numpy as np
from liteport.runtime import load
load(sys.argv[1], "tflite-int8").predict(np.load(sys.argv[2]))
""",
    "TensorFlow's interpreter": _BARE.replace(
        "from ai_edge_litert.interpreter import Interpreter",
        "import tensorflow as tf\nInterpreter = tf.lite.Interpreter",
    ),
}
# Not ru_maxrss, which begins with what the process that started this one had.
_PEAK = """
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def calls(bundle: Path, variant: str, images: Images) -> None:
    """`predict` of one raw image against the engine alone, on input that is prepared already."""
    others = (
        _bare_onnx(bundle, variant, images) if variant.startswith("onnx") else _bare_tflite(bundle, variant, images)
    )
    model = load(bundle, variant)
    ways = others | {"predict": lambda index: model.predict(images[index])}
    names = list(ways)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(_ROUNDS):
        index = round_ % len(images)
        for name in random.sample(names, len(names)):
            ways[name](index)
            start = time.perf_counter_ns()
            for _ in range(_CALLS):
                ways[name](index)
            taken[name].append((time.perf_counter_ns() - start) / _CALLS / 1000)
    others = tuple(names[:-1])
    rows = [[name, f"{statistics.median(taken[name]):.1f}", *_ratios(taken, name, others)] for name in names]
    print_table(f"one image, {variant}", ("way", "p50 (us)", *(f"to {name}" for name in others)), rows)


def _ratios(taken: dict[str, list[float]], name: str, others: tuple[str, ...]) -> list[str]:
    pairs = ([a / b for a, b in zip(taken[name], taken[other], strict=True)] for other in others)
    return [f"{statistics.median(ratios):.3f}" for ratios in pairs]


def _bare_tflite(bundle: Path, variant: str, images: Images) -> dict[str, Callable[[int], Any]]:
    from ai_edge_litert.interpreter import Interpreter

    content = (bundle / f"{variant}.tflite").read_bytes()
    plain, signed = (Interpreter(model_content=content, num_threads=1) for _ in range(2))
    plain.allocate_tensors()
    taken, given = plain.get_input_details()[0], plain.get_output_details()[0]["index"]
    ready = [
        (image ^ 128).view(np.int8)[None] if taken["dtype"] == np.int8 else (image / 255).astype(np.float32)[None]
        for image in images
    ]
    runner = signed.get_signature_runner()

    def bare(index: int) -> NDArray[Any]:
        plain.set_tensor(taken["index"], ready[index])
        plain.invoke()
        return plain.get_tensor(given)

    return {"bare loop": bare, "SignatureRunner": lambda index: runner(input=ready[index])}


def _bare_onnx(bundle: Path, variant: str, images: Images) -> dict[str, Callable[[int], Any]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(bundle / f"{variant}.onnx", options, providers=["CPUExecutionProvider"])
    ready = [(image / 255).astype(np.float32)[None] for image in images]
    return {"session.run": lambda index: session.run(None, {"input": ready[index]})}


def workers(bundle: Path, variant: str, images: Images) -> None:
    """Many images by one worker and by two, in turn."""
    model = load(bundle, variant)
    taken: dict[str, list[float]] = {"1": [], "2": []}
    for _ in range(12):
        for count in random.sample(list(taken), 2):
            start = time.perf_counter()
            model.predict(images, workers=int(count))
            taken[count].append(len(images) / (time.perf_counter() - start))
    rows = [[count, f"{statistics.median(taken[count]):.0f}", *_ratios(taken, count, ("1",))] for count in taken]
    print_table(f"{len(images)} images, {variant}", ("workers", "images/s", "ratio"), rows)


def processes(bundle: Path, image: Path) -> None:
    """A process from its start to its first prediction, and its peak memory."""
    taken: dict[str, list[float]] = {name: [] for name in _PROGRAMS}
    peaks: dict[str, list[float]] = {name: [] for name in _PROGRAMS}
    for _ in range(9):
        for name in random.sample(list(_PROGRAMS), len(_PROGRAMS)):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", _PROGRAMS[name], bundle, image], check=True, capture_output=True)
            taken[name].append(time.perf_counter() - start)
            command = [sys.executable, "-c", _PROGRAMS[name] + _PEAK, bundle, image]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            peaks[name].append(int(answer) / 1024)
    bare, _, tensorflow = _PROGRAMS
    rows = [
        [
            name,
            f"{statistics.median(taken[name]):.3f}",
            *_ratios(taken, name, (tensorflow,)),
            f"{statistics.median(peaks[name]):.1f}",
            *_ratios(peaks, name, (bare,)),
        ]
        for name in _PROGRAMS
    ]
    print_table("a process", ("program", "start to answer (s)", "to TensorFlow", "peak (MB)", "to bare"), rows)


def endurance(bundle: Path, variant: str, images: Images) -> None:
    """Memory after a million predictions, and the answers of eight threads at once."""
    model = load(bundle, variant)
    serial = [model.predict(image) for image in images]
    before = _resident()
    for index in range(1_000_000):
        model.predict(images[index % len(images)])
    grown = _resident() - before

    def ask(_: int) -> int:
        return sum(
            not np.array_equal(model.predict(images[index % len(images)]), serial[index % len(images)])
            for index in range(10_000)
        )

    with ThreadPoolExecutor(8) as pool:
        wrong = sum(pool.map(ask, range(8)))
    print(f"{variant}: {grown:+.2f} MB after 1,000,000 predictions; {wrong} of 80,000 answers of 8 threads differ")


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> None:
    """Measures what is named on the command line, or all of it."""
    bundle, wanted = Path(sys.argv[1]), set(sys.argv[2:]) or {"calls", "workers", "processes", "endurance"}
    ids = {entry["id"] for entry in json.loads((bundle / "manifest.json").read_bytes())["variants"]}
    images = load_dataset("mnist").test.images
    for variant in ("tflite-int8", "tflite-float32", "onnx-int8", "onnx-float32"):
        if variant in ids and "calls" in wanted:
            calls(bundle, variant, images[:64])
    for variant in ("tflite-int8", "onnx-int8"):
        if variant in ids and "workers" in wanted:
            workers(bundle, variant, images)
    if "processes" in wanted:
        image = bundle.parent / "image.npy"
        np.save(image, images[0])
        processes(bundle, image)
    for variant in ("tflite-int8", "onnx-int8"):
        if variant in ids and "endurance" in wanted:
            endurance(bundle, variant, images[:64])


if __name__ == "__main__":
    main()
