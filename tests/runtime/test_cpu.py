import pytest

from liteport.runtime.cpu import CPU_FEATURES, cpu_features, cpu_name, read_cpuinfo, this_cpu

X86 = """processor\t: 0
model name\t: Intel(R) Xeon(R) Processor @ 2.10GHz
flags\t\t: fpu sse4_2 avx2 avx512_vnni amx_int8

processor\t: 1
model name\t: Intel(R) Xeon(R) Processor @ 2.10GHz
flags\t\t: fpu sse4_2 avx2 avx512_vnni amx_int8
"""
PI_4 = """processor\t: 0
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU part\t: 0xd08

Model\t\t: Raspberry Pi 4 Model B Rev 1.4
"""
BIG_LITTLE = "CPU implementer : 0x41\nCPU part : 0xd03\n\nCPU implementer : 0x41\nCPU part : 0xd09\n"
OTHER_MAKER = "CPU implementer : 0x51\nCPU part : 0xd03\n"
UNKNOWN_PART = "CPU implementer : 0x41\nCPU part : 0xfff\n"
PI_32_BIT = "model name\t: ARMv7 Processor rev 3 (v7l)\nFeatures\t: half thumb neon vfpv4\n"


@pytest.mark.parametrize(
    ("cpuinfo", "name", "features"),
    [
        (X86, "Intel(R) Xeon(R) Processor @ 2.10GHz", ("sse4_2", "avx2", "avx512_vnni", "amx_int8")),
        (PI_4 * 4, "Cortex-A72", ("asimd",)),
        (BIG_LITTLE, "Cortex-A53 + Cortex-A73", ()),
        (OTHER_MAKER, None, ()),
        (UNKNOWN_PART, None, ()),
        (PI_32_BIT, "ARMv7 Processor rev 3 (v7l)", ("neon", "vfpv4")),
        ("", None, ()),
    ],
    ids=["x86", "Pi 4", "two kinds of cores", "other maker", "unknown part", "32-bit", "nothing"],
)
def test_name_and_features_are_found(cpuinfo: str, name: str | None, features: tuple[str, ...]) -> None:
    assert cpu_name(cpuinfo) == name
    assert cpu_features(cpuinfo) == features


def test_a_feature_is_a_whole_word() -> None:
    assert cpu_features("flags : avx512_vnnix xavx2 sse4_2y\n") == ()


def test_this_machine_has_a_name() -> None:
    assert this_cpu().strip()
    assert set(cpu_features(read_cpuinfo())) <= set(CPU_FEATURES)
