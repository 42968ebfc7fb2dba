"""The parent's side of a worker: starts it, asks it, and notices when it crashes, hangs or talks nonsense."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from liteport.errors import BackendError
from liteport.runtime.schema import CONTROL

COMMAND: tuple[str, ...] = (sys.executable, "-m", "liteport.benchmarks.worker")
_SHOWN = 120


class Worker:
    """One worker process.

    Args:
        scratch: A folder in which the worker gets one of its own to run in, empty at first: Python looks for modules
            in the folder in which `-m` is started.
        timeout: Seconds that one answer may take.

    Attributes:
        folder: The folder it runs in; paths in its commands may be relative to it.
    """

    def __init__(self, scratch: Path, timeout: float) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="worker-", dir=scratch))
        self._log = self.folder / "stderr.txt"
        self._timeout = timeout
        self._received = b""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=self.folder
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process and frees what was held for it. Closing twice is allowed."""
        self.kill()
        self._process.wait()
        self._stdout.close()
        with contextlib.suppress(BrokenPipeError):  # what it did not read any more
            self._stdin.close()

    def kill(self) -> None:
        """Ends the process at once."""
        self._process.kill()

    def ask(self, command: str, arguments: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Sends a command and returns its result.

        Raises:
            BackendError: If the worker refuses, ends, gives no answer in time, or answers with anything else. After
                the latter three it is no longer running.
        """
        with contextlib.suppress(BrokenPipeError):  # it has ended: reading the answer says how
            self._stdin.write(json.dumps({"command": command, "arguments": arguments or {}}).encode() + b"\n")
            self._stdin.flush()
        line = self._line(command)
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        match answer:
            case {"result": dict() as result}:
                return result
            case {"error": str() as reason}:
                raise BackendError(CONTROL.sub("", reason))
        self.kill()
        raise BackendError(f"{command}: expected an answer from the worker, got {line[:_SHOWN]!r}")

    def _line(self, command: str) -> bytes:
        deadline = time.monotonic() + self._timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdout, selectors.EVENT_READ)
            while b"\n" not in self._received:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    self.kill()
                    raise BackendError(f"{command}: no answer within {self._timeout:g} s")
                block = os.read(self._stdout.fileno(), 1 << 16)
                if not block:
                    raise BackendError(f"{command}: {self._ending()}")
                self._received += block
        line, _, self._received = self._received.partition(b"\n")
        return line

    def _ending(self) -> str:
        """Says how the process ended, and the last thing it wrote to standard error."""
        try:
            code = self._process.wait(timeout=self._timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            return "the worker closed its output"
        last = self._log.read_text(errors="replace").strip().rpartition("\n")[2]
        last = CONTROL.sub("", last)  # colours, which a report must not hold
        note = f": {last[:_SHOWN]}" if last else ""
        if code >= 0:
            return f"the worker ended with exit code {code}{note}"
        hint = ", as when memory runs out" if -code == signal.SIGKILL else ""
        return f"the worker was ended by {signal.Signals(-code).name}{hint}{note}"
