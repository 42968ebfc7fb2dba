"""Builds Python environments for Arm, as a Raspberry Pi has them, that run here under QEMU's user-mode emulation.

    python tests/arm/build.py --for-tests aarch64 armv7l

Each becomes a folder in `.arm/` with a virtual environment, whose programs are called like any other. It has Debian's
Python (release bookworm, which Raspberry Pi OS is made from) and the wheel of this checkout with its dependencies,
installed by pip as it runs on that processor: it judges environment markers and wheels as on a device. What is up to
date is kept. Needs Debian, whose package sources are used, and root where QEMU is to be installed.
"""

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / ".arm"
RECIPE = 2  # to be raised when this file changes what is built

# What stands for Python in an environment. The emulator tells Python (-0) the script's name as its own, so that Python
# finds the environment by it, and starts processes with it. Bytecode must be written, or each process compiles anew.
START = """#!/bin/sh
unset PYTHONDONTWRITEBYTECODE
exec {emulator} -L "{system}" -cpu "${{ARM_CPU:-{cpu}}}" ${{ARM_QEMU-}} -0 "{python}" "{interpreter}" "$@"
"""

RELEASE = "bookworm"  # its Python is 3.11, the last that tflite-runtime has wheels for
SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
LIBRARIES = ("python3", "python3-pip-whl", "libstdc++6", "libgomp1", "libatomic1", "ca-certificates")


@dataclass(frozen=True)
class Machine:
    """A kind of Arm machine.

    Attributes:
        debian: Debian's name of it.
        emulator: QEMU's program.
        cpu: The processor that is emulated; QEMU's default, "max", has none's kernels and gives wrong int8 results.
        cpuinfo: What /proc/cpuinfo says of each core.
        packages: Debian packages with what PyPI has no wheel for.
        unpinned: What has no wheel there in the version of constraints.txt: other versions may serve.
        extras: The wheel's extras that can be installed there.
        requirements: What the tests need.
    """

    debian: str
    emulator: str
    cpu: str
    cpuinfo: tuple[str, ...]
    packages: tuple[str, ...]
    unpinned: tuple[str, ...]
    extras: str
    requirements: tuple[str, ...]


MACHINES = {
    "aarch64": Machine(
        debian="arm64",
        emulator="qemu-aarch64",
        cpu="cortex-a72",  # Raspberry Pi 4
        cpuinfo=("Features: fp asimd evtstrm crc32 cpuid", "CPU architecture: 8", "CPU part: 0xd08"),
        packages=(),
        unpinned=(),
        extras="[image,onnx,sign]",
        requirements=("pytest", "hypothesis", "onnx"),
    ),
    "armv7l": Machine(
        debian="armhf",
        emulator="qemu-arm",
        cpu="cortex-a7",  # Raspberry Pi 2
        cpuinfo=(
            "Features: half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm",
            "CPU architecture: 7",
            "CPU part: 0xc07",
        ),
        packages=("python3-numpy", "python3-pil"),
        unpinned=("numpy", "pillow", "hypothesis"),
        extras="",
        requirements=("pytest", "hypothesis", "flatbuffers"),
    ),
}


def build(name: str, wheel: Path, for_tests: bool) -> Path:
    """Brings an environment up to date and returns its folder."""
    machine, system, environment = MACHINES[name], FOLDER / name / "system", FOLDER / name / "venv"
    install_emulator(machine)
    recipe = f"{RECIPE} {machine}"
    if not is_done(system, recipe):
        print(f"arm: {name}: unpacking Debian {RELEASE}'s Python", flush=True)
        shutil.rmtree(FOLDER / name, ignore_errors=True)
        unpack_system(machine, system)
        mark_done(system, recipe)
    recipe = f"{requirements(wheel)}\n{constraints(machine.unpinned)}"
    if not is_done(environment, recipe):
        make_environment(system, environment)
        (environment / "constraints.txt").write_text(constraints(machine.unpinned), encoding="utf-8")
        mark_done(environment, recipe)
    installed, tools = environment / "wheel", environment / "tools"
    if not is_done(installed, digest(wheel)):
        print(f"arm: {name}: installing {wheel.name} with emulated pip", flush=True)
        remove_wheel(environment)
        pip(machine, environment, str(wheel))
        mark_done(installed, digest(wheel))
    if for_tests and not is_done(tools, recipe):
        print(f"arm: {name}: installing {' '.join(machine.requirements)} with emulated pip", flush=True)
        pip(machine, environment, f"{wheel}{machine.extras}", *machine.requirements)
        mark_done(tools, recipe)
    return environment


