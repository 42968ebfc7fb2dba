import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from liteport.benchmarks import process
from liteport.benchmarks.process import Worker
from liteport.errors import BackendError


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("crash", r"latency: the worker was ended by SIGSEGV"),
        ("killed", r"latency: the worker was ended by SIGKILL, as when memory runs out"),
        ("exit", r"latency: the worker ended with exit code 1: no more tensors"),
        ("hang", r"latency: no answer within 1 s"),
        ("garbage", r"latency: expected an answer from the worker, got b'W0000 delegate created'"),
        ("half", r"latency: expected an answer from the worker"),
        ("refuse", r"^the engine refuses the model$"),
    ],
)
def test_tells_how_a_worker_failed(way: str, reason: str, tmp_path: Path, stand_in: Callable[..., None]) -> None:
    stand_in({"none": {"latency": way}})
    with Worker(tmp_path, timeout=20) as worker:
        assert worker.ask("memory") == {"peak_bytes": 10_000_000}
        worker._timeout = 1 if way == "hang" else 20  # start-up may take longer than the hang is waited for
        with pytest.raises(BackendError, match=reason):
            worker.ask("latency", {"runs": 3})


def test_a_refusal_is_no_end(tmp_path: Path, stand_in: Callable[..., None]) -> None:
    stand_in({"none": {"latency": "refuse"}})
    with Worker(tmp_path, timeout=20) as worker:
        with pytest.raises(BackendError):
            worker.ask("latency", {"runs": 3})
        assert worker.ask("warm_up")["runs"] == 30


def test_an_ended_worker_still_says_why(tmp_path: Path, stand_in: Callable[..., None]) -> None:
    stand_in({"none": {"memory": "exit"}})
    with Worker(tmp_path, timeout=20) as worker:
        for _ in range(2):
            with pytest.raises(BackendError, match="exit code 1: no more tensors"):
                worker.ask("memory")


def test_native_chatter_does_not_reach_the_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chatty = (
        "import os; from liteport.benchmarks import worker\n"
        "worker.COMMANDS['memory'] = lambda session: (os.write(1, b'INFO: delegate\\n'), print('hello'), {'n': 1})[2]\n"
        "worker.main()"
    )
    monkeypatch.setattr(process, "COMMAND", (sys.executable, "-c", chatty))
    with Worker(tmp_path, timeout=60) as worker:
        assert [worker.ask("memory") for _ in range(2)] == [{"n": 1}] * 2
    assert "INFO: delegate" in (worker.folder / "stderr.txt").read_text()


def test_a_module_in_the_current_folder_does_not_reach_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    monkeypatch.chdir(tmp_path)
    with Worker(tmp_path, timeout=60) as worker:
        assert worker.ask("memory")["peak_bytes"] > 0
