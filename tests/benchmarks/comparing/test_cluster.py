import importlib.util
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from ray_cluster import RayCluster, ray_cluster

from liteport.benchmarks.comparing import cluster
from liteport.benchmarks.comparing.cluster import check_address, run_on_cluster
from liteport.benchmarks.comparing.ray_driver import Task
from liteport.benchmarks.comparing.running import finished, run_trials
from liteport.benchmarks.comparing.setup import Setup, make_setup, make_specs
from liteport.errors import DeviceError, InvalidInputError
from liteport.train import Dataset, load_dataset

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")


@pytest.mark.parametrize("address", ["local", "", "host", "host:", "host:x", "host:99999", "http://host:1", "a b:1"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(InvalidInputError, match="ray: expected auto, HOST:PORT or ray://HOST:PORT"):
        check_address(address)


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_addresses(silent: int) -> None:
    check_address("auto")
    check_address(f"127.0.0.1:{silent}")
    check_address(f"ray://127.0.0.1:{silent}")


def test_an_address_where_nobody_is(silent: int) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, so nobody else gets it, and refused, as it does not listen
        port = unused.getsockname()[1]
        with pytest.raises(DeviceError, match=f"no Ray cluster at 127.0.0.1:{port}: Connection refused"):
            check_address(f"127.0.0.1:{port}")
    with pytest.raises(DeviceError, match=r"no Ray cluster at nowhere\.invalid:1: "):
        check_address("nowhere.invalid:1")


def test_a_port_that_is_not_rays_is_given_up(
    silent: int, setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    task = Task(f"127.0.0.1:{silent}", 1, setup, make_specs(["baseline"], 1), str(tmp_path), (28, 28, 1), 10)
    before = set(psutil.Process().children())
    with pytest.raises(DeviceError, match=f"no Ray cluster at 127.0.0.1:{silent}: not joined within 0.5 s"):
        list(run_on_cluster(task, tmp_path / "ray.log", lambda what: None))
    assert set(psutil.Process().children()) == before


@pytest.fixture
def small(tiny_data: Path, tmp_path: Path) -> Dataset:
    """1,000 images to train with, at half their resolution, of which a design is trained in a second."""
    with np.load(tiny_data) as data:
        arrays = {name: data[name][:1000] for name in data}
    path = tmp_path / "small.npz"
    np.savez(path, **{name: array[:, ::2, ::2] if array.ndim == 3 else array for name, array in arrays.items()})
    return load_dataset(path)


class Killing(threading.Thread):
    """Waits until the cluster's second node trains, and kills it.

    Attributes:
        out: The `--out` of the training that was killed.
    """

    def __init__(self, running: RayCluster) -> None:
        super().__init__(daemon=True)
        self._running = running
        self.out = ""

    def run(self) -> None:
        second = self._running.nodes[1]
        while second.is_running():
            time.sleep(0.1)
            with suppress(psutil.Error):  # processes come and go
                for words in (process.cmdline() for process in second.children(recursive=True)):
                    if "train" in words:
                        self.out = words[words.index("--out") + 1]
                        self._running.kill_second()
                        return


@needs_ray
def test_trials_of_a_node_that_is_killed_run_again(small: Dataset, tmp_path: Path) -> None:
    setup = make_setup(small, 1, "plain", ["tflite-int8"])
    specs = make_specs(["baseline"], 2)
    trials = tmp_path / "compare" / "trials"
    trials.mkdir(parents=True)
    lines: list[str] = []
    with ray_cluster() as running:
        killing = Killing(running)
        killing.start()
        run_trials(specs, setup, small, trials, 2, running.address, lambda what, *note: lines.append(f"{what}: {note}"))
        killing.join()
        assert not running.nodes[1].is_running()
    assert any("2 nodes, 1 CPUs a trial" in line for line in lines)
    done = finished(specs, trials)
    assert set(done) == set(specs)
    for spec in specs:
        record = json.loads((trials / spec.name / "run" / "training.json").read_text())
        assert record["seed"] == spec.seed
        assert record["status"] == "finished"
        assert (trials / spec.name / "bundle" / "tflite-int8.tflite").is_file()
    # The trial that was killed has come from another place than where it was first begun.
    killed = Path(killing.out).parent.name
    assert killed in {spec.name for spec in specs}
    assert killing.out not in (trials / killed / "log.txt").read_text()
