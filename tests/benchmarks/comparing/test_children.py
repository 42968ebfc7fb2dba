import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from liteport.benchmarks.comparing import children
from liteport.benchmarks.comparing.children import ChildError, Children, StoppedError

Patch = pytest.MonkeyPatch


def replace_program(monkeypatch: Patch, code: str) -> None:
    """Has another Python program started in place of `liteport`."""
    monkeypatch.setattr(children, "command_line", lambda arguments: [sys.executable, "-c", code, *arguments])


def test_a_command_runs_and_its_output_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    Children().run(["--version"], log)
    Children().run(["--version"], log)
    lines = log.read_text().splitlines()
    assert lines[::2] == ["$ liteport --version"] * 2
    assert lines[1] == lines[3] != ""


def test_a_command_that_fails_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match=r"^nowhere does not exist; expected a bundle") as caught:
        Children().run(["inspect", "nowhere"], tmp_path / "log.txt")
    assert not caught.value.killed


@pytest.mark.parametrize(
    ("code", "reason", "killed"),
    [
        ("print('error: first'); print('error: it \\x1b[1m broke'); print('bye'); exit(1)", "it [1m broke", False),
        ("print('Segfault in x'); exit(134)", "Segfault in x", False),
        ("exit(2)", "$ liteport train", False),
        ("import os; os.kill(os.getpid(), 9)", "ended by SIGKILL, as when memory runs out", True),
    ],
)
def test_how_it_ended(code: str, reason: str, killed: bool, tmp_path: Path, monkeypatch: Patch) -> None:
    replace_program(monkeypatch, code)
    with pytest.raises(ChildError) as caught:
        Children().run(["train"], tmp_path / "log.txt")
    assert str(caught.value) == reason.replace("$ liteport train", "ended with exit code 2")
    assert caught.value.killed is killed


def test_threads_are_told_to_all_libraries(tmp_path: Path, monkeypatch: Patch) -> None:
    replace_program(monkeypatch, "import os; print(os.environ['TF_NUM_INTRAOP_THREADS'])")
    Children(threads=3).run([], tmp_path / "log.txt")
    assert (tmp_path / "log.txt").read_text().splitlines()[-1] == "3"


def test_what_is_stopped_takes_what_it_started_along(tmp_path: Path, monkeypatch: Patch) -> None:
    replace_program(
        monkeypatch,
        "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "print(p.pid, flush=True); time.sleep(60)",
    )
    running, log = Children(), tmp_path / "log.txt"

    def stop() -> None:
        await_text(log, 2)
        running.stop()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(StoppedError):
        running.run([], log)
    thread.join()
    assert_gone(int(log.read_text().split()[-1]))
    with pytest.raises(StoppedError):
        running.run([], log)


def test_a_command_does_not_outlive_who_started_it_even_if_that_is_killed(tmp_path: Path) -> None:
    watched = "import os, time; from liteport.benchmarks.comparing.child import end_with; end_with(os.getppid());"
    parent = "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', sys.argv[1]], "
    parent += "start_new_session=True, stdout=subprocess.PIPE); p.stdout.readline(); print(p.pid, flush=True); "
    command = [sys.executable, "-c", f"{parent}time.sleep(60)", f"{watched} print(flush=True); time.sleep(60)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
    assert_gone(child)


def await_text(path: Path, lines: int) -> None:
    while not path.exists() or len(path.read_text().splitlines()) < lines:
        time.sleep(0.05)


def assert_gone(pid: int) -> None:
    """It ends a moment later: it looks for its parent each second."""
    try:
        psutil.Process(pid).wait(timeout=30)
    except psutil.NoSuchProcess:
        return
