"""Trials on a Ray cluster, which another process of ours talks to."""

import contextlib
import json
import re
import selectors
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from liteport.errors import DeviceError, InvalidInputError, MissingDependencyError

from .child import DRIVE
from .children import command_line, end_session
from .ray_driver import Task

CONNECT_S = 30.0
"""Seconds within which a cluster must be joined."""
ANSWER_S = 5.0
"""Seconds within which an address must take a connection at all."""
ENDING_S = 3.0
"""Seconds in which the driver may leave a cluster that it has joined; then it is killed."""

_ADDRESS = re.compile(r"(ray://)?(?P<host>[^\s:/\[\]]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})")
_KINDS = {kind.__name__: kind for kind in (InvalidInputError, MissingDependencyError)}


def check_address(address: str) -> None:
    """Checks an address's form, and unless it is "auto", that something takes connections there.

    Raises:
        InvalidInputError: If it has another form.
        DeviceError: If there is no answer.
    """
    if address == "auto":
        return
    found = _ADDRESS.fullmatch(address)
    if found is None or int(found["port"]) > 65535:
        raise InvalidInputError(f"ray: expected auto, HOST:PORT or ray://HOST:PORT, found {address!r}")
    try:
        socket.create_connection((found["host"].strip("[]"), int(found["port"])), ANSWER_S).close()
    except TimeoutError as error:
        raise DeviceError(f"no Ray cluster at {address}: no answer within {ANSWER_S:g} s") from error
    except OSError as error:
        raise DeviceError(f"no Ray cluster at {address}: {error.strerror or error}") from error


def run_on_cluster(task: Task, log: Path, joined: Callable[[str], None]) -> Iterator[str]:
    """Runs trials on a cluster and yields the name of each whose folder is there again.

    Args:
        task: What to run, and where.
        log: A file that gets what Ray has to say.
        joined: Called with what there is, once the cluster is joined.

    Raises:
        DeviceError: If it cannot be joined within `CONNECT_S`, or is lost.
        InvalidInputError: If a design or a variant is unknown there, or does not fit the data.
        MissingDependencyError: If Ray is not installed.
    """
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command_line([DRIVE]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    wait_s = 0.0
    try:
        for line in _lines(process, task, log):
            match json.loads(line):
                case {"error": str(kind), "reason": str(reason)}:
                    raise _KINDS.get(kind, DeviceError)(reason)
                case {"connected": str(what)}:
                    wait_s = ENDING_S
                    joined(what)
                case {"done": str(name)}:
                    yield name
    finally:
        process.terminate()  # Ray ends a job's tasks when its driver is gone
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(wait_s)
        end_session(process)


def _lines(process: subprocess.Popen[bytes], task: Task, log: Path) -> Iterator[bytes]:
    """Gives the task to the driver, and yields what it answers; the first line must come soon."""
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        process.stdin.write(task.to_json().encode() + b"\n")
        process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(CONNECT_S):
                raise DeviceError(f"no Ray cluster at {task.address}: not joined within {CONNECT_S:g} s")
        yield from process.stdout
    if code := process.wait():
        raise DeviceError(f"the Ray cluster at {task.address} is lost (code {code}); what it said is in {log}")
