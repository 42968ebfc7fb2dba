import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from liteport.benchmarks.conditions import Conditions, involuntary_switches, read_conditions, remarks

MakeRoot = Callable[[dict[str, str]], Path]
NOWHERE = "no-such-vcgencmd"
CPU, ZONE = "sys/devices/system/cpu/cpu3", "sys/class/thermal/thermal_zone"
QUIET = Conditions("performance", 2400.0, 50.0, (), 0.2, 80.0)


@pytest.fixture
def make_root(tmp_path: Path) -> MakeRoot:
    """Writes files as Linux shows them under /sys."""

    def make(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / "root" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        return tmp_path / "root"

    return make


def vcgencmd(folder: Path, answers: dict[str, str], status: int = 0) -> str:
    """A stand-in for Raspberry Pi's program."""
    cases = "\n".join(f'{name}) echo "{answer}" ;;' for name, answer in answers.items())
    path = folder / "vcgencmd"
    path.write_text(f'#!/bin/sh\ncase "$1" in\n{cases}\nesac\nexit {status}\n')
    path.chmod(0o755)
    return str(path)


def test_reads_an_x86_computer(make_root: MakeRoot) -> None:
    root = make_root(
        {
            f"{CPU}/cpufreq/scaling_governor": "powersave",
            f"{CPU}/cpufreq/scaling_cur_freq": "2394512",
            f"{CPU}/thermal_throttle/core_throttle_count": "12",
            f"{CPU}/thermal_throttle/package_throttle_count": "0",
            f"{ZONE}0/type": "acpitz",
            f"{ZONE}0/temp": "99000",
            f"{ZONE}1/type": "x86_pkg_temp",
            f"{ZONE}1/temp": "61500",
            f"{ZONE}1/trip_point_0_type": "passive",
            f"{ZONE}1/trip_point_0_temp": "-274000",  # not set
            "sys/class/hwmon/hwmon0/name": "nvme",
            "sys/class/hwmon/hwmon0/temp1_input": "70000",
            "sys/class/hwmon/hwmon0/temp1_crit": "75000",
            "sys/class/hwmon/hwmon1/name": "coretemp",
            "sys/class/hwmon/hwmon1/temp1_input": "60000",
            "sys/class/hwmon/hwmon1/temp1_crit": "100000",
        }
    )
    found = read_conditions(3, root=root, vcgencmd=NOWHERE)
    assert replace(found, load=None) == Conditions(
        "powersave", 2394.512, 61.5, ("core 3 slowed by heat 12 times since start",), None, 100.0
    )
    assert found.load is not None
    assert found.load >= 0
    unpinned = read_conditions(None, root=root, vcgencmd=NOWHERE)
    assert (unpinned.governor, unpinned.frequency_mhz, unpinned.throttling) == (None, None, None)  # no cpu0 is there
    assert unpinned.temperature_c == 61.5


def test_reads_sensors_where_there_are_no_zones(make_root: MakeRoot) -> None:
    root = make_root(
        {
            "sys/class/hwmon/hwmon0/name": "k10temp",
            "sys/class/hwmon/hwmon0/temp1_input": "48000",
            "sys/class/hwmon/hwmon0/temp3_input": "52250",
            f"{CPU}/thermal_throttle/core_throttle_count": "0",
        }
    )
    found = read_conditions(3, root=root, vcgencmd=NOWHERE)
    assert (found.temperature_c, found.limit_c, found.throttling) == (52.25, None, ())


def test_reads_a_raspberry_pi(make_root: MakeRoot, tmp_path: Path) -> None:
    root = make_root(
        {
            f"{CPU}/cpufreq/scaling_governor": "ondemand",
            f"{CPU}/cpufreq/scaling_cur_freq": "1500000",
            f"{ZONE}0/type": "cpu-thermal",
            f"{ZONE}0/temp": "83100",
            f"{ZONE}0/trip_point_0_type": "critical",
            f"{ZONE}0/trip_point_0_temp": "110000",
            f"{ZONE}0/trip_point_1_type": "passive",
            f"{ZONE}0/trip_point_1_temp": "80000",
        }
    )
    program = vcgencmd(tmp_path, {"get_throttled": "throttled=0x50005"})
    found = read_conditions(3, root=root, vcgencmd=program)
    assert replace(found, load=None) == Conditions(
        "ondemand",
        1500.0,
        83.1,
        ("under-voltage now", "throttled now", "under-voltage since start", "throttled since start"),
        None,
        80.0,
    )


def test_asks_the_pi_for_what_the_kernel_does_not_tell(make_root: MakeRoot, tmp_path: Path) -> None:
    program = vcgencmd(tmp_path, {"get_throttled": "throttled=0x0", "measure_temp": "temp=48.3'C"})
    found = read_conditions(0, root=make_root({}), vcgencmd=program)
    assert (found.temperature_c, found.throttling) == (48.3, ())


def test_a_pi_without_its_program_has_a_file(make_root: MakeRoot, tmp_path: Path) -> None:
    root = make_root({"sys/devices/platform/soc/soc:firmware/get_throttled": "a0002"})
    refused = vcgencmd(tmp_path, {"get_throttled": "VCHI initialization failed"}, status=255)
    for program in (NOWHERE, refused):
        assert read_conditions(0, root=root, vcgencmd=program).throttling == (
            "frequency capped now",
            "frequency capped since start",
            "soft temperature limit since start",
        )


def test_says_nothing_where_the_system_does_not(make_root: MakeRoot) -> None:
    root = make_root({f"{ZONE}0/type": "cpu-thermal", f"{ZONE}0/temp": "?", f"{CPU}/cpufreq/scaling_cur_freq": ""})
    assert replace(read_conditions(3, root=root, vcgencmd=NOWHERE), load=None) == Conditions(*[None] * 5)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system pins no processes")
def test_reading_leaves_the_process_where_it_was() -> None:
    before = os.sched_getaffinity(0)
    read_conditions(max(before))
    assert os.sched_getaffinity(0) == before


def test_counts_switches() -> None:
    """They only ever grow."""
    first, second = involuntary_switches(), involuntary_switches()
    assert first is not None
    assert second is not None
    assert 0 <= first <= second


def test_a_quiet_machine_needs_no_remark() -> None:
    silent = Conditions(*[None] * 5)
    assert remarks(QUIET, QUIET, 4) == remarks(silent, silent, 1) == []
    warmer = replace(
        QUIET, temperature_c=79.9, frequency_mhz=2353.0, load=4.0
    )  # 2 % are 48 MHz; after, we are the load
    assert remarks(QUIET, warmer, 4) == []
    assert remarks(replace(QUIET, load=3.4), QUIET, 4) == []  # three processes and ours
    assert remarks(replace(QUIET, load=0.4), QUIET, 1) == []
    long_ago = replace(QUIET, throttling=("core 0 slowed by heat 3 times since start", "throttled since start"))
    assert remarks(long_ago, long_ago, 4) == []


@pytest.mark.parametrize(
    ("before", "after", "cores", "said"),
    [
        ({"governor": "ondemand"}, {"governor": "ondemand"}, 4, "the frequency governor is ondemand; only performance"),
        ({}, {"throttling": ("throttled since start",)}, 4, "while latencies were taken .*: throttled since start"),
        ({"throttling": ("throttled now",)}, {}, 4, "when latencies began .*: throttled now"),
        ({}, {"temperature_c": 80.0}, 4, "the processor was at 80 °C; from 80 °C on the system slows it"),
        ({}, {"frequency_mhz": 1200.0}, 4, "the clock fell from 2400 to 1200 MHz"),
        ({"load": 3.6}, {}, 4, "3.6 processes ran or waited .* leaves none of 4 cores free"),
    ],
)
def test_remarks_on_each_disturbance(
    before: dict[str, object], after: dict[str, object], cores: int, said: str
) -> None:
    (sentence,) = remarks(replace(QUIET, **before), replace(QUIET, **after), cores)
    assert re.search(said, sentence)