def is_done(folder: Path, recipe: str) -> bool:
    """Tells whether a folder was finished by this recipe."""
    note = folder / "recipe.txt"
    return note.is_file() and note.read_text(encoding="utf-8") == recipe


def mark_done(folder: Path, recipe: str) -> None:
    """Notes by which recipe a folder was finished."""
    folder.mkdir(exist_ok=True)
    (folder / "recipe.txt").write_text(recipe, encoding="utf-8")


def install_emulator(machine: Machine) -> None:
    """Installs QEMU where it is missing, if that is allowed."""
    if shutil.which(machine.emulator):
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise SystemExit(f"{machine.emulator} is missing; run as root: apt-get install qemu-user")
    print("arm: installing qemu-user", flush=True)
    run("apt-get", "update", "-qq")
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", "qemu-user")


def unpack_system(machine: Machine, system: Path) -> None:
    """Has apt resolve and download what Python needs, and unpacks it; nothing of this machine's own apt is touched."""
    suffix, sources = package_sources()
    system.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as name:
        apt = Path(name)
        for part in ("lists/partial", "archives/partial", "parts"):
            (apt / part).mkdir(parents=True)
        (apt / "status").touch()
        (apt / f"sources{suffix}").write_text(sources, encoding="utf-8")
        settings = {
            "APT::Architecture": machine.debian,
            "APT::Architectures": machine.debian,
            "APT::Sandbox::User": "root",  # else it cannot read a private temporary folder
            "Acquire::Retries": "3",
            "Dir::Etc::sourcelist": apt / f"sources{suffix}",
            "Dir::Etc::sourceparts": apt / "parts",
            "Dir::State::lists": apt / "lists",
            "Dir::State::status": apt / "status",
            "Dir::Cache": apt,
        }
        command = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in settings.items())]
        run(*command, "update")
        options = ("-y", "--no-install-recommends", "--download-only")
        run(*command, "install", *options, *LIBRARIES, *machine.packages)
        for package in sorted((apt / "archives").glob("*.deb")):
            run("dpkg-deb", "-x", str(package), str(system))
    finish_system(machine, system)


def package_sources() -> tuple[str, str]:
    """The package sources of this machine, for the other release: a file's suffix, which says its form, and content."""
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    for path in SOURCES:
        if path.is_file() and codename and re.search(rf"\b{codename}\b", text := path.read_text(encoding="utf-8")):
            return path.suffix, re.sub(rf"\b{codename}\b", RELEASE, text)
    raise SystemExit(f"no package sources of Debian in {' or '.join(map(str, SOURCES))}; expected to run on Debian")


def finish_system(machine: Machine, system: Path) -> None:
    """Makes the links that installing would have made, unpacks pip, and describes the processor."""
    for library in system.glob("usr/lib/*/*/lib*.so.3"):  # BLAS and LAPACK, which update-alternatives links
        link = library.parent.parent / library.name
        if not link.exists():
            link.symlink_to(library.relative_to(link.parent))
    for name in ("bin", "lib", "sbin"):
        if not (system / name).exists():
            (system / name).symlink_to(f"usr/{name}")
    with zipfile.ZipFile(next(system.glob("usr/share/python-wheels/pip-*.whl"))) as archive:
        archive.extractall(system / "pip")
    # Without it, XNNPACK and ONNX Runtime read this machine's own /proc/cpuinfo and die of SIGSEGV.
    lines = ("BogoMIPS: 108.00", "CPU implementer: 0x41", "CPU variant: 0x0", "CPU revision: 3", *machine.cpuinfo)
    cores = (f"processor: {core}\n" + "\n".join(lines) + "\n\n" for core in range(os.cpu_count() or 1))
    (system / "proc").mkdir(exist_ok=True)
    (system / "proc/cpuinfo").write_text("".join(cores).replace(": ", "\t: "), encoding="utf-8")


