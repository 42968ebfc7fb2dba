"""Running a script in a process of its own, which may crash without taking the export along."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

_this_thread = threading.local()
_BETWEEN_LOOKS = 0.2  # seconds


def stop_when(event: threading.Event) -> None:
    """Has the programs that this thread runs from now on killed as soon as `event` is set."""
    _this_thread.stop = event


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
    """Runs a command to its end; see `run_script`. Where it does not end by itself, all that it started is killed."""
    try:
        # in a session of its own: a group of processes that can be killed whole
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "TMPDIR": str(folder)},  # so that nothing stays of one that is killed
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise ScriptError(f"{command[0]} cannot be started: {error.strerror}") from error
    with process:
        try:
            output, errors = _awaited(process, timeout)
        except BaseException:  # Ctrl-C as well
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    lines = [" ".join(line.split()) for line in errors.splitlines() if line.strip()]
    if process.returncode < 0:
        raise ScriptError(f"it crashed ({signal.Signals(-process.returncode).name})", lines)
    if process.returncode:
        raise ScriptError(lines[-1] if lines else f"it ended with status {process.returncode}", lines)
    return output


def _awaited(process: subprocess.Popen[str], timeout: float) -> tuple[str, str]:
    """Returns what a process wrote on standard output and standard error."""
    stop: threading.Event | None = getattr(_this_thread, "stop", None)
    end = time.monotonic() + timeout
    while True:
        try:
            return process.communicate(timeout=_BETWEEN_LOOKS)
        except subprocess.TimeoutExpired as error:
            if time.monotonic() > end:
                raise ScriptError(f"it was stopped after {timeout:.0f} s") from error
            if stop is not None and stop.is_set():
                raise ScriptError("it was stopped, as the export ended") from error
