import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pytest
from training_worker import config, small

from liteport.errors import InvalidInputError
from liteport.train import fit, load_dataset
from liteport.train.replicas import ALONE, Replicas, connect

WORKER = Path(__file__).parents[1] / "support" / "training_worker.py"
LONGEST = 280
"""Seconds for a process that takes some ten: only a test that fails waits for it, on a machine that is very busy."""

SAME_STEPS = 1e-5
"""Relative, of losses over some tens of steps: the same float32 terms, added up in another order."""


class Ended(NamedTuple):
    """What a process said, and its exit code."""

    said: str
    code: int


@contextlib.contextmanager
def started(commands: Sequence[Sequence[str]], environments: Sequence[dict[str, str]]) -> Iterator[list[Ended]]:
    """Runs processes until all have ended; whatever happens, none is left."""
    processes = [
        subprocess.Popen(
            [sys.executable, str(WORKER), *command],
            env={**os.environ, "TF_NUM_INTRAOP_THREADS": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for command, environment in zip(commands, environments, strict=True)
    ]
    try:
        yield [Ended(process.communicate(timeout=LONGEST)[0], process.returncode) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def two_workers(data: Path, out: Path, *arguments: str, second: Sequence[str] = ()) -> list[Ended]:
    """Trains in two processes on loopback; `second` is for the one that is not the chief."""
    held = [socket.create_server(("", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in held]
    for one in held:
        one.close()
    configs = [
        {"TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})}
        for index in range(2)
    ]
    command = ["multiworker", str(data), str(out), *arguments]
    with started([command, [*command, *second]], configs) as ended:
        return ended


def weights(run: Path) -> list[np.ndarray]:
    model: keras.Model = keras.models.load_model(run / "model.keras", compile=False)
    return model.get_weights()


def record(run: Path) -> dict[str, object]:
    return dict(json.loads((run / "training.json").read_text()))


def history(run: Path) -> dict[str, list[float]]:
    figures = dict(record(run)["history"])  # type: ignore[call-overload]
    figures.pop("seconds")
    return figures


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """330 training images: 60 a batch make five and a last one of three, of which one worker gets one."""
    mnist = load_dataset("mnist")
    path = tmp_path_factory.mktemp("data") / "few.npz"
    np.savez(
        path,
        x_train=mnist.train.images[:330, ..., 0],
        y_train=mnist.train.labels[:330],
        x_test=mnist.test.images[:60, ..., 0],
        y_test=mnist.test.labels[:60],
    )
    return path


@pytest.fixture(scope="module")
def unbroken(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Ended]]:
    out = tmp_path_factory.mktemp("unbroken")
    return out, two_workers(data, out, "plain", "random", second=["--terminated"])


def test_two_workers_take_the_steps_of_one(data: Path, unbroken: tuple[Path, list[Ended]]) -> None:
    out, (chief, other) = unbroken
    assert chief.code == 0
    assert chief.said.splitlines() == other.said.splitlines()  # the weights' sum: both hold the chief's model
    alone = fit(small(10, random=False), load_dataset(data), config())
    for name, figures in history(out / "plain").items():
        # accuracies are of few images: one that is on the edge may fall to either side
        tolerance = {"rel": SAME_STEPS} if "loss" in name else {"abs": 1 / 27}
        assert figures == pytest.approx(alone.history[name], **tolerance), name
    for found, expected in zip(weights(out / "plain"), alone.model.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)  # of weights around 0.1


def test_sigterm_ends_a_worker(unbroken: tuple[Path, list[Ended]]) -> None:
    _, (_, other) = unbroken
    assert other.code == -15


def test_a_worker_that_is_killed_and_started_again_goes_on(
    data: Path, unbroken: tuple[Path, list[Ended]], tmp_path: Path
) -> None:
    chief, other = two_workers(data, tmp_path, "random", second=["--killed-in", "2"])
    assert other.code == -9
    assert chief.code == 1
    assert "error: worker 0 lost the others (" in chief.said
    assert "has all up to epoch 1, and the model of the best; to go on from there: the same command" in chief.said
    assert len(chief.said.splitlines()) == 1
    assert record(tmp_path / "random")["status"] == "interrupted"
    before = record(tmp_path / "random")["history"]

    ended = two_workers(data, tmp_path, "random")
    assert [one.code for one in ended] == [0, 0]
    whole, _ = unbroken
    assert record(tmp_path / "random")["history"]["seconds"][0] == before["seconds"][0]  # type: ignore[index, call-overload]
    # exactly: two summands are added up the same either way, and every random number has its own seed
    assert history(tmp_path / "random") == history(whole / "random")
    for found, expected in zip(weights(tmp_path / "random"), weights(whole / "random"), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_two_devices_take_the_steps_of_two_workers(
    data: Path, unbroken: tuple[Path, list[Ended]], tmp_path: Path
) -> None:
    with started([["mirrored", str(data), str(tmp_path), "random"]], [{}]) as [ended]:
        assert ended.code == 0
    whole, _ = unbroken
    mirrored = history(tmp_path / "random")
    for name in ("loss", "val_loss"):  # dropout too: each replica's seeds are its own
        assert mirrored[name] == pytest.approx(history(whole / "random")[name], rel=SAME_STEPS)


def test_one_device_needs_no_strategy() -> None:
    assert connect(None) is ALONE
    assert ALONE.count == 1
    assert ALONE.is_chief
    assert ALONE.from_chief(lambda: (1, 2)) == (1, 2)


def test_mirroring_needs_two_devices() -> None:
    with pytest.raises(InvalidInputError, match="expected at least two devices of one kind, found CPU:0; drop"):
        connect("mirrored")


def test_what_is_wrong_is_told_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", "{")
    with pytest.raises(InvalidInputError, match="TF_CONFIG is not JSON"):
        connect("multiworker")
    with pytest.raises(InvalidInputError, match="unknown strategy 'mirored'; did you mean 'mirrored'"):
        connect("mirored")
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["ann:1"]}, "task": {"type": "worker", "index": 0}}')
    with pytest.raises(InvalidInputError, match="timeout: expected seconds above 0, found 0"):
        connect("multiworker", timeout=0)


def test_a_batch_has_an_image_for_each_replica(data: Path) -> None:
    class Three(Replicas):
        count = 3  # type: ignore[assignment]

    with pytest.raises(InvalidInputError, match="at least one image for each of the 3 replicas, found 2"):
        fit(small(10, random=False), load_dataset(data), replace(config(), batch_size=2), replicas=Three())
