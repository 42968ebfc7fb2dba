"""The machine that a figure was measured on: without it, a latency says nothing."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from liteport.errors import require
from liteport.runtime.backends import installed_version
from liteport.runtime.cpu import cpu_features, read_cpuinfo, this_cpu

PACKAGES = ("liteport", "numpy", "ai-edge-litert", "tflite-runtime", "onnxruntime", "ncnn", "MNN")
_BOARD = "/proc/device-tree/model"


@dataclass(frozen=True)
class Environment:
    """A machine and its software.

    Attributes:
        cpu: The processor's name.
        board: The computer's name where the system tells it, such as "Raspberry Pi 5 Model B Rev 1.0".
        architecture: Such as "x86_64", "aarch64", "armv7l".
        cpu_features: Those the processor has of the ones that inference kernels choose by; empty where unknown.
        physical_cores: Cores; None where unknown.
        usable_cores: Logical cores that this process may use.
        max_frequency_mhz: The processor's highest clock; None where unknown.
        memory_bytes: Main memory.
        system: Operating system and its release.
        python: Version and implementation.
        packages: Version of each of `PACKAGES`; None where not installed.
    """

    cpu: str
    board: str | None
    architecture: str
    cpu_features: tuple[str, ...]
    physical_cores: int | None
    usable_cores: int
    max_frequency_mhz: float | None
    memory_bytes: int
    system: str
    python: str
    packages: dict[str, str | None]


def describe_environment() -> Environment:
    """Describes this machine.

    Raises:
        MissingDependencyError: If psutil is not installed.
    """
    psutil = require("psutil", "benchmarks")
    frequency = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
    return Environment(
        cpu=this_cpu(),
        board=_text(_BOARD),
        architecture=platform.machine(),
        cpu_features=cpu_features(read_cpuinfo()),
        physical_cores=psutil.cpu_count(logical=False),
        usable_cores=len(usable_cores()),
        max_frequency_mhz=frequency.max if frequency and frequency.max else None,  # 0 stands for unknown
        memory_bytes=psutil.virtual_memory().total,
        system=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_version()} ({platform.python_implementation()})",
        packages={name: installed_version(name) for name in PACKAGES},
    )


def device_name() -> str:
    """Returns what this machine is called where nobody gave it a name: its board, or what it calls itself."""
    return _text(_BOARD) or platform.node() or platform.machine()


def usable_cores() -> list[int]:
    """Returns the logical cores that this process may use; where the system does not tell, all there are."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _text(path: str) -> str | None:
    """Returns a small system file's text, less the NUL that ends device-tree strings; None where it is not there."""
    try:
        return Path(path).read_text(errors="replace").strip(" \t\n\0") or None
    except OSError:
        return None
