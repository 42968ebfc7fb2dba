"""Trying `.tflite` files in tflite-runtime 2.14, the last of its name, which older devices run (all 32-bit Arm ones).

It needs numpy 1 and Python 3.9 to 3.11, so it has an environment of its own, made once in the user's cache.
"""

import contextlib
import json
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .isolation import ScriptError, run_program, run_script

VERSION = "2.14.0"
PACKAGE = "tflite-runtime"

_NEEDS = (f"{PACKAGE}=={VERSION}", "numpy<2")
_PYTHONS = ((3, 11), (3, 10), (3, 9))  # those that 2.14.0 has wheels for, the best first
_WORKER = Path(__file__).with_name("tflite_runtime_worker.py")

_NO_KERNEL = re.compile(r"builtin opcode '(\w+)' version '(\d+)'")

_PIP_OPTIONS = ("--quiet", "--disable-pip-version-check", "--no-input", "--only-binary=:all:")
_PIP_PATIENCE = ("--retries", "1", "--timeout", "15")

# Seconds: an environment takes some ten, a trial less than one.
_INSTALL_TIMEOUT = 300
_TRIAL_TIMEOUT = 120


@dataclass(frozen=True)
class OldRuntime:
    """A Python in which tflite-runtime is installed.

    Attributes:
        python: The interpreter.
        version: The version of tflite-runtime.
    """

    python: Path
    version: str


@dataclass(frozen=True)
class Unavailable:
    """Why there is no such Python."""

    reason: str


@dataclass(frozen=True)
class Trial:
    """What came of running a file in tflite-runtime.

    Attributes:
        name: The package.
        version: Its version.
        ran: Whether it gave outputs.
        reason: Why not, in one line; or None.
        max_difference: The largest difference to the outputs expected, in the file's own units: of quantized outputs
            that is steps. None where it did not run.
    """

    name: str
    version: str
    ran: bool
    reason: str | None
    max_difference: float | None


def find_environment(create: bool = True) -> OldRuntime | Unavailable:
    """Finds, or makes, a Python that has tflite-runtime.

    The environment variable LITEPORT_TFLITE_RUNTIME may name one. Otherwise it is a virtual environment in
    `$LITEPORT_CACHE`, `$XDG_CACHE_HOME/liteport` or `~/.cache/liteport`.

    Args:
        create: Whether to make that environment where it is missing, for which pip downloads some 20 MB.
    """
    if named := os.environ.get("LITEPORT_TFLITE_RUNTIME"):
        return _probe(Path(shutil.which(named) or named).absolute(), "LITEPORT_TFLITE_RUNTIME")
    path = _cache() / f"{PACKAGE}-{VERSION}"
    if not path.exists():
        if not create:
            return Unavailable(f"{path} was not made yet")
        try:
            _make(path)
        except ScriptError as error:
            return Unavailable(error.reason)
        except OSError as error:
            return Unavailable(f"{path} cannot be written: {error.strerror}")
    return _probe(_python_in(path), f"{path} (remove it to have it made anew)")


def try_in(
    runtime: OldRuntime, content: bytes, feeds: Mapping[str, NDArray[Any]], expected: Mapping[str, NDArray[Any]]
) -> Trial:
    """Runs a file once in tflite-runtime, in a process of its own.

    Args:
        runtime: Where it is.
        content: The `.tflite` file.
        feeds: An array by each input's name, as the file takes it.
        expected: What LiteRT makes of them, by each output's name, as the file gives it.
    """
    try:
        found = _run(runtime, content, feeds)
    except ScriptError as error:
        missing = _NO_KERNEL.search(error.reason)
        reason = f"it has no {missing[1]} version {missing[2]}" if missing else error.reason
        return Trial(PACKAGE, runtime.version, ran=False, reason=reason, max_difference=None)
    if mismatch := _mismatch(found, expected):
        return Trial(PACKAGE, runtime.version, ran=False, reason=mismatch, max_difference=None)
    worst = max(_difference(found[name], array) for name, array in expected.items())
    return Trial(PACKAGE, runtime.version, ran=True, reason=None, max_difference=worst)


