"""One Python environment for Arm: what is in it, how to start it, and the steps that build it.

Debian's Python with the liteport that is running here, which pip installed as it runs on that processor: it judges
environment markers and wheels as on a device.
"""

import os
import re
import shlex
import shutil
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from liteport.files import new_folder, replacing, sha256_of
from liteport.runtime.backends import installed_version

from .arm_system import emulator_command, find_compiler, run, unpack_emulator, unpack_system
from .boards import ARCHITECTURES, BOARDS, Architecture, Board

RECIPE = 4  # to be raised when what is built changes, or how
_NOTE = "recipe.txt"
_EMULATORS = tuple(architecture.emulator for architecture in ARCHITECTURES.values())
_COUNTER = Path(__file__).with_name("instructions.c")

# What stands for Python in an environment's programs, so that they start like any other.
_START = """#!/bin/sh
unset PYTHONDONTWRITEBYTECODE
exec {command} "$@"
"""

# Files that do not compile, such as templates, are left as they are.
_COMPILE = r"""
import compileall, re, sys
for place in sys.argv[1:]:
    compileall.compile_dir(place, quiet=2, rx=re.compile("/tests?/"), workers=0)
"""


@dataclass(frozen=True)
class Step:
    """A part of the set-up.

    Attributes:
        note: A file that says by which recipe the step was done.
        recipe: By which it is to be done.
        work: Does it.
    """

    note: Path
    recipe: str
    work: Callable[[], None]

    def done(self) -> bool:
        """Tells whether it was done by this recipe."""
        return self.note.is_file() and self.note.read_text(encoding="utf-8") == self.recipe

    def do(self) -> None:
        """Does it, unless it is done; the note is written last."""
        if not self.done():
            self.work()
            self.note.write_text(self.recipe, encoding="utf-8")


