import dataclasses
import json
import os
import platform
from pathlib import Path

import numpy as np
import pytest

from liteport.benchmarks import environment
from liteport.benchmarks.environment import describe_environment, device_name, usable_cores
from liteport.runtime.cpu import cpu_features, cpu_name

X86 = "processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\nflags\t\t: fpu sse4_2 avx2 amx_int8 avx512_vnni\n"
PI_5 = (
    "processor\t: 0\nFeatures\t: fp asimd evtstrm fphp asimdhp cpuid asimddp\nCPU implementer\t: 0x41\n"
    "CPU architecture: 8\nCPU part\t: 0xd0b\n\nRevision\t: c04170\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n"
)
PI_2 = (
    "processor\t: 0\nmodel name\t: ARMv7 Processor rev 5 (v7l)\nFeatures\t: half thumb neon vfpv4\n"
    "CPU implementer\t: 0x41\nCPU part\t: 0xc07\n"
)
BIG_LITTLE = "CPU implementer\t: 0x41\nCPU part\t: 0xd03\n\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n"
UNKNOWN_PART = "model name\t: ARMv7 of another maker\nCPU implementer\t: 0x51\nCPU part\t: 0xd03\n"


@pytest.mark.parametrize(
    ("cpuinfo", "name", "features"),
    [
        (X86, "Some CPU @ 2.00GHz", ("sse4_2", "avx2", "avx512_vnni", "amx_int8")),
        (PI_5, "Cortex-A76", ("asimd", "asimdhp", "asimddp")),
        (PI_2, "Cortex-A7", ("neon", "vfpv4")),
        (BIG_LITTLE, "Cortex-A53 + Cortex-A72", ()),
        (UNKNOWN_PART, "ARMv7 of another maker", ()),
        ("", None, ()),
    ],
)
def test_reads_cpuinfo_of_x86_and_arm(cpuinfo: str, name: str | None, features: tuple[str, ...]) -> None:
    assert cpu_name(cpuinfo) == name
    assert cpu_features(cpuinfo) == features


def test_describes_this_machine() -> None:
    found = describe_environment()
    assert found.cpu
    assert found.architecture == platform.machine()
    assert 1 <= found.usable_cores == len(usable_cores()) <= (os.cpu_count() or 1)
    assert found.memory_bytes > 100e6  # no machine that runs this has less
    assert found.packages["numpy"] == np.__version__
    engines = {"ai-edge-litert", "tflite-runtime", "onnxruntime", "ncnn", "MNN"}
    assert set(found.packages) == {"liteport", "numpy", *engines}
    assert json.loads(json.dumps(dataclasses.asdict(found)))["python"].startswith(platform.python_version())


def test_a_machine_has_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    monkeypatch.setattr(environment, "_BOARD", str(tmp_path / "model"))
    assert device_name() == describe_environment().board == "Raspberry Pi 5 Model B Rev 1.0"
    monkeypatch.setattr(environment, "_BOARD", str(tmp_path / "missing"))
    assert device_name() == (platform.node() or platform.machine())
