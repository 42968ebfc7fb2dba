import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from liteport.export.isolation import ScriptError, run_program, stop_when

# A program that starts another, and both would run for a minute.
PARENT = """
import pathlib, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import pathlib, time; pathlib.Path('child').touch(); time.sleep(60)"])
time.sleep(60)
"""


def processes_in(folder: Path) -> list[str]:
    """Programs whose working directory is `folder`; one that is dead but not buried has none."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found.append(process.name)
        except OSError:
            continue
    return found


def wait_until(holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + 20  # a start of Python takes far less, even on a busy machine
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return holds()


def test_gives_what_was_printed_and_tells_why_not(tmp_path: Path) -> None:
    assert run_program([sys.executable, "-c", "print(input.__name__)"], tmp_path, timeout=60) == "input\n"
    for code, reason in (("import os; os.abort()", "it crashed (SIGABRT)"), ("raise SystemExit('no')", "no")):
        with pytest.raises(ScriptError) as raised:
            run_program([sys.executable, "-c", code], tmp_path, timeout=60)
        assert raised.value.reason == reason


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="looks processes up in /proc")
def test_a_program_that_takes_too_long_is_killed_with_what_it_started(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="it was stopped after 2 s"):
        run_program([sys.executable, "-c", PARENT], tmp_path, timeout=2)
    assert wait_until(lambda: processes_in(tmp_path) == [])


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="looks processes up in /proc")
def test_programs_of_a_thread_end_with_what_they_serve(tmp_path: Path) -> None:
    stop, reasons = threading.Event(), []

    def work() -> None:
        stop_when(stop)
        try:
            run_program([sys.executable, "-c", PARENT], tmp_path, timeout=60)
        except ScriptError as error:
            reasons.append(error.reason)

    thread = threading.Thread(target=work)
    thread.start()
    assert wait_until((tmp_path / "child").exists)
    stop.set()
    thread.join(20)
    assert reasons == ["it was stopped, as the export ended"]
    assert wait_until(lambda: processes_in(tmp_path) == [])


def test_temporary_files_of_a_program_lie_in_its_folder(tmp_path: Path) -> None:
    code = "import tempfile; print(tempfile.mkstemp()[1])"
    assert Path(run_program([sys.executable, "-c", code], tmp_path, timeout=60).strip()).parent == tmp_path
