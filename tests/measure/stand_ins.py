"""What `benchmarks.py` measures beside liteport's own worker, each in a process of its own.

`slowed NANOSECONDS` and `bare` are workers that speak the benchmark's protocol: one spins after each inference, the
other loops over the engine alone. `loop`, `onnxruntime` and `litert` time a file on their own, thousands of inferences
in a row, and write the nanoseconds of each to a .npy file: `WAY FILE INPUT CORE RUNS OUT`. The latter two are the
engines' own tools as their wheels carry them, unchanged but that their samples are kept: what they print is rounded to
0.01 ms, a tenth of what is measured here.
"""

import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Slowed:
    """A model whose `predict` takes longer, by a spin.

    Args:
        predict: What it does before.
        wait_ns: How long it spins.
    """

    def __init__(self, predict: Callable[[Array], Array | None], wait_ns: int) -> None:
        self._predict, self._wait_ns = predict, wait_ns

    def predict(self, images: Array) -> Array | None:
        """Answers, and spins."""
        answer = self._predict(images)
        end = perf_counter_ns() + self._wait_ns
        while perf_counter_ns() < end:
            pass
        return answer

    @classmethod
    def by(cls, predict: Callable[[Array], Array | None], nanoseconds: int) -> "Slowed":
        """Makes one that takes so much longer, the spin's own cost taken into account."""
        image = np.empty(0)
        own = _typical(cls(_nothing, 0).predict, image) - _typical(_nothing, image)
        return cls(predict, max(0, nanoseconds - own))


def _nothing(images: Array) -> None:
    pass


def _typical(call: Callable[[Array], object], given: Array) -> int:
    times = []
    for _ in range(2000):
        begin = perf_counter_ns()
        call(given)
        times.append(perf_counter_ns() - begin)
    return int(median(times))


class Bare:
    """An engine alone: `predict` takes what the file takes, ready made, for the benchmark's loop to time."""

    def __init__(self, file: Path) -> None:
        self.predict, self.ready = open_bare(file)


def open_bare(file: Path) -> tuple[Callable[[Array], Any], Callable[[Array], Array]]:
    """Opens a file in its engine with one thread.

    Returns:
        The call for one inference, and what makes its input of images from 0 to 1.
    """
    return _open_tflite(file) if file.suffix == ".tflite" else _open_onnx(file)


def _open_tflite(file: Path) -> tuple[Callable[[Array], Any], Callable[[Array], Array]]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(file), num_threads=1)
    interpreter.allocate_tensors()
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]["index"]
    index, (scale, zero_point) = taken["index"], taken["quantization"]

    def run(ready: Array) -> Array:
        interpreter.set_tensor(index, ready)
        interpreter.invoke()
        return cast(Array, interpreter.get_tensor(given))

    def ready(images: Array) -> Array:
        values = np.rint(images / scale + zero_point) if scale else images
        return values.astype(taken["dtype"])

    return run, ready


def _open_onnx(file: Path) -> tuple[Callable[[Array], Any], Callable[[Array], Array]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda ready: session.run(None, {name: ready}), lambda images: images.astype(np.float32)


def _serve_slowed(nanoseconds: str) -> None:
    """Liteport's worker, with a slower model."""
    from liteport.benchmarks import worker

    usual = worker.COMMANDS["load"]

    def load(session: worker.Session, **arguments: object) -> dict[str, Any]:
        answer = usual(session, **arguments)
        session._model = cast(Any, Slowed.by(session.model.predict, int(nanoseconds)))
        return answer

    worker.COMMANDS["load"] = load
    worker.main()


def _serve_bare() -> None:
    """Liteport's worker, with the engine alone and its input ready made."""
    from liteport.benchmarks import worker
    from liteport.runtime import read_bundle

    def load(session: worker.Session, path: str, variant: str, inputs: str, **_: object) -> dict[str, Any]:
        begin = perf_counter_ns()
        bare = Bare(Path(path) / read_bundle(path).manifest.variant(variant).file)
        elapsed = perf_counter_ns() - begin
        session._images, session._model = bare.ready(np.load(inputs) / 255), cast(Any, bare)
        return {"ns": elapsed, "engine": ["bare", "", ""]}

    worker.COMMANDS["load"] = load
    worker.main()


def _loop(file: str, image: Array, runs: int, warm_up: int) -> list[float]:
    run, ready = open_bare(Path(file))
    given = ready(image)
    times: list[float] = []
    for _ in range(warm_up + runs):
        begin = perf_counter_ns()
        run(given)
        times.append(perf_counter_ns() - begin)
    return times[warm_up:]


def _onnxruntime(file: str, image: Array, runs: int, warm_up: int) -> list[float]:
    """`inference_ort`, which onnxruntime/transformers/benchmark.py times a session with.

    Its module imports torch and transformers, which neither it nor `create_onnxruntime_session` uses: empty modules
    stand in for them, so that any use would be an AttributeError.
    """
    sys.modules |= {name: types.ModuleType(name) for name in ("torch", "transformers")}
    from onnxruntime.transformers import benchmark_helper

    kept: list[float] = []

    def keep(seconds: list[float], batch: int) -> dict[str, str]:
        kept.extend(seconds)
        return {}

    benchmark_helper.get_latency_result = keep
    session = benchmark_helper.create_onnxruntime_session(file, use_gpu=False, num_threads=1)
    feeds = {session.get_inputs()[0].name: image.astype(np.float32)}
    benchmark_helper.inference_ort(session, feeds, {}, runs, 1, warm_up)
    return [1e9 * seconds for seconds in kept]


def _litert(file: str, _: Array, runs: int, warm_up: int) -> list[float]:
    """`python -m ai_edge_litert.tools.benchmark_litert_model`: the C++ tool's counterpart, on random input.

    It runs the newer CompiledModel, and neither writes the input nor reads the output in between.
    """
    from ai_edge_litert.tools import benchmark_litert_model as tool

    kept: list[float] = []

    def keep(milliseconds: list[float], percentage: float) -> float:
        kept[:] = milliseconds
        return 0.0

    tool.percentile = keep
    options = (f"--model={file}", f"--num_runs={runs}", f"--warmup_runs={warm_up}", "--num_threads=1")
    sys.argv = ["benchmark_litert_model", *options]
    tool.main()
    return [1e6 * milliseconds for milliseconds in kept]


_ALONE = {"loop": _loop, "onnxruntime": _onnxruntime, "litert": _litert}


def _time_alone(way: str, file: str, images: str, core: str, runs: str, out: str) -> None:
    os.sched_setaffinity(0, [int(core)])
    times = _ALONE[way](file, np.load(images)[:1] / 255, int(runs), int(runs) // 10)
    np.save(out, np.rint(times).astype(np.int64))


def main() -> None:
    """Does what the first argument names."""
    match sys.argv[1:]:
        case ["slowed", nanoseconds]:
            _serve_slowed(nanoseconds)
        case ["bare"]:
            _serve_bare()
        case [way, *others]:
            _time_alone(way, *others)


if __name__ == "__main__":
    main()
