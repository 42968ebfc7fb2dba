"""With a stand-in for adb that notes what it is asked, and answers as a phone does."""

import json
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from liteport.benchmarks.devices.adb import NotReadyError, measure_on_android
from liteport.benchmarks.devices.android_report import AndroidReport, Phone, android_table
from liteport.benchmarks.devices.benchmark_model import parse_peak, parse_timing, processor_of
from liteport.errors import DeviceError, InvalidInputError, NotFoundError

ADB = """#!/bin/sh
cd HERE || exit
echo "$*" >> asked
case "$1 $2" in
devices*) cat devices ;;
push*) cp "$2" "pushed/${3##*/}" ;;
"shell for name in"*) cat properties ;;
"shell grep"*) cat speeds ;;
"shell rm"*) rm -r pushed ;;
*peak_memory*) cat memory ;;
*--graph=*) [ ! -f refused ] || { cat refused >&2; exit 1; }; cat timing ;;
esac
"""

# Both outputs of the program, in the form that its sources give them.
TIMING = """INFO: STARTING!
INFO: Loaded model /data/local/tmp/liteport/0.tflite
INFO: Initialized session in 4.321ms.
INFO: Running benchmark for at least 1 iterations and at least 1 seconds but terminate if exceeding 60 seconds.
INFO: count=2900 first=811 curr=320 min=318 max=811 avg=341.25 std=14 p5=319 median=330 p95=390

INFO: Running benchmark for at least 100 iterations and at least 1 seconds but terminate if exceeding 60 seconds.
INFO: count=3100 first=322 curr=321 min=310 max=905 avg=325.5 std=21 p5=312 median=320 p95=350

INFO: Inference timings in us: Init: 4321, First inference: 811, Warmup (avg): 341.25, Inference (avg): 325.5
"""
MEMORY = TIMING + "INFO: Overall peak memory footprint (MB) via periodic monitoring: 6.40625\n"


