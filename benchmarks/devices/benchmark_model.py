"""TensorFlow Lite's own benchmark program for Android, `benchmark_model`: how it is called and what it prints.

Its sources (tensorflow/lite/tools/benchmark, now in LiteRT) say that no option makes it give single latencies: it
prints count, first, smallest, largest, mean and standard deviation in whole microseconds, newer ones also three
percentiles. Watching the memory takes a thread of its own, so that is done in a run of its own, which times nothing.
"""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from liteport.errors import DeviceError, InvalidInputError, NotFoundError

DOWNLOAD = (
    "https://storage.googleapis.com/tensorflow-nightly-public/prod/tensorflow/release/lite/tools/nightly/latest/"
    "android_aarch64_benchmark_model"
)
"""Where Google publishes it for 64-bit Arm."""

WARM_UP_S, MOST_S = 1.0, 60.0
"""Seconds of warm-up at least, and of timing at most."""

# What Android calls a processor, by its number in an ELF file (e_machine of the System V ABI).
_PROCESSORS = {3: "x86", 40: "armeabi-v7a", 62: "x86_64", 183: "arm64-v8a"}

_COUNTS = re.compile(r"\bcount=(\d+)(?P<rest>[^\n]*)")
_FIELD = re.compile(r"(\w+)=([\d.]+(?:e[+-]?\d+)?)")
_STARTED = re.compile(r"Inference timings in us: Init: ([\d.e+]+), First inference: ([\d.e+]+),")
_PEAK = re.compile(r"Overall peak memory footprint \(MB\) via periodic monitoring: ([\d.e+]+)")


@dataclass(frozen=True)
class Timing:
    """What one run of the program measured, in microseconds.

    Attributes:
        runs: Timed inferences.
        init_us: Loading the file and making the interpreter.
        first_us: The first inference.
        minimum_us: The shortest of the timed ones.
        maximum_us: The longest.
        mean_us: Their mean.
        deviation_us: Their standard deviation.
        median_us: Their median; None where the program is too old to tell.
        p95_us: What 95 in 100 stayed within; None likewise.
    """

    runs: int
    init_us: float
    first_us: float
    minimum_us: float
    maximum_us: float
    mean_us: float
    deviation_us: float
    median_us: float | None
    p95_us: float | None


def timing_arguments(threads: int, runs: int) -> tuple[str, ...]:
    """Returns the options of a run that times."""
    # Without a least time it would go on for a second after the runs asked for; more runs than asked for do no harm.
    return (
        f"--num_threads={threads}",
        f"--warmup_min_secs={WARM_UP_S:g}",
        f"--num_runs={runs}",
        f"--max_secs={MOST_S:g}",
    )


def memory_arguments(threads: int) -> tuple[str, ...]:
    """Returns the options of a run that watches the memory, looking every 5 ms."""
    watch = ("--report_peak_memory_footprint=true", "--memory_footprint_check_interval_ms=5")
    return (f"--num_threads={threads}", "--num_runs=20", "--min_secs=0.2", *watch)


def parse_timing(output: str, where: str) -> Timing:
    """Reads what a run that times has printed.

    Args:
        output: Both its outputs.
        where: What ran, for messages.

    Raises:
        DeviceError: If it is not what the program prints.
    """
    counts, started = list(_COUNTS.finditer(output)), _STARTED.search(output)
    if len(counts) != 2 or started is None:  # the warm-up, and what is timed
        raise _unreadable(output, where)
    runs = int(counts[1][1])
    found = {name: float(value) for name, value in _FIELD.findall(counts[1]["rest"])}
    if "first" not in found and "curr" in found:  # all took equally long
        same = found["curr"]
        found = {"min": same, "max": same, "avg": same, "std": 0.0, "median": same, "p95": same}
    if runs < 1 or not {"min", "max", "avg", "std"} <= found.keys():
        raise _unreadable(output, where)
    # The mean has six digits, the others all of theirs.
    if not (1 - 1e-5) * found["min"] <= found["avg"] <= (1 + 1e-5) * found["max"]:
        raise _unreadable(output, where)
    return Timing(
        runs=runs,
        init_us=float(started[1]),
        first_us=float(started[2]),
        minimum_us=found["min"],
        maximum_us=found["max"],
        mean_us=found["avg"],
        deviation_us=found["std"],
        median_us=found.get("median"),
        p95_us=found.get("p95"),
    )


def parse_peak(output: str, where: str) -> float:
    """Reads the most memory, in megabytes of 2**20 bytes, that a run that watches it has seen.

    Raises:
        DeviceError: If it is not what the program prints.
    """
    found = _PEAK.search(output)
    if found is None:
        raise _unreadable(output, where)
    return float(found[1])


def _unreadable(output: str, where: str) -> DeviceError:
    last = output.strip().rpartition("\n")[2].strip()
    return DeviceError(f"{where}: expected the figures that benchmark_model prints, found {last[:100]!r} at its end")


def processor_of(program: Path) -> str:
    """Returns what Android calls the processor that a program is for.

    Raises:
        NotFoundError: If there is no such file.
        InvalidInputError: If it is no program for Android.
    """
    if not program.is_file():
        raise NotFoundError(f"{program} does not exist; expected Google's benchmark_model, from {DOWNLOAD}")
    with program.open("rb") as file:
        head = file.read(20)
    if len(head) == 20 and head.startswith(b"\x7fELF"):
        number = struct.unpack("<H", head[18:])[0]
        if number in _PROCESSORS:
            return _PROCESSORS[number]
    raise InvalidInputError(f"{program} is no program for Android; expected Google's benchmark_model, from {DOWNLOAD}")