def make_environment(system: Path, environment: Path) -> None:
    """Makes an empty virtual environment that sees Debian's packages."""
    shutil.rmtree(environment, ignore_errors=True)
    (environment / "bin").mkdir(parents=True)
    home = f"home = {interpreter(system).parent}\ninclude-system-site-packages = true\n"
    (environment / "pyvenv.cfg").write_text(home, encoding="utf-8")


def pip(machine: Machine, environment: Path, *arguments: str) -> None:
    """Has Debian's pip, on the emulated processor, install something; then `python` starts the emulator.

    While pip runs, `python` is the Arm program itself: pip reads in its header which kind of Arm it is for.
    """
    system, python = environment.parent / "system", environment / "bin/python"
    names = {"system": system, "python": python, "interpreter": interpreter(system)}
    start = START.format(emulator=machine.emulator, cpu=machine.cpu, **names)
    options = ("-q", "--disable-pip-version-check", "--no-compile", "--only-binary", ":all:")
    python.unlink(missing_ok=True)
    python.symlink_to(interpreter(system))
    limits = str(environment / "constraints.txt")
    run("sh", "-c", start, "python", str(system / "pip/pip"), "install", *options, "-c", limits, *arguments)
    python.unlink()
    python.write_text(start, encoding="utf-8")
    python.chmod(0o755)


def remove_wheel(environment: Path) -> None:
    """Removes an older wheel of this checkout: pip takes one of the same version for the same."""
    for folder in environment.glob("lib/*/site-packages/liteport*"):
        shutil.rmtree(folder)


def interpreter(system: Path) -> Path:
    """Debian's Python."""
    return next(system.glob("usr/bin/python3.[0-9]*"))


def build_wheel() -> Path:
    """Builds this checkout's wheel from a copy, so that its own build folder is left alone."""
    dist = FOLDER / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "source"
        ignored = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "demo", "tests")
        shutil.copytree(ROOT, copy, ignore=ignored)
        os.environ["SOURCE_DATE_EPOCH"] = "1500000000"  # the same sources make the same wheel, byte for byte
        run(sys.executable, "-m", "pip", "-q", "wheel", "--no-deps", "--no-build-isolation", "-w", str(dist), str(copy))
    return next(dist.glob("*.whl"))


def requirements(wheel: Path) -> str:
    """What the wheel asks for."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(entry for entry in archive.namelist() if entry.endswith(".dist-info/METADATA"))
        return "\n".join(re.findall(r"^Requires-Dist: .*$", archive.read(name).decode(), re.MULTILINE))


def constraints(without: tuple[str, ...] = ()) -> str:
    """The versions that were tried together, without those of some packages."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if line.partition("==")[0] not in without)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run(*command: str) -> None:
    """Runs a command; what it says is shown only where it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{done.stdout.rstrip()}\n{' '.join(command)}\nended with {done.returncode}")


def main() -> None:
    """Builds the environments named on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("machines", nargs="+", choices=sorted(MACHINES))
    parser.add_argument("--for-tests", action="store_true", help="install pytest and the extras that tests need")
    options = parser.parse_args()
    wheel = build_wheel()
    for name in options.machines:
        print(f"arm: {build(name, wheel, options.for_tests)} is ready", flush=True)


if __name__ == "__main__":
    main()
