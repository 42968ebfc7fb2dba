"""Trying a model file in a process of its own, so that what crashes a native engine does not end the caller.

A guard against crashes, no sandbox: the process has the caller's rights.
"""

import json
import signal
import subprocess
import sys
import tempfile
from typing import IO

from liteport.errors import BackendError

from .backends import Engine

_WORKER = "liteport.runtime.isolation_worker"
_TIMEOUT_S = 60.0  # an engine starts in 0.2 s and a large classifier answers within some seconds, on small boards too
_MOST_COMPLAINT = 4096  # bytes of what the process wrote on standard error that are looked at
_LONGEST_REASON = 300  # characters

# Python looks for modules in the current folder first, where a model's sender may have put a numpy.py; and not in the
# folders that the caller's script added. So the new process ignores both its environment and its folder (-I), and
# takes over the caller's search path as it is.
_BOOTSTRAP = f"""
import json, sys
task = json.loads(sys.argv[1])
sys.path[:] = task.pop("path")
from {_WORKER} import main
main(**task)
"""


def try_in_subprocess(
    content: bytes, engine: Engine, threads: int, *, signature: str | None = None, timeout_s: float = _TIMEOUT_S
) -> None:
    """Loads a model in another process and runs it on zeros and on random input, at batch 1.

    The content goes through a pipe: what is tried is what the caller holds, whatever happens to the file meanwhile.

    Args:
        content: The model file.
        engine: The engine that is to run it.
        threads: How many threads one call may use.
        signature: Which of the file's signatures, where it has several.
        timeout_s: Seconds until a process that gives no answer is killed.

    Raises:
        BackendError: If the engine refuses the model, crashes, hangs or takes too much memory; or if no process can be
            started, as in a frozen program.
    """
    if getattr(sys, "frozen", False) or not sys.executable:
        raise BackendError(
            "a model cannot be tried in a process of its own here: this program is frozen and has no Python to start; "
            "load it without isolate"
        )
    with tempfile.TemporaryFile() as complaints:  # a pipe could hold more than memory does
        try:
            ended = subprocess.run(
                _command(engine, threads, signature),
                input=content,
                stdout=subprocess.PIPE,
                stderr=complaints,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise _failed(engine, f"gave no answer within {timeout_s:g} s and was stopped") from error
        except OSError as error:
            raise BackendError(f"{sys.executable} cannot be started to try a model: {error.strerror}") from error
        if ended.returncode:
            raise _failed(engine, _ending(ended.returncode, _last_line(complaints)))
    if refusal := _refusal(engine, ended.stdout):
        raise BackendError(refusal)


def _command(engine: Engine, threads: int, signature: str | None) -> list[str]:
    path = [entry for entry in sys.path if isinstance(entry, str) and entry]  # an empty one is the current folder
    task = {"path": path, "package": engine.package, "threads": threads, "signature": signature}
    return [sys.executable, "-I", "-c", _BOOTSTRAP, json.dumps(task)]


def _failed(engine: Engine, how: str) -> BackendError:
    return BackendError(f"{engine.package}, trying this model in a process of its own, {how}")


def _refusal(engine: Engine, output: bytes) -> str | None:
    """Returns what the process answered: why the engine refuses the model, if so."""
    try:
        refusal: str | None = json.loads(output)["refusal"]
    except (ValueError, KeyError, TypeError) as error:
        raise _failed(engine, "ended without an answer") from error
    return refusal


def _ending(status: int, last_line: str) -> str:
    """Tells how a process ended that did not end well: by a signal; of Windows, by an NTSTATUS; or by Python's own."""
    said = f": {last_line}" if last_line else ""
    if 0 < status < 256:
        return f"failed (status {status}{said})"
    known = {-entry.value: entry.name for entry in signal.Signals}
    name = known.get(status, f"signal {-status}") if status < 0 else f"status 0x{status:X}"
    hint = ", as the system does where memory runs out" if name == "SIGKILL" else ""
    return f"crashed ({name}{hint}{said}); the file is damaged or hostile"


def _last_line(complaints: IO[bytes]) -> str:
    size = complaints.seek(0, 2)
    complaints.seek(max(0, size - _MOST_COMPLAINT))
    lines = [line for line in complaints.read().decode(errors="replace").splitlines() if line.strip()]
    return " ".join(lines[-1].split())[:_LONGEST_REASON] if lines else ""
