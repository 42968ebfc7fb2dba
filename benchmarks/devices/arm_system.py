"""QEMU and Arm systems from Debian's packages: resolved and downloaded by apt, unpacked into a folder, never installed.

Nothing of this machine's own apt is touched, and nobody needs to be root. The emulator comes from the same release
too: later ones build it without plugins, and a count should not depend on which one a machine happens to have.
"""

import contextlib
import platform
import re
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

from liteport.errors import BackendError, InvalidInputError, MissingDependencyError

from .boards import BOARDS, CORES, Architecture, Board

RELEASE = "bookworm"
"""Its Python is 3.11, the last that tflite-runtime has wheels for; its QEMU is 7.2, with plugins of API 1."""

_SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_PYTHON = ("python3", "python3-pip-whl", "libstdc++6", "libgomp1", "libatomic1", "ca-certificates")


def check_machine() -> None:
    """Checks that emulation can work on this machine.

    Raises:
        InvalidInputError: If it is no Linux on x86-64.
        MissingDependencyError: If a program is missing; the message says how to install it.
    """
    system, machine = platform.system(), platform.machine()
    if (system, machine) != ("Linux", "x86_64"):
        raise InvalidInputError(f"boards are emulated on Linux on x86-64 only; this is {system} on {machine}")
    for program in ("apt-get", "dpkg-deb"):
        if not shutil.which(program):
            raise MissingDependencyError(
                f"{program} was not found; the emulated systems come from Debian's packages, which takes Debian, "
                "Ubuntu or a container of either"
            )
    find_compiler()
    package_sources()


def find_compiler() -> str:
    """Returns the C compiler, which the counter of instructions is built with.

    Raises:
        MissingDependencyError: If there is none.
    """
    for name in ("cc", "gcc", "clang"):
        if path := shutil.which(name):
            return path
    raise MissingDependencyError("no C compiler (cc) was found; run as root: apt-get install gcc libc6-dev")


def package_sources() -> tuple[str, str]:
    """Returns package sources of Debian's release: a file's suffix, which says its form, and its content.

    On Debian they are this machine's own, with its mirror; elsewhere Debian's, if its keys are there.

    Raises:
        MissingDependencyError: If neither can be had.
    """
    release = platform.freedesktop_os_release()
    codename = rf"\b{release.get('VERSION_CODENAME', '')}\b"
    for path in _SOURCES if release["ID"] == "debian" else ():
        if path.is_file() and re.search(codename, text := path.read_text(encoding="utf-8")):
            return path.suffix, re.sub(codename, RELEASE, text)
    if _KEYS.is_file():
        return ".list", f"deb [signed-by={_KEYS}] http://deb.debian.org/debian {RELEASE} main\n"
    raise MissingDependencyError(
        "the keys of Debian's packages, which emulated systems are made of, were not found; "
        "run as root: apt-get install debian-archive-keyring"
    )


def unpack_emulator(folder: Path, programs: tuple[str, ...], log: Path) -> None:
    """Unpacks QEMU's user-mode emulators, with their libraries, into an empty folder.

    Raises:
        BackendError: If the packages cannot be had.
    """
    _unpack("amd64", ("qemu-user",), folder, log)
    for path in folder.glob("usr/bin/qemu-*"):
        if path.name not in programs:  # those of other processors, a hundred megabytes
            path.unlink()


def emulator_command(folder: Path, program: str) -> list[str]:
    """Returns what starts an unpacked emulator: its own loader, so that it meets none of this machine's libraries."""
    libraries = ":".join(f"{folder}/{place}/x86_64-linux-gnu" for place in ("lib", "usr/lib"))
    loader = folder / "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    return [str(loader), "--library-path", libraries, str(folder / "usr/bin" / program)]


def unpack_system(architecture: Architecture, folder: Path, log: Path) -> None:
    """Unpacks Debian's Python, and pip to `pip/`, into an empty folder; `boards/` gets a root for each board.

    Raises:
        BackendError: If the packages cannot be had.
    """
    _unpack(architecture.debian, (*_PYTHON, *architecture.packages), folder, log)
    for library in folder.glob("usr/lib/*/*/lib*.so.3"):  # BLAS and LAPACK, which update-alternatives would link
        link = library.parent.parent / library.name
        if not link.exists():
            link.symlink_to(library.relative_to(link.parent))
    for name in ("bin", "lib", "sbin"):
        if not (folder / name).exists():
            (folder / name).symlink_to(f"usr/{name}")
    parts = sorted(folder.iterdir())
    with zipfile.ZipFile(next(folder.glob("usr/share/python-wheels/pip-*.whl"))) as archive:
        archive.extractall(folder / "pip")
    for board in BOARDS.values():
        if board.architecture == architecture.name:
            _make_root(board, folder / "boards" / board.name, parts)


def _make_root(board: Board, root: Path, parts: list[Path]) -> None:
    """Makes the root of one board: links to the system's parts, and its own description of the processor.

    QEMU gives the program a file of this root before this machine's of the same path. Without a description there,
    the engines would read this machine's own, and die of it.
    """
    for name, text in {
        "proc/cpuinfo": "".join(f"processor: {core}\n" + "\n".join(board.cpuinfo) + "\n\n" for core in range(CORES)),
        **{f"sys/devices/system/cpu/{kind}": f"0-{CORES - 1}\n" for kind in ("online", "possible", "present")},
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text.replace(": ", "\t: "), encoding="utf-8")
    for part in parts:
        (root / part.name).symlink_to(Path("../..") / part.name)


def _unpack(architecture: str, packages: tuple[str, ...], folder: Path, log: Path) -> None:
    """Has apt, with a state of its own, resolve and download packages of an architecture, and unpacks them."""
    suffix, sources = package_sources()
    with tempfile.TemporaryDirectory(prefix="liteport-apt-") as name:
        apt = Path(name)
        for part in ("lists/partial", "archives/partial", "parts"):
            (apt / part).mkdir(parents=True)
        (apt / "status").touch()
        (apt / f"sources{suffix}").write_text(sources, encoding="utf-8")
        settings = {
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "APT::Sandbox::User": "root",  # else it cannot read a private temporary folder
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "Dir::Etc::sourcelist": apt / f"sources{suffix}",
            "Dir::Etc::sourceparts": apt / "parts",
            "Dir::State::lists": apt / "lists",
            "Dir::State::status": apt / "status",
            "Dir::Cache": apt,
        }
        command = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in settings.items())]
        with contextlib.suppress(BackendError):  # a mirror in sync lacks an index for hours, and the others will do:
            run([*command, "update"], log)  # where they do not, installing fails, and the log has both
        run([*command, "install", "-y", "--no-install-recommends", "--download-only", *packages], log)
        for package in sorted((apt / "archives").glob("*.deb")):
            run(["dpkg-deb", "-x", str(package), str(folder)], log)


def run(command: list[str], log: Path, variables: dict[str, str] | None = None) -> None:
    """Runs a step of the set-up, its output going to the log.

    Raises:
        BackendError: If it ends with an error; the message has its last words.
    """
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=variables, text=True, check=False
    )
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ {' '.join(command)}\n{done.stdout}")
    if done.returncode:
        last = done.stdout.strip().rpartition("\n")[2]
        raise BackendError(f"setting up emulation failed, {log} says how; last words: {last or done.returncode}")
