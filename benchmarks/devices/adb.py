"""Measuring on an Android device over adb, where there is no Python: by TensorFlow Lite's `benchmark_model`.

The commands are run where all is there that it takes, and always written down, so that they can be run by hand where
something is missing.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from liteport.errors import DeviceError, InvalidInputError
from liteport.files import check_new_folder, new_folder, sha256_of
from liteport.terminal import ProgressCallback, no_progress

from .android_plan import AFTER, Plan, find_models
from .android_report import AndroidReport, AndroidRow, Phone, to_markdown
from .benchmark_model import DOWNLOAD, MOST_S, parse_peak, parse_timing, processor_of

SCRIPT_FILE, JSON_FILE, MARKDOWN_FILE = "adb-commands.sh", "android.json", "android.md"
_PROPERTIES = (
    "ro.product.manufacturer",
    "ro.product.model",
    "ro.soc.model",
    "ro.build.version.release",
    "ro.product.cpu.abilist",
)
_ASK_PROPERTIES = f"for name in {' '.join(_PROPERTIES)}; do getprop $name; done"
_ASK_SPEEDS = "grep -H . /sys/devices/system/cpu/cpu[0-9]*/cpufreq/cpuinfo_max_freq"


class NotReadyError(DeviceError):
    """Nothing could be measured since something is missing; the commands were written down instead.

    Attributes:
        script: Where they are.
    """

    def __init__(self, reason: str, script: Path) -> None:
        super().__init__(f"{reason}; the commands to run by hand are in {script}")
        self.script = script


def measure_on_android(
    subjects: Sequence[str | Path],
    variants: Sequence[str] | None = None,
    *,
    out: str | Path,
    benchmark_binary: str | Path | None,
    adb: str = "adb",
    threads: int = 1,
    runs: int = 100,
    rounds: int = 3,
    seed: int = 0,
    force: bool = False,
    progress: ProgressCallback = no_progress,
) -> AndroidReport:
    """Times .tflite files on an Android device with TensorFlow Lite's own program, on random input.

    All run on the device's fastest cores, as many as there are threads.

    Args:
        subjects: Bundles' folders, or lone .tflite files.
        variants: Ids of the bundles' variants to measure; None for all that are .tflite files.
        out: A folder for `android.json`, `android.md` and `adb-commands.sh`.
        benchmark_binary: Google's `benchmark_model` for Android, on this machine.
        adb: The program.
        threads: Threads of the engine.
        runs: Timed inferences of each run of the program, at least.
        rounds: Runs of the program for each variant, all taking turns.
        seed: Of the order of turns.
        force: Whether `out` may replace an older such folder.
        progress: Called as work proceeds.

    Returns:
        A row for each file. One that the program refused has the reason instead of figures.

    Raises:
        NotReadyError: If adb, a device or `benchmark_binary` is missing; `adb-commands.sh` was written all the same.
        DeviceError: If the device is lost, does not answer in time, or the program prints something else than figures.
        NotFoundError: If a path does not exist.
        IntegrityError: If a bundle is damaged.
        InvalidInputError: If there is no .tflite file, a name is unknown, or a number is below 1.
        AlreadyExistsError: If `out` exists and `force` is off.
    """
    for name, number in {"threads": threads, "runs": runs, "rounds": rounds}.items():
        if number < 1:
            raise InvalidInputError(f"{name} is {number}; expected 1 or more")
    out, binary = Path(out), None if benchmark_binary is None else Path(benchmark_binary)
    plan = Plan(find_models(subjects, variants), str(binary or "benchmark_model"), threads, runs, rounds, seed)
    processor = None if binary is None else processor_of(binary)
    check_new_folder(out, force=force, marker=SCRIPT_FILE)
    missing = _missing(adb, binary)
    report = None
    with new_folder(out, force=force, marker=SCRIPT_FILE) as folder:
        if missing is None and binary is not None:
            device = _Adb(adb)
            phone = _phone(device)
            if processor not in phone.processors:
                raise InvalidInputError(f"{binary} is for {processor}; {phone.name} runs {', '.join(phone.processors)}")
            plan = replace(plan, cores=phone.fastest(threads))
            rows = _measured(device, plan, progress)
            created = datetime.now(timezone.utc).isoformat(timespec="seconds")
            report = AndroidReport(created, phone, sha256_of(binary), threads, plan.cores, runs, seed, rows)
            (folder / JSON_FILE).write_text(report.to_json(), encoding="utf-8")
            (folder / MARKDOWN_FILE).write_text(to_markdown(report), encoding="utf-8")
        (folder / SCRIPT_FILE).write_text(plan.script(adb), encoding="utf-8")
    if report is None:
        raise NotReadyError(f"{missing}", out / SCRIPT_FILE)
    return report


def _missing(adb: str, binary: Path | None) -> str | None:
    """Says what is missing to measure, and what to do; None where nothing is."""
    if shutil.which(adb) is None:
        return f"{adb} is not installed here (sudo apt install adb)"
    listed = _Adb(adb).run(("devices",)).stdout.partition("attached")[2]
    states = dict(line.split("\t")[:2] for line in listed.splitlines() if "\t" in line)
    if wanted := os.environ.get("ANDROID_SERIAL"):
        states = {serial: state for serial, state in states.items() if serial == wanted}
    ready = [serial for serial, state in states.items() if state == "device"]
    if len(ready) > 1:
        return f"several devices answer adb ({', '.join(ready)}); choose one (ANDROID_SERIAL={ready[0]})"
    if not ready and "unauthorized" in states.values():
        return "the Android device does not trust this machine; accept the question on its screen"
    if not ready:
        states_there = "".join(f", {serial} is {state}" for serial, state in states.items())
        return f"no Android device answers adb{states_there}; connect one with USB debugging switched on"
    if binary is None:
        return f"benchmark_model is missing; download {DOWNLOAD} and name it (--benchmark-binary)"
    return None


class _Adb:
    """Runs adb."""

    def __init__(self, program: str) -> None:
        self._program = program

    def run(self, arguments: Sequence[str], timeout: float = 60.0) -> "subprocess.CompletedProcess[str]":
        """Runs one command.

        Raises:
            DeviceError: If adb itself fails, which loses the device, or takes too long.
        """
        try:
            done = subprocess.run(
                [self._program, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as error:
            raise DeviceError(f"adb {arguments[0]}: no answer within {timeout:g} s; connect the device anew") from error
        # Programs on the device do not begin a line so: benchmark_model writes ERROR.
        if done.returncode != 0 and (arguments[0] != "shell" or done.stderr.startswith(("adb: ", "error: "))):
            last = (done.stderr or done.stdout).strip().rpartition("\n")[2]
            raise DeviceError(f"adb {arguments[0]} failed: {last or f'it ended with exit code {done.returncode}'}")
        return done


def _phone(device: _Adb) -> Phone:
    values = [line.strip() for line in device.run(("shell", _ASK_PROPERTIES)).stdout.splitlines()]
    if len(values) != len(_PROPERTIES):
        raise DeviceError(f"adb shell getprop: expected {len(_PROPERTIES)} properties, found {len(values)} lines")
    maker, model, chip, android, processors = values
    speeds = {}
    for line in device.run(("shell", _ASK_SPEEDS)).stdout.splitlines():
        path, _, khz = line.strip().partition(":")
        if khz.isdecimal():
            speeds[int(path.split("/")[5].removeprefix("cpu"))] = int(khz)
    return Phone(f"{maker} {model}".strip(), chip, android, tuple(processors.split(",")), speeds)


def _measured(device: _Adb, plan: Plan, progress: ProgressCallback) -> tuple[AndroidRow, ...]:
    rows = [model.row for model in plan.models]
    with _copied(device, plan, progress):
        rounds = plan.turns()
        for number, turn in enumerate(rounds, 1):
            for index, command in turn:
                rows[index] = _run(device, rows[index], command, _timed)
            progress("android: latency", number, len(rounds), "")
        for index, command in enumerate(plan.memory()):
            rows[index] = _run(device, rows[index], command, _watched)
            progress("android: memory", index + 1, len(rows), "")
    return tuple(rows)


def _run(
    device: _Adb, row: AndroidRow, command: Sequence[str], read: Callable[[AndroidRow, str], AndroidRow]
) -> AndroidRow:
    """Runs the program once for a file, unless it has failed with that before."""
    if row.failure is not None:
        return row
    done = device.run(command, timeout=4 * MOST_S)
    output = f"{done.stdout}\n{done.stderr}"
    if done.returncode == 0:
        return read(row, output)
    errors = [line for line in output.splitlines() if line.startswith(("ERROR: ", "FATAL: "))]
    reason = errors[-1].partition(" ")[2] if errors else f"benchmark_model ended with exit code {done.returncode}"
    return replace(row, failure=reason, timings=(), peak_mib=None)


def _timed(row: AndroidRow, output: str) -> AndroidRow:
    return replace(row, timings=(*row.timings, parse_timing(output, row.variant)))


def _watched(row: AndroidRow, output: str) -> AndroidRow:
    return replace(row, peak_mib=parse_peak(output, row.variant))


@contextmanager
def _copied(device: _Adb, plan: Plan, progress: ProgressCallback) -> Iterator[None]:
    """Copies files to the device, and removes them when the block ends, well or not."""
    commands = plan.before()
    try:
        for number, command in enumerate(commands, 1):
            device.run(command, timeout=600.0)
            progress("android: copy", number, len(commands), "")
        yield
    finally:
        device.run(AFTER)
