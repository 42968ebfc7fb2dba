"""A Ray cluster of one's own: two nodes on this machine, of which the second can be killed.

They run in another process, this file as a program, so that nothing of Ray's stays in the tests' own. It prints where
they are, kills the second node for a line on standard input, and takes all down at its end.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

CPUS = 2
MEMORY = 80 << 20  # bytes of each node's object store: Ray's least is 75 MiB
ENDING_S = 10.0  # that nodes may take to end by themselves

# A lost node is noticed after a second instead of half a minute.
IMPATIENT = {
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 2,
}


@dataclass(frozen=True)
class RayCluster:
    """A running cluster.

    Attributes:
        address: What to join it by.
        nodes: For each node the process whose children do its work.
        program: What runs it.
    """

    address: str
    nodes: tuple[psutil.Process, ...]
    program: subprocess.Popen[str]

    def kill_second(self) -> None:
        """Ends the second node at once, as a power cut would."""
        assert self.program.stdin is not None
        self.program.stdin.write("kill\n")
        self.program.stdin.flush()


@contextmanager
def ray_cluster() -> Iterator[RayCluster]:
    """Starts the nodes; nothing of them is left afterwards, however the block ends."""
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:  # short: sockets are in it
        program = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "RAY_TMPDIR": folder, "RAY_USAGE_STATS_ENABLED": "0"},
            text=True,
        )
        assert program.stdout is not None
        started: list[psutil.Process] = []
        try:
            found = json.loads(program.stdout.readline())
            yield RayCluster(found["address"], tuple(map(psutil.Process, found["nodes"])), program)
        finally:
            started = psutil.Process(program.pid).children(recursive=True)
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.communicate(timeout=ENDING_S)
            program.kill()
            program.wait()
            for process in started:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(started, timeout=ENDING_S)


def main() -> None:
    from ray.cluster_utils import Cluster

    node = {"num_cpus": CPUS, "object_store_memory": MEMORY}
    head = {**node, "include_dashboard": False, "_system_config": IMPATIENT}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        second = cluster.add_node(**node)
        nodes = [each.all_processes["raylet"][0].process.pid for each in (cluster.head_node, second)]
        print(json.dumps({"address": cluster.address, "nodes": nodes}), flush=True)
        for _ in sys.stdin:
            cluster.remove_node(second, allow_graceful=False)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