def _run(runtime: OldRuntime, content: bytes, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    with tempfile.TemporaryDirectory(prefix="liteport-") as name:
        folder = Path(name)
        model, inputs, outputs = (str(folder / file) for file in ("model.tflite", "inputs.npz", "outputs.npz"))
        Path(model).write_bytes(content)
        # By position: as a member of an .npz not every name will do.
        np.savez(inputs, *feeds.values())
        printed = run_script(
            _WORKER,
            [model, json.dumps(list(feeds)), inputs, outputs],
            folder,
            python=_command(runtime.python),
            timeout=_TRIAL_TIMEOUT,
        )
        with np.load(outputs) as arrays:
            return {key: arrays[f"arr_{position}"] for position, key in enumerate(json.loads(printed))}


def _mismatch(found: Mapping[str, NDArray[Any]], expected: Mapping[str, NDArray[Any]]) -> str | None:
    """Says why outputs cannot be compared, if so."""
    shapes = [{name: array.shape for name, array in sorted(arrays.items())} for arrays in (found, expected)]
    if shapes[0] != shapes[1]:
        return f"its outputs are {shapes[0]}, expected {shapes[1]}"
    if odd := [name for name in found if not np.isfinite(found[name]).all() and np.isfinite(expected[name]).all()]:
        return f"its output {odd[0]!r} holds values that are not finite"
    return None


def _difference(found: NDArray[Any], expected: NDArray[Any]) -> float:
    finite = np.isfinite(expected) & np.isfinite(found)
    gap = np.abs(found.astype(np.float64) - expected.astype(np.float64), where=finite, out=np.zeros(found.shape))
    return float(gap.max(initial=0.0))


def _cache() -> Path:
    if own := os.environ.get("LITEPORT_CACHE"):
        return Path(own).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "liteport"


def _python_in(environment: Path) -> Path:
    return environment / "bin" / "python"


def _command(python: Path) -> tuple[str, str]:
    """PYTHONPATH and its like are meant for this Python, not for that one."""
    return str(python), "-E"


def _probe(python: Path, where: str) -> OldRuntime | Unavailable:
    with tempfile.TemporaryDirectory(prefix="liteport-") as folder:
        try:
            found = run_script(
                _WORKER, ["version"], Path(folder), python=_command(python), timeout=_TRIAL_TIMEOUT
            ).strip()
        except ScriptError as error:
            return Unavailable(f"{where} does not run {PACKAGE}: {error.reason}")
    return OldRuntime(python, found)


def _suitable_python() -> str | None:
    """Returns the first Python of a fitting version that can make environments.

    Tried, since what is found need not work: pyenv has a stand-in for each Python that any of its users may choose,
    and Debian leaves out ensurepip.
    """
    found = [shutil.which(f"python{major}.{minor}") for major, minor in _PYTHONS]
    candidates = [sys.executable] if sys.version_info[:2] in _PYTHONS else []
    for python in (*candidates, *filter(None, found)):
        with contextlib.suppress(ScriptError):
            run_program((python, "-E", "-c", "import ensurepip, venv"), Path.cwd(), timeout=_TRIAL_TIMEOUT)
            return python
    return None


def _make(path: Path) -> None:
    """Makes the environment beside `path` and renames it, so that an interrupted one never counts.

    Raises:
        ScriptError: If it cannot be made; the reason is for the user.
        OSError: If the cache cannot be written to.
    """
    if (python := _suitable_python()) is None:
        raise ScriptError(
            f"{PACKAGE} {VERSION} needs Python 3.9 to 3.11 with venv and ensurepip, and none is on the PATH"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        _install(python, beside)
        _settle(beside, path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _install(python: str, environment: Path) -> None:
    def run(what: str, *command: str) -> None:
        try:
            run_program(command, environment, timeout=_INSTALL_TIMEOUT)
        except ScriptError as error:
            host = f"{platform.system()} {platform.machine()}"
            hint = "the package index cannot be reached; " if any("Retrying" in line for line in error.lines) else ""
            raise ScriptError(f"{what} failed on {host}: {hint}{error.reason}", error.lines) from error

    run("making a virtual environment", python, "-E", "-m", "venv", str(environment))
    pip = (*_command(_python_in(environment)), "-m", "pip", "install", *_PIP_OPTIONS, *_PIP_PATIENCE)
    run(f"installing {PACKAGE} {VERSION}", *pip, *_NEEDS)


def _settle(beside: Path, path: Path) -> None:
    """Renames; if another process was faster, its environment is as good. A moved one finds itself by its folder."""
    try:
        beside.rename(path)
    except OSError:
        if not path.is_dir():
            raise
