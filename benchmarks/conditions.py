"""The state that a machine is in while it is measured: what makes the same program slower an hour later.

What the figures mean is from the documentation of Linux (CPUFreq; thermal zones; hwmon's coretemp and k10temp) and of
Raspberry Pi (vcgencmd). The standard library is enough, as workers import this.
"""

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

_ZONES = ("x86_pkg_temp", "cpu", "soc", "bigcore", "littlecore")  # processors' thermal zones begin with these
_SENSORS = ("coretemp", "k10temp", "zenpower")  # x86 processors' sensors, which slow themselves at their `crit`
_PI_BITS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
_PI_SINCE = 16  # from this bit on the same four once more, of any time since the start
_NOW, _SINCE = " now", " since start"
_PI_TIMEOUT_S = 5.0
_BUSY_S = 0.1  # governors look at a core's load every few milliseconds
_CLOCK_FALL = 0.02  # latency goes with the clock, and by this much the A/A control would call a machine too noisy


@dataclass(frozen=True)
class Conditions:
    """A machine's state at one moment; each value is None where the system does not tell.

    Attributes:
        governor: Frequency governor of the core that is measured on.
        frequency_mhz: That core's clock, while the core is busy.
        temperature_c: The processor's temperature, degrees Celsius, at its hottest sensor.
        throttling: What holds the processor back now or has since it started, in words, as a Raspberry Pi or an x86
            processor tells; empty where nothing does.
        load: Processes that ran or waited for a processor, the average of the last minute.
        limit_c: The temperature from which on the system slows the processor, degrees Celsius.
    """

    governor: str | None
    frequency_mhz: float | None
    temperature_c: float | None
    throttling: tuple[str, ...] | None
    load: float | None
    limit_c: float | None = None


def read_conditions(core: int | None, *, root: Path = Path("/"), vcgencmd: str = "vcgencmd") -> Conditions:
    """Reads the state that this machine is in: from Linux's /sys, or from a Raspberry Pi's own program.

    Args:
        core: The core that is measured on, which is kept busy for a tenth of a second, as an idle core's clock says
            nothing; None where processes may run on any: then there is no clock to tell, and the governor is the
            first core's.
        root: The folder that `sys` lies in.
        vcgencmd: Raspberry Pi's program, to be looked for on the path.
    """
    frequencies = root / f"sys/devices/system/cpu/cpu{core or 0}/cpufreq"
    if core is not None:
        _keep_busy(core)
    kilohertz = _number(frequencies / "scaling_cur_freq")
    temperature, limit = _temperature(root)
    if temperature is None:
        answer = re.match(r"temp=(-?[\d.]+)'C", _ask_pi(vcgencmd, "measure_temp"))
        temperature = float(answer[1]) if answer else None
    throttling = _pi_throttling(root, vcgencmd)
    return Conditions(
        governor=_text(frequencies / "scaling_governor"),
        frequency_mhz=None if core is None or kilohertz is None else kilohertz / 1e3,
        temperature_c=temperature,
        throttling=_x86_throttling(root, core) if throttling is None else throttling,
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        limit_c=limit,
    )


def involuntary_switches() -> int | None:
    """Returns how often the system took a processor away from this process's threads; None where it does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def remarks(before: Conditions, after: Conditions, cores: int) -> list[str]:
    """Returns what of a machine's state may have distorted its timings, a sentence each.

    Args:
        before: When latencies began to be taken.
        after: When they had been.
        cores: How many logical cores the measurement might use.
    """
    found = (
        _of_governor(before, after),
        *_of_throttling(before, after),
        _of_heat(before, after),
        _of_clock(before, after),
        _of_load(before, cores),
    )
    return [sentence for sentence in found if sentence]


def _of_governor(before: Conditions, after: Conditions) -> str | None:
    others = {state.governor for state in (before, after) if state.governor not in (None, "performance")}
    if not others:
        return None
    names = " and ".join(sorted(map(str, others)))
    return f"the frequency governor is {names}; only performance asks for the highest clock at all times"


def _of_throttling(before: Conditions, after: Conditions) -> Iterator[str]:
    known = before.throttling or ()
    if new := [cause for cause in after.throttling or () if cause not in known]:
        yield f"while latencies were taken the processor was held back: {', '.join(new)}"
    if old := [cause for cause in known if cause.endswith(_NOW)]:
        yield f"when latencies began to be taken the processor was held back: {', '.join(old)}"


def _of_heat(before: Conditions, after: Conditions) -> str | None:
    hottest = max((state.temperature_c for state in (before, after) if state.temperature_c is not None), default=None)
    limit = after.limit_c or before.limit_c
    if hottest is None or limit is None or hottest < limit:
        return None
    return f"the processor was at {hottest:.0f} °C; from {limit:.0f} °C on the system slows it"


def _of_clock(before: Conditions, after: Conditions) -> str | None:
    first, last = before.frequency_mhz, after.frequency_mhz
    if first is None or last is None or last >= (1 - _CLOCK_FALL) * first:
        return None
    return f"the clock fell from {first:.0f} to {last:.0f} MHz, and latencies grow as it falls"


def _of_load(before: Conditions, cores: int) -> str | None:
    if before.load is None or round(before.load) + 1 <= cores:  # with the one that is measured
        return None
    waiting = f"{before.load:.1f} processes ran or waited on average in the minute before"
    return f"{waiting}, which leaves none of {cores} cores free"


def _keep_busy(core: int) -> None:
    """Runs on a core for a moment, where this process may choose."""
    if not hasattr(os, "sched_setaffinity"):
        return
    allowed = os.sched_getaffinity(0)
    if core not in allowed:
        return
    os.sched_setaffinity(0, {core})
    try:
        end = monotonic() + _BUSY_S
        while monotonic() < end:
            pass
    finally:
        os.sched_setaffinity(0, allowed)


def _temperature(root: Path) -> tuple[float | None, float | None]:
    """Returns the processor's temperature and its limit, where the kernel tells."""
    zones, sensors = _zones(root), _sensors(root)
    heats = [heat for heat, _ in zones or sensors]
    limits = [limit for _, limit in zones if limit is not None] or [limit for _, limit in sensors if limit is not None]
    return max(heats, default=None), min(limits, default=None)


