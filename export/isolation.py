"""Running a script in a process of its own, which may crash without taking the export along."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


class ScriptError(Exception):
    """A script that did not end well; for callers in this package, which tell it in their own words.

    Attributes:
        reason: One line: the last that the script wrote on standard error, or what ended it.
        lines: All that it wrote there, without empty lines.
    """

    def __init__(self, reason: str, lines: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.lines = tuple(lines)


def run_script(
    script: Path, arguments: Sequence[str], folder: Path, *, python: Sequence[str] = (sys.executable,), timeout: float
) -> str:
    """Runs a script to its end.

    Args:
        script: The file; it is copied to `folder`, since the modules beside it would stand in for packages of the
            same names (Python looks beside a script first).
        arguments: What it is given.
        folder: A folder of its own, in which it runs.
        python: The interpreter to run it in, with its options.
        timeout: Seconds until it is killed.

    Returns:
        What it wrote on standard output.

    Raises:
        ScriptError: If it cannot be started, fails, crashes or takes too long.
    """
    return run_program([*python, str(shutil.copy(script, folder)), *arguments], folder, timeout=timeout)


def run_program(command: Sequence[str], folder: Path, *, timeout: float) -> str:
    """Runs a command to its end; see `run_script`."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise ScriptError(f"it was stopped after {timeout:.0f} s") from error
    except OSError as error:
        raise ScriptError(f"{command[0]} cannot be started: {error.strerror}") from error
    lines = [" ".join(line.split()) for line in done.stderr.splitlines() if line.strip()]
    if done.returncode < 0:
        raise ScriptError(f"it crashed ({signal.Signals(-done.returncode).name})", lines)
    if done.returncode:
        raise ScriptError(lines[-1] if lines else f"it ended with status {done.returncode}", lines)
    return done.stdout
