import socket
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from liteport.errors import DeviceError, InvalidInputError
from liteport.train.distribution import Cluster
from liteport.train.meeting import meet

LONG = 30.0
"""Far more than threads of one process need; only a test that fails waits for it."""
SHORT = 0.5


def free_addresses(count: int) -> tuple[str, ...]:
    """Ports that nobody has; held all at once, so that they differ."""
    held = [socket.create_server(("", 0)) for _ in range(count)]
    addresses = tuple(f"127.0.0.1:{one.getsockname()[1]}" for one in held)
    for one in held:
        one.close()
    return addresses


def meeting(clusters: Sequence[Cluster], timeout: float) -> list[Future[None]]:
    with ThreadPoolExecutor(len(clusters)) as threads:
        return [threads.submit(meet, cluster, timeout) for cluster in clusters]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)], ids=["chief first", "chief last"])
def test_all_go_when_all_are_there(order: tuple[int, ...]) -> None:
    addresses = free_addresses(3)
    for one in meeting([Cluster(addresses, index) for index in order], LONG):
        one.result()


def test_one_alone_is_all() -> None:
    meet(Cluster(free_addresses(1), 0), LONG)


def test_the_chief_names_who_did_not_come() -> None:
    addresses = free_addresses(3)
    chief, worker = meeting([Cluster(addresses, index) for index in (0, 1)], SHORT)
    with pytest.raises(DeviceError, match=rf"worker 0 waited 0.5 s for worker 2 \({addresses[2]}\); start the same"):
        chief.result()
    with pytest.raises(DeviceError, match=rf"worker 1 waited 0.5 s for worker 0 \({addresses[0]}\)"):
        worker.result()


def test_a_port_in_use_is_named() -> None:
    addresses = free_addresses(2)
    with (
        socket.create_server(("", int(addresses[1].rpartition(":")[2]))),
        pytest.raises(InvalidInputError, match=r"port \d+ of worker 1 .* cannot be used: Address already in use"),
    ):
        meet(Cluster(addresses, 1), LONG)


def test_a_worker_of_another_cluster_is_refused() -> None:
    addresses, (other,) = free_addresses(2), free_addresses(1)
    chief, stranger = meeting([Cluster(addresses, 0), Cluster((addresses[0], other), 1)], SHORT)
    with pytest.raises(InvalidInputError, match=f"has another list of workers: {', '.join(addresses)}; give all"):
        stranger.result()
    with pytest.raises(DeviceError, match="for worker 1"):
        chief.result()


def test_the_chief_waits_on_when_others_knock_or_leave() -> None:
    addresses = free_addresses(2)
    cluster = Cluster(addresses, 0)
    port = cluster.host_and_port(0)

    def knock(said: bytes) -> None:
        while True:
            try:
                with socket.create_connection(port, timeout=LONG) as connection:
                    connection.sendall(said)
                    return
            except ConnectionRefusedError:  # the chief is not there yet
                continue

    with ThreadPoolExecutor(1) as threads:
        chief = threads.submit(meet, cluster, LONG)
        for said in (b"GET / HTTP/1.1\r\n\r\n", b"", b"[]\n", b'{"worker": "1"}\n'):
            knock(said)
        # a worker that came and was killed
        knock(f'{{"worker": 1, "addresses": ["{addresses[0]}", "{addresses[1]}"]}}\n'.encode())
        assert not chief.done()
        meet(Cluster(addresses, 1), LONG)
        chief.result()
