"""Running `liteport` commands as processes that do not outlive who started them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from liteport.runtime.schema import CONTROL, shortened

# As `runtime.isolation` does: the caller's search path as it is, and no module of the folder it happens to stand in.
_BOOTSTRAP = """
import json, sys
sys.path[:], parent = json.loads(sys.argv.pop(1))
from liteport.benchmarks.comparing.child import main
main(parent)
"""
_BETWEEN_LOOKS = 0.2  # seconds
_TAIL = 1 << 16  # bytes of a log that are looked at for the reason
_LONGEST_REASON = 300


class ChildError(Exception):
    """A command that did not end well.

    Attributes:
        killed: Whether a signal ended it.
    """

    def __init__(self, reason: str, *, killed: bool) -> None:
        super().__init__(reason)
        self.killed = killed


class StoppedError(Exception):
    """A command that was ended as the comparison is."""


def command_line(arguments: Sequence[str]) -> list[str]:
    """Returns what starts `liteport` with these arguments in another process."""
    task = json.dumps([[entry for entry in sys.path if entry], os.getpid()])
    return [sys.executable, "-I", "-c", _BOOTSTRAP, task, *arguments]


class Children:
    """Starts commands, and ends those that run.

    Args:
        threads: Threads that each may compute with; None leaves it to the libraries.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads
        self._stop = threading.Event()

    def stop(self) -> None:
        """Ends what runs, and starts nothing more. May be called from another thread."""
        self._stop.set()

    def run(self, arguments: Sequence[str], log: Path) -> None:
        """Runs a command to its end.

        Args:
            arguments: What would be typed after `liteport`.
            log: A file that gets what it prints, at its end.

        Raises:
            ChildError: If it fails, crashes or is killed.
            StoppedError: If `stop` was called.
        """
        if self._stop.is_set():
            raise StoppedError
        with log.open("ab") as file:
            file.write(f"$ liteport {' '.join(arguments)}\n".encode())
            file.flush()
            start = file.tell()
            process = subprocess.Popen(
                command_line(arguments),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                start_new_session=True,  # Ctrl-C is not for it, and all that it starts can be ended together
            )
        with process:
            code = self._awaited(process)
        if code:
            raise ChildError(_reason(code, _last_lines(log, start)), killed=code < 0)

    def _awaited(self, process: subprocess.Popen[bytes]) -> int:
        try:
            while not self._stop.is_set():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return process.wait(_BETWEEN_LOOKS)
            raise StoppedError
        except BaseException:  # Ctrl-C as well
            end_session(process)
            raise

    def _environment(self) -> dict[str, str]:
        if self._threads is None:
            return dict(os.environ)
        names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
        return {**os.environ, **dict.fromkeys(names, str(self._threads))}


def end_session(process: subprocess.Popen[bytes]) -> None:
    """Ends a process that was started in a session of its own, with all that it has started there."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_lines(log: Path, start: int) -> list[str]:
    with log.open("rb") as file:
        file.seek(max(start, file.seek(0, os.SEEK_END) - _TAIL))
        text = CONTROL.sub("", file.read().decode(errors="replace"))
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def _reason(code: int, lines: Sequence[str]) -> str:
    """Says what a command complained of, or what ended it."""
    if code < 0:
        hint = ", as when memory runs out" if -code == signal.SIGKILL else ""
        return f"ended by {signal.Signals(-code).name}{hint}"
    told = next((line[7:] for line in reversed(lines) if line.startswith("error: ")), None)
    return shortened(told or (lines[-1] if lines else f"ended with exit code {code}"), _LONGEST_REASON)
