"""What the processor is and which instructions it has: inference kernels choose by them."""

import platform
import re
import subprocess
import sys
from pathlib import Path

# The features that inference kernels choose by, as /proc/cpuinfo spells them.
CPU_FEATURES = (
    *("sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_int8", "amx_bf16"),
    *("neon", "vfpv4", "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2"),
)

# Arm's /proc/cpuinfo gives numbers instead of names: implementer 0x41, then the part, from the cores' manuals (MIDR).
ARM_PARTS = {
    "0xb76": "Arm1176",
    "0xc07": "Cortex-A7",
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse N1",
    "0xd40": "Neoverse V1",
    "0xd41": "Cortex-A78",
    "0xd49": "Neoverse N2",
    "0xd4f": "Neoverse V2",
}


def read_cpuinfo() -> str:
    """Returns /proc/cpuinfo, or an empty text where the system has none."""
    path = Path("/proc/cpuinfo")
    return path.read_text(errors="replace") if path.is_file() else ""


def this_cpu() -> str:
    """Returns this machine's processor's name, or at least its architecture."""
    return cpu_name(read_cpuinfo()) or _sysctl_cpu() or platform.processor() or platform.machine()


def cpu_name(cpuinfo: str) -> str | None:
    """Returns the processor's name from /proc/cpuinfo: x86 and 32-bit Arm state it, 64-bit Arm gives part numbers.

    A processor with several kinds of cores has all their names, joined by " + ".
    """
    parts = dict.fromkeys(_fields(cpuinfo, "CPU part"))
    if parts and set(_fields(cpuinfo, "CPU implementer")) == {"0x41"} and set(parts) <= set(ARM_PARTS):
        return " + ".join(ARM_PARTS[part] for part in parts)
    return next(iter(_fields(cpuinfo, "model name")), None)


def cpu_features(cpuinfo: str) -> tuple[str, ...]:
    """Returns which of `CPU_FEATURES` /proc/cpuinfo lists: under "flags" on x86, under "Features" on Arm."""
    present = set(" ".join(_fields(cpuinfo, "flags") + _fields(cpuinfo, "Features")).split())
    return tuple(feature for feature in CPU_FEATURES if feature in present)


def _fields(cpuinfo: str, name: str) -> list[str]:
    return re.findall(rf"^{name}\s*:\s*(.+?)\s*$", cpuinfo, re.MULTILINE)


def _sysctl_cpu() -> str | None:
    if sys.platform != "darwin":
        return None
    call = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
    return subprocess.run(call, capture_output=True, text=True, check=False).stdout.strip() or None
