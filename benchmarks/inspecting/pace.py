"""Two models timed side by side in this process, and where ONNX Runtime spends its time."""

import importlib
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from numpy.typing import NDArray

from liteport.runtime import Model
from liteport.runtime.backends import choose_engine

from ..latency import median_ratio
from ..steadiness import is_steady

ROUNDS = 21
TURN_NS = 15_000_000  # short, so that what disturbs the machine for a while meets both models of a round alike
MOST_RUNS = 100
LONGEST_WARM_UP = 12  # turns; a model that is not steady by then is measured as it is
PROFILED_RUNS = 30


@dataclass(frozen=True)
class Pace:
    """How long one image takes in each of two models.

    Attributes:
        reference_ns: Median of the float model.
        quantized_ns: Median of the quantized model.
        ratio: How many times the float model's time the quantized one takes: the median over rounds, as in the
            benchmark's report.
        rounds: How often both took a turn.
    """

    reference_ns: float
    quantized_ns: float
    ratio: float
    rounds: int


def measure(reference: Model, quantized: Model, image: NDArray[Any]) -> Pace:
    """Times two models on one image, in turns.

    Args:
        reference: The float model, with one thread.
        quantized: The quantized one, likewise.
        image: What `predict` takes.
    """
    runs = [_warmed_up(model, image) for model in (reference, quantized)]
    turns: tuple[list[list[int]], list[list[int]]] = ([], [])
    for _ in range(ROUNDS):
        for model, count, taken in zip((reference, quantized), runs, turns, strict=True):
            taken.append(_turn(model, image, count))
    medians = [median(sample for turn in taken for sample in turn) for taken in turns]
    return Pace(medians[0], medians[1], median_ratio(turns[1], turns[0]), ROUNDS)


def _warmed_up(model: Model, image: NDArray[Any]) -> int:
    """Runs a model until its time is steady, and returns how many runs make a turn."""
    medians: list[float] = [median(_turn(model, image, 1))]
    count = 1
    while len(medians) < LONGEST_WARM_UP and not is_steady(medians):
        count = max(1, min(MOST_RUNS, int(TURN_NS / medians[-1])))
        medians.append(median(_turn(model, image, count)))
    return count


def _turn(model: Model, image: NDArray[Any], runs: int) -> list[int]:
    samples = []
    for _ in range(runs):
        start = time.perf_counter_ns()
        model.predict(image)
        samples.append(time.perf_counter_ns() - start)
    return samples


@dataclass(frozen=True)
class OpTime:
    """A kind of operation as ONNX Runtime ran it: how many nodes are left after its optimizations, and their time."""

    kind: str
    nodes: int
    share: float


def profile_onnx(content: bytes, feeds: Mapping[str, NDArray[Any]]) -> tuple[OpTime, ...]:
    """Returns what ONNX Runtime's own profiler says of one thread's time, the longest first.

    Args:
        content: An `.onnx` file.
        feeds: One item, as the file takes it, by each input's name.
    """
    onnxruntime = importlib.import_module(choose_engine(".onnx").module)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_profiling = True
    with TemporaryDirectory(prefix="liteport-profile-") as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        for _ in range(PROFILED_RUNS):
            session.run(None, dict(feeds))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    times: Counter[str] = Counter()
    nodes: dict[str, set[str]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            kind = event["args"]["op_name"]
            times[kind] += event["dur"]
            nodes.setdefault(kind, set()).add(event["name"])
    total = sum(times.values()) or 1
    return tuple(OpTime(kind, len(nodes[kind]), spent / total) for kind, spent in times.most_common())