def _zones(root: Path) -> list[tuple[float, float | None]]:
    """Returns each zone's temperature, and the lowest at which the kernel slows the processor (a passive trip)."""
    found = []
    for zone in root.glob("sys/class/thermal/thermal_zone*"):
        heat = _degrees(zone / "temp")
        if heat is None or not (_text(zone / "type") or "").lower().startswith(_ZONES):
            continue
        trips = [kind for kind in zone.glob("trip_point_*_type") if _text(kind) == "passive"]
        limits = [_degrees(kind.with_name(kind.name.replace("_type", "_temp"))) for kind in trips]
        found.append((heat, min((limit for limit in limits if limit is not None and limit > 0), default=None)))
    return found


def _sensors(root: Path) -> list[tuple[float, float | None]]:
    """Returns each sensor's temperature, and the one at which the processor slows itself."""
    chips = (chip for chip in root.glob("sys/class/hwmon/hwmon*") if _text(chip / "name") in _SENSORS)
    inputs = [sensor for chip in chips for sensor in chip.glob("temp*_input")]
    pairs = (
        (_degrees(sensor), _degrees(sensor.with_name(sensor.name.replace("_input", "_crit")))) for sensor in inputs
    )
    return [(heat, limit) for heat, limit in pairs if heat is not None]


def _pi_throttling(root: Path, vcgencmd: str) -> tuple[str, ...] | None:
    """Returns what the firmware of a Raspberry Pi says, by its own program or by the kernel's older file."""
    _, _, bits = _ask_pi(vcgencmd, "get_throttled").partition("throttled=")
    files = sorted(root.glob("sys/devices/platform/soc*/soc*:firmware/get_throttled"))
    text = bits.strip() or next((found for file in files if (found := _text(file))), "")
    if not re.fullmatch(r"(0x)?[0-9a-fA-F]+", text):
        return None
    value = int(text, 16)
    now = tuple(f"{word}{_NOW}" for bit, word in _PI_BITS.items() if value >> bit & 1)
    return now + tuple(f"{word}{_SINCE}" for bit, word in _PI_BITS.items() if value >> bit + _PI_SINCE & 1)


def _x86_throttling(root: Path, core: int | None) -> tuple[str, ...] | None:
    """Returns how often the heat of a core, or of its whole processor, made it slow down."""
    folder = root / f"sys/devices/system/cpu/cpu{core or 0}/thermal_throttle"
    counts = {"package": _number(folder / "package_throttle_count")}
    if core is not None:
        counts[f"core {core}"] = _number(folder / "core_throttle_count")
    known = {what: int(count) for what, count in counts.items() if count is not None}
    if not known:
        return None
    return tuple(f"{what} slowed by heat {count} times{_SINCE}" for what, count in known.items() if count)


def _ask_pi(vcgencmd: str, what: str) -> str:
    """Returns what vcgencmd answers; an empty text where there is none, or it may not be used."""
    import shutil
    import subprocess  # here, as workers have no use for it

    program = shutil.which(vcgencmd)
    if program is None:
        return ""
    try:
        call = subprocess.run([program, what], capture_output=True, text=True, timeout=_PI_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return call.stdout.strip() if call.returncode == 0 else ""


def _number(path: Path) -> float | None:
    text = _text(path)
    return float(text) if text is not None and re.fullmatch(r"-?\d+", text) else None


def _degrees(path: Path) -> float | None:
    millidegrees = _number(path)
    return None if millidegrees is None else millidegrees / 1e3


def _text(path: Path) -> str | None:
    """Returns a small system file's text; None where it cannot be read, as of a sensor that is off."""
    try:
        return path.read_text(errors="replace").strip() or None
    except OSError:
        return None
