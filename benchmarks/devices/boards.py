"""The boards that can be emulated: what each has for a processor, and what can be installed on it.

An inference engine chooses its kernels by what the processor says of itself: by its instruction set, which QEMU tells,
and by its make, which stands in /proc/cpuinfo. So both are those of the board.
"""

from dataclasses import dataclass
from types import MappingProxyType

from liteport.errors import unknown_name


@dataclass(frozen=True)
class Architecture:
    """A kind of Arm system.

    Attributes:
        name: As `platform.machine()` has it there.
        debian: Debian's name of it.
        emulator: QEMU's program for it.
        packages: Debian packages with what PyPI has no wheel for.
        extras: The extras of liteport that its engines need.
        engines: The package that runs a file, by its suffix; files of others cannot be run there.
        board: The board that its programs run on where none is named.
    """

    name: str
    debian: str
    emulator: str
    packages: tuple[str, ...]
    extras: tuple[str, ...]
    engines: tuple[tuple[str, str], ...]
    board: str

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Suffixes of the files that can be run there."""
        return tuple(suffix for suffix, _ in self.engines)


@dataclass(frozen=True)
class Board:
    """A Raspberry Pi.

    Attributes:
        name: As it is asked for.
        title: In words.
        architecture: The name of its architecture.
        cpu: QEMU's name of its processor. (QEMU's default, "max", has no real one's kernels; with it, integer
            results were wrong.)
        cpuinfo: What /proc/cpuinfo says of each core there.
    """

    name: str
    title: str
    architecture: str
    cpu: str
    cpuinfo: tuple[str, ...]


CORES = 4  # of each board

ARCHITECTURES = MappingProxyType(
    {
        "aarch64": Architecture(
            name="aarch64",
            debian="arm64",
            emulator="qemu-aarch64",
            packages=(),
            extras=("onnx", "ncnn", "mnn"),
            engines=((".tflite", "ai-edge-litert"), (".onnx", "onnxruntime"), (".param", "ncnn"), (".mnn", "MNN")),
            board="pi4",
        ),
        "armv7l": Architecture(
            name="armv7l",
            debian="armhf",
            emulator="qemu-arm",
            packages=("python3-numpy", "python3-pil"),
            extras=("ncnn",),
            engines=((".tflite", "tflite-runtime"), (".param", "ncnn")),
            board="pi2",
        ),
    }
)


def _board(
    name: str, title: str, architecture: str, cpu: str, part: str, features: str, *, variant: str = "0x0", revision: int
) -> Board:
    level = 8 if architecture == "aarch64" else 7
    cpuinfo = (
        "BogoMIPS: 108.00",
        f"Features: {features}",
        "CPU implementer: 0x41",
        f"CPU architecture: {level}",
        f"CPU variant: {variant}",
        f"CPU part: {part}",
        f"CPU revision: {revision}",
    )
    return Board(name, title, architecture, cpu, cpuinfo)


_ARMV7 = "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm"
_ARMV8 = "fp asimd evtstrm crc32 cpuid"
_ARMV8_2 = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"  # with SDOT
)

BOARDS = MappingProxyType(
    {
        board.name: board
        for board in (
            _board("pi2", "Raspberry Pi 2", "armv7l", "cortex-a7", "0xc07", _ARMV7, revision=5),
            _board("pi3", "Raspberry Pi 3", "aarch64", "cortex-a53", "0xd03", _ARMV8, revision=4),
            _board("pi4", "Raspberry Pi 4", "aarch64", "cortex-a72", "0xd08", _ARMV8, revision=3),
            _board("pi5", "Raspberry Pi 5", "aarch64", "cortex-a76", "0xd0b", _ARMV8_2, variant="0x4", revision=1),
        )
    }
)
"""By name. A Raspberry Pi 2 has a Cortex-A7 up to revision 1.1; 1.2 has the processor of a 3."""


def find_board(name: str) -> Board:
    """Returns the board of a name.

    Raises:
        InvalidInputError: If there is none.
    """
    if name not in BOARDS:
        raise unknown_name("board", name, BOARDS)
    return BOARDS[name]