class Adb:
    """The stand-in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pushed").mkdir(parents=True)
        self.program = str(folder / "adb")
        Path(self.program).write_text(ADB.replace("HERE", f"'{folder}'"))
        Path(self.program).chmod(0o755)
        speeds = "".join(
            f"/sys/devices/system/cpu/cpu{core}/cpufreq/cpuinfo_max_freq:{khz}\n"
            for core, khz in [(0, 1_800_000), (1, 1_800_000), (10, 2_400_000), (7, 2_900_000)]
        )
        self.answers(
            devices="List of devices attached\nR5CT\tdevice\n\n",
            properties="Maker\nPhone 7\nSoC 1\n14\narm64-v8a,armeabi-v7a\n",
            speeds=speeds,
            timing=TIMING,
            memory=MEMORY,
        )

    def answers(self, **texts: str) -> None:
        for name, text in texts.items():
            (self.folder / name).write_text(text)

    @property
    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().splitlines()


@pytest.fixture
def adb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Adb:
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    return Adb(tmp_path / "its place")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """As much of a program for 64-bit Arm as is looked at."""
    path = tmp_path / "android_aarch64_benchmark_model"
    path.write_bytes(b"\x7fELF" + bytes(14) + struct.pack("<H", 183) + bytes(40))
    return path


@pytest.fixture
def measure(adb: Adb, program: Path, tiny_bundle: Path, tmp_path: Path) -> Callable[..., AndroidReport]:
    def run(**changes: object) -> AndroidReport:
        options = {"variants": ["tflite-float32", "tflite-int8"], "benchmark_binary": program, "adb": adb.program}
        return measure_on_android([tiny_bundle], **{**options, "out": tmp_path / "out", **changes})  # type: ignore[arg-type]

    return run


def test_measures(adb: Adb, measure: Callable[..., AndroidReport], tmp_path: Path) -> None:
    report = measure(threads=2, runs=100)
    assert report.phone.name == "Maker Phone 7"
    assert report.cores == (7, 10)
    assert [(row.variant, len(row.timings), row.peak_mib) for row in report.rows] == [
        ("tflite-float32", 3, 6.40625),
        ("tflite-int8", 3, 6.40625),
    ]
    assert android_table(report)[0][:7] == ("tflite-float32", "320", "320 to 320", "350", "310", "811", "4,321")

    assert adb.asked[0] == "devices"
    assert "getprop" in adb.asked[1]
    assert "cpuinfo_max_freq" in adb.asked[2]
    assert adb.asked[3].startswith("shell mkdir -p /data/local/tmp/liteport")
    times = [line for line in adb.asked if "--num_runs=100" in line]
    # Cores 7 and 10: 2**7 + 2**10, in hexadecimal.
    expected = "shell taskset 480 /data/local/tmp/liteport/benchmark_model --graph=/data/local/tmp/liteport/{}.tflite"
    assert sorted({line.partition(" --num")[0] for line in times}) == [expected.format(0), expected.format(1)]
    assert len(times) == 6
    assert all("--num_threads=2" in line and "peak_memory" not in line for line in times)  # that would disturb
    assert adb.asked[-1] == "shell rm -rf /data/local/tmp/liteport"
    assert not (adb.folder / "pushed").exists()

    document = json.loads((tmp_path / "out" / "android.json").read_text())
    assert document["rows"][1]["timings"][0]["median_us"] == 320
    assert "| tflite-int8 | 320 |" in (tmp_path / "out" / "android.md").read_text()


def test_written_commands_are_those_that_run(adb: Adb, measure: Callable[..., AndroidReport], tmp_path: Path) -> None:
    measure()
    ran = adb.asked[3:]
    (adb.folder / "asked").unlink()
    (adb.folder / "pushed").mkdir()
    assert os.system(f"sh '{tmp_path / 'out' / 'adb-commands.sh'}' > /dev/null") == 0
    assert adb.asked == ran


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        ("", "no Android device answers adb; connect one with USB debugging switched on"),
        ("R5CT\toffline\n", "no Android device answers adb, R5CT is offline; connect one"),
        ("R5CT\tunauthorized\n", "does not trust this machine; accept the question on its screen"),
        ("R5CT\tdevice\nemulator-5554\tdevice\n", r"several devices answer adb \(R5CT, emulator-5554\); choose one"),
    ],
)
def test_without_a_device_the_commands_are_written(
    adb: Adb, measure: Callable[..., AndroidReport], tmp_path: Path, devices: str, expected: str
) -> None:
    adb.answers(devices=f"List of devices attached\n{devices}\n")
    with pytest.raises(NotReadyError, match=f"{expected}.*; the commands to run by hand are in ") as caught:
        measure()
    assert caught.value.script == tmp_path / "out" / "adb-commands.sh"
    script = caught.value.script.read_text()
    assert re.search(r"adb' push \S+/tflite-int8.tflite /data/local/tmp/liteport/1.tflite\n", script)
    assert "--graph=/data/local/tmp/liteport/1.tflite --num_threads=1" in script
    assert adb.asked == ["devices"]


def test_one_of_several_devices_is_chosen(
    adb: Adb, measure: Callable[..., AndroidReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    adb.answers(devices="List of devices attached\nR5CT\tdevice\nemulator-5554\tdevice\n")
    monkeypatch.setenv("ANDROID_SERIAL", "R5CT")  # which adb itself goes by
    assert len(measure().rows) == 2


def test_without_adb_or_program_the_commands_are_written(adb: Adb, measure: Callable[..., AndroidReport]) -> None:
    with pytest.raises(NotReadyError, match=r"no-such-adb is not installed here \(sudo apt install adb\)"):
        measure(adb="no-such-adb")
    with pytest.raises(NotReadyError, match=r"benchmark_model is missing; download https://storage") as caught:
        measure(benchmark_binary=None, force=True)
    assert "push benchmark_model /data/local/tmp/liteport/benchmark_model" in caught.value.script.read_text()


def test_wrong_programs(measure: Callable[..., AndroidReport], program: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="benchmark_model, from https"):
        measure(benchmark_binary=tmp_path / "absent")
    (tmp_path / "page.html").write_text("<html>")
    with pytest.raises(InvalidInputError, match="is no program for Android"):
        measure(benchmark_binary=tmp_path / "page.html")
    program.write_bytes(b"\x7fELF" + bytes(14) + struct.pack("<H", 62))
    assert processor_of(program) == "x86_64"
    with pytest.raises(InvalidInputError, match="is for x86_64; Maker Phone 7 runs arm64-v8a, armeabi-v7a"):
        measure()


def test_wrong_files(program: Path, tmp_path: Path, tiny_bundle: Path) -> None:
    def refused(expected: str, path: Path, *variants: str) -> None:
        with pytest.raises((InvalidInputError, NotFoundError), match=expected):
            measure_on_android([path], variants, out=tmp_path / "out", benchmark_binary=program)

    refused("is no .tflite file", program)
    refused("absent does not exist", tmp_path / "absent")
    refused("unknown variant that Android can measure 'onnx-int8'; known: tflite-float32", tiny_bundle, "onnx-int8")


def test_a_refused_file_is_a_row(adb: Adb, measure: Callable[..., AndroidReport]) -> None:
    adb.answers(
        refused="ERROR: Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'.\nsegmentation fault\n"
    )
    report = measure()
    expected = "Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'."
    assert [row.failure for row in report.rows] == [expected] * 2
    assert android_table(report)[0] == ("tflite-float32", f"failed: {expected}")
    assert sum("--graph" in line for line in adb.asked) == 2  # none is tried again


def test_a_lost_device_is_an_error(adb: Adb, measure: Callable[..., AndroidReport], tmp_path: Path) -> None:
    adb.answers(refused="error: device 'R5CT' not found\n")
    with pytest.raises(DeviceError, match="adb shell failed: error: device 'R5CT' not found"):
        measure()
    assert adb.asked[-1].startswith("shell rm -rf")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Inference timings", "Timings"),
        ("count=3100", "number=3100"),
        ("count=3100", "count=0"),
        (" min=310", ""),
        ("max=905", "max=300"),
        ("avg=325.5", "avg=nan"),
    ],
)
def test_other_output_is_an_error(before: str, after: str) -> None:
    assert before in TIMING
    with pytest.raises(DeviceError, match="tflite-int8: expected the figures that benchmark_model prints"):
        parse_timing(TIMING.replace(before, after), "tflite-int8")


def test_output_without_memory_is_an_error(adb: Adb, measure: Callable[..., AndroidReport]) -> None:
    adb.answers(memory=TIMING)
    with pytest.raises(
        DeviceError, match="expected the figures that benchmark_model prints, found 'INFO: Inference timings"
    ):
        measure()
    assert adb.asked[-1].startswith("shell rm -rf")


def test_older_and_rarer_forms_of_the_output() -> None:
    old = re.sub(r" p5=.*|INFO: ", "", TIMING)
    assert parse_timing(old, "").median_us is None
    assert parse_timing(old, "").mean_us == 325.5
    large = TIMING.replace("min=310 max=905 avg=325.5", "min=2950337 max=2950341 avg=2.95034e+06")
    assert parse_timing(large, "").mean_us == 2_950_340
    same = re.sub(r"count=3100.*", "count=3100 curr=320(all same) p5=320 median=320 p95=320", TIMING)
    assert (parse_timing(same, "").minimum_us, parse_timing(same, "").deviation_us) == (320, 0)
    assert parse_peak(MEMORY, "") == 6.40625


def test_cores_without_known_speeds_are_left_to_the_device(adb: Adb, measure: Callable[..., AndroidReport]) -> None:
    adb.answers(speeds="grep: Permission denied\n")
    assert measure().cores == ()
    assert not [line for line in adb.asked if "taskset" in line]
    assert Phone("", "", "", (), {0: 5, 1: 9, 2: 9}).fastest(1) == (2,)