@dataclass(frozen=True)
class Environment:
    """The Python of one architecture.

    Attributes:
        architecture: What kind of system it is.
        cache: The folder of all environments, which share an emulator.
    """

    architecture: Architecture
    cache: Path

    @property
    def system(self) -> Path:
        """Debian's packages."""
        return self.cache / self.architecture.name / "system"

    @property
    def venv(self) -> Path:
        """A virtual environment, whose programs can be called."""
        return self.cache / self.architecture.name / "venv"

    @property
    def interpreter(self) -> Path:
        """Debian's Python, an Arm program."""
        return next(self.system.glob("usr/bin/python3.[0-9]*"))

    @property
    def emulator(self) -> Path:
        """QEMU and its libraries."""
        return self.cache / "emulator"

    @property
    def counter(self) -> Path:
        """QEMU's plugin that counts instructions."""
        return self.cache / "instructions.so"

    def command(self, board: Board, count_to: Path | None = None) -> list[str]:
        """Returns what starts Python on a board; its arguments follow.

        QEMU tells Python (-0) a program of the virtual environment as its own name, by which Python finds it.

        Args:
            board: One of this architecture.
            count_to: A file to count instructions to, see `instructions.c`.
        """
        command = emulator_command(self.emulator, self.architecture.emulator)
        if count_to is not None:
            plugin, out = (str(path).replace(",", ",,") for path in (self.counter, count_to))
            command += ["-plugin", f"{plugin},out={out}"]
        command += ["-cpu", board.cpu, "-L", str(self.system / "boards" / board.name)]
        return [*command, "-0", str(self.venv / "bin/python"), str(self.interpreter)]

    def pip(self, *arguments: str) -> None:
        """Has Debian's pip, on the emulated processor, install something into the virtual environment.

        While it runs, `python` is the Arm program itself, in whose header pip reads which kind of Arm it is for;
        then it starts the emulator.

        Raises:
            BackendError: If pip ends with an error.
        """
        command, python = self.command(BOARDS[self.architecture.board]), self.venv / "bin/python"
        options = ("-q", "--disable-pip-version-check", "--no-compile", "--only-binary", ":all:")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        python.unlink(missing_ok=True)
        python.symlink_to(self.interpreter)
        run([*command, str(self.system / "pip/pip"), "install", *options, *arguments], self._log, inherited)
        # A process that finds a module not compiled does so itself, and counts otherwise then: its heap is another.
        places = (self.venv / "lib", *sorted(self.system.glob("usr/lib/python3*")))
        run([*command, "-c", _COMPILE, *map(str, places)], self._log, inherited)
        python.unlink()
        python.write_text(_START.format(command=shlex.join(command)), encoding="utf-8")
        python.chmod(0o755)

    def shared_steps(self) -> list[Step]:
        """Returns the steps to what all environments share."""
        compiler, source = find_compiler(), sha256_of(_COUNTER)
        return [
            Step(self.emulator / _NOTE, f"{RECIPE} {_EMULATORS}", self._unpack_emulator),
            Step(self.counter.with_suffix(".txt"), f"{compiler} {source}", self._build_counter),
        ]

    def steps(self, wheel: Path) -> list[Step]:
        """Returns all steps to an environment with a wheel of liteport, in their order."""
        boards = [board for board in BOARDS.values() if board.architecture == self.architecture.name]
        needs = f"{requirements(wheel, self.architecture.extras)}\n{constraints(self.architecture)}"
        return [
            *self.shared_steps(),
            Step(self.system / _NOTE, f"{RECIPE} {self.architecture} {boards}", self._unpack_system),
            Step(self.venv / _NOTE, needs, partial(self._install, wheel)),
            Step(self.venv / "wheel.txt", sha256_of(wheel), partial(self._install_again, wheel)),
        ]

    @property
    def _log(self) -> Path:
        return self.cache / f"{self.architecture.name}.log"

    def _unpack_emulator(self) -> None:
        with new_folder(self.emulator, force=True, marker=_NOTE) as folder:
            unpack_emulator(folder, _EMULATORS, self._log)
            (folder / _NOTE).touch()

    def _build_counter(self) -> None:
        with replacing(self.counter) as path:
            run([find_compiler(), "-O2", "-shared", "-fPIC", "-o", str(path), str(_COUNTER)], self._log)

    def _unpack_system(self) -> None:
        shutil.rmtree(self.venv, ignore_errors=True)  # it belongs to the older system
        with new_folder(self.system, force=True, marker=_NOTE) as folder:
            unpack_system(self.architecture, folder, self._log)
            (folder / _NOTE).touch()

    def _install(self, wheel: Path) -> None:
        """Makes the virtual environment, which sees Debian's packages, with liteport and what it needs."""
        shutil.rmtree(self.venv, ignore_errors=True)
        (self.venv / "bin").mkdir(parents=True)
        home = f"home = {self.interpreter.parent}\ninclude-system-site-packages = true\n"
        (self.venv / "pyvenv.cfg").write_text(home, encoding="utf-8")
        limits = self.venv / "constraints.txt"
        limits.write_text(constraints(self.architecture), encoding="utf-8")
        extras = ",".join(self.architecture.extras)
        self.pip("-c", str(limits), f"{wheel}[{extras}]" if extras else str(wheel))
        (self.venv / "wheel.txt").write_text(sha256_of(wheel), encoding="utf-8")

    def _install_again(self, wheel: Path) -> None:
        """Replaces liteport alone; pip would take another wheel of the same version for the same."""
        (self.venv / "wheel.txt").unlink(missing_ok=True)
        for old in self.venv.glob("lib/*/site-packages/liteport*"):
            shutil.rmtree(old)
        self.pip("--no-deps", str(wheel))


def requirements(wheel: Path, extras: tuple[str, ...] = ()) -> str:
    """Returns what a wheel asks for, and these of its extras, one requirement a line."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(entry for entry in archive.namelist() if entry.endswith(".dist-info/METADATA"))
        lines = re.findall(r"^Requires-Dist: .*$", archive.read(name).decode(), re.MULTILINE)
    extra_of = [re.search(r"""extra == ["']([^"']+)""", line) for line in lines]
    return "\n".join(line for line, of in zip(lines, extra_of, strict=True) if of is None or of[1] in extras)


def constraints(architecture: Architecture) -> str:
    """Returns constraints for pip: the versions that are installed here, so that like is compared with like.

    NumPy's only where this Python is no newer than Debian's, which the newest NumPy may have left behind. 32-bit Arm
    has an engine of its own, and Debian's NumPy.
    """
    if architecture.name == "armv7l":
        return ""
    packages = [package for _, package in architecture.engines]
    packages += ["numpy"] if sys.version_info[:2] <= (3, 11) else []
    versions = {package: installed_version(package) for package in packages}
    return "".join(f"{package}=={version}\n" for package, version in versions.items() if version)
