"""Workers wait for each other before a training begins.

TensorFlow waits without end, and not even SIGTERM stops it. So the workers first meet here, over plain sockets: the
chief listens at its own address until all others have come or the time is over, and then lets all go at once.
"""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from liteport.errors import DeviceError, InvalidInputError

from .distribution import Cluster

_POLL = 0.2
"""Seconds between two looks."""
_PATIENCE = 2.0
"""Seconds for an answer of a worker that waits, or of somebody who may not be one at all."""
_LONGEST_LINE = 1 << 16


def meet(cluster: Cluster, timeout: float) -> None:
    """Returns when all workers of a cluster have come here.

    Args:
        cluster: The workers, and which one this is.
        timeout: Seconds to wait for the others.

    Raises:
        InvalidInputError: If this worker's port is not free, or the chief has another TF_CONFIG.
        DeviceError: If the others do not come in time.
    """
    deadline = time.monotonic() + timeout
    with _listening(cluster) as server:
        if cluster.is_chief:
            _gather(server, cluster, deadline, timeout)
            return
    _report(cluster, deadline, timeout)


@contextmanager
def _listening(cluster: Cluster) -> Iterator[socket.socket]:
    """Takes this worker's port: the chief to be found at, the others to see that TensorFlow will get it."""
    _, port = cluster.host_and_port(cluster.index)
    try:
        server = socket.create_server(("", port), backlog=cluster.count)
    except OSError as error:
        raise InvalidInputError(
            f"port {port} of worker {cluster.index} ({cluster.addresses[cluster.index]}) cannot be used: "
            f"{error.strerror}; end what uses it, or give the worker another port in TF_CONFIG"
        ) from error
    with server:
        server.settimeout(_POLL)
        yield server


def _gather(server: socket.socket, cluster: Cluster, deadline: float, timeout: float) -> None:
    present: dict[int, socket.socket] = {}
    try:
        while not _all_there(present, cluster.count - 1):
            if time.monotonic() > deadline:
                missing = [index for index in range(1, cluster.count) if index not in present]
                raise _nobody_came(missing, cluster, timeout)
            _welcome(server, cluster, present)
        for worker in present.values():
            _send(worker, {"go": True})
            _received(worker)  # they close first, so that the port is free at once
    finally:
        for worker in present.values():
            worker.close()


def _all_there(present: dict[int, socket.socket], count: int) -> bool:
    """Tells whether all have come; those that have left again, as processes that were killed have, are taken out."""
    if len(present) == count:
        for index in [index for index, worker in present.items() if not _answers(worker)]:
            present.pop(index).close()
    return len(present) == count


def _welcome(server: socket.socket, cluster: Cluster, present: dict[int, socket.socket]) -> None:
    """Takes in the next one who comes, if it is a worker that belongs here."""
    try:
        worker, _ = server.accept()
    except TimeoutError:
        return
    worker.settimeout(_PATIENCE)
    said = _received(worker)
    index = said.get("worker")
    if said.get("addresses") != list(cluster.addresses):
        refusal = f"another list of workers: {', '.join(cluster.addresses)}"
    elif index in present and _answers(present[index]):
        refusal = f"a worker {index} already"
    else:
        refusal = ""
    if refusal or not isinstance(index, int):
        _send(worker, {"refused": refusal})
        worker.close()
        return
    if index in present:
        present[index].close()
    present[index] = worker


def _report(cluster: Cluster, deadline: float, timeout: float) -> None:
    """Tells the chief that this worker is there, and waits until it says to go."""
    while time.monotonic() < deadline:
        try:
            chief = socket.create_connection(cluster.host_and_port(0), timeout=_PATIENCE)
        except OSError:  # not there yet
            time.sleep(_POLL)
            continue
        with chief:
            _send(chief, {"worker": cluster.index, "addresses": list(cluster.addresses)})
            chief.settimeout(max(_POLL, deadline - time.monotonic()))
            while "asked" in (said := _received(chief)):
                _send(chief, {"there": True})
        if "go" in said:
            return
        if said.get("refused"):
            raise InvalidInputError(
                f"worker 0 ({cluster.addresses[0]}) has {said['refused']}; "
                "give all workers the same cluster in TF_CONFIG, and each its own index"
            )
        time.sleep(_POLL)  # it was stopped, or a training that is about to end answered in TensorFlow's language
    raise _nobody_came([0], cluster, timeout)


def _nobody_came(missing: list[int], cluster: Cluster, timeout: float) -> DeviceError:
    names = ", ".join(f"{index} ({cluster.addresses[index]})" for index in missing)
    return DeviceError(
        f"worker {cluster.index} waited {timeout:g} s for worker {names}; start the same command on every machine, "
        "each with its own index in TF_CONFIG, and see that they reach each other's ports"
    )


def _send(connection: socket.socket, message: dict[str, object]) -> None:
    try:
        connection.sendall(json.dumps(message).encode() + b"\n")
    except OSError:  # it has left; who reads from it next sees so
        return


def _received(connection: socket.socket) -> dict[str, object]:
    """Reads a line of JSON; empty where the other one left, said nothing in time, or speaks of something else."""
    line = b""
    try:
        while not line.endswith(b"\n") and len(line) < _LONGEST_LINE and (part := connection.recv(4096)):
            line += part
        message = json.loads(line)
    except (OSError, ValueError):
        return {}
    return message if isinstance(message, dict) else {}


def _answers(worker: socket.socket) -> bool:
    _send(worker, {"asked": True})
    return "there" in _received(worker)
