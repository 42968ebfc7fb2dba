import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from liteport.errors import MissingDependencyError
from liteport.terminal import muted, no_progress, print_table, progress, quiet_import


def test_elsewhere_than_on_a_terminal_a_line_tells_what_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as show:
        for done in range(4):
            show("export", done, 3, "")
        show("train", 5, 5, "99 %")
        no_progress("nothing", 1, 1, "")
    captured = capsys.readouterr()
    assert captured.err == "export: done\ntrain: 99 %\n"
    assert captured.out == ""


def test_on_a_terminal_there_is_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with progress() as show:
        show("export", 0, 2, "first [int8]")
        show("export", 2, 2, "last")
    captured = capsys.readouterr()
    assert "export" in captured.err
    assert "2/2" in captured.err
    assert captured.out == ""


def test_a_table_is_as_wide_as_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    path = "x" * 400
    print_table("title", ["file", "size"], [[path, "1"], ["[bold]:smile:"]])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "title"
    assert any(path in line for line in lines)
    assert any("[bold]:smile:" in line for line in lines)  # neither markup nor emoji
    assert max(map(len, lines)) < 450


def test_figures_are_aligned_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("", ["name", "kind", "size"], [["a", "b", "1"], ["aaaaa", "bbbbb", "12345"]], left=2)
    row = next(line for line in capsys.readouterr().out.splitlines() if " a " in line)
    assert [cell for cell in row.split("│") if cell] == [" a     ", " b     ", "     1 "]


CHATTER = """
import os, sys
from liteport.terminal import muted

open_files = os.listdir("/dev/fd")
print("before")
try:
    with muted():
        os.write(1, b"native out ")
        os.write(2, b"native error ")
        print("python out")
        print("python error", file=sys.stderr)
        raise ZeroDivisionError
except ZeroDivisionError:
    os.write(1, b"after ")
assert os.listdir("/dev/fd") == open_files
"""


def python(code: str, **environment: str) -> tuple[str, str]:
    """What a process of its own writes; pytest's capture stands between this one and its descriptors."""
    kept = {name: value for name, value in os.environ.items() if name not in ("KERAS_BACKEND", "LITEPORT_DEBUG")}
    call = [sys.executable, "-c", code]
    done = subprocess.run(call, env={**kept, **environment}, capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


def test_chatter_is_kept_off_and_all_else_comes_through_even_after_a_failure() -> None:
    assert python(CHATTER) == ("before\nafter ", "")


def test_debugging_hides_nothing() -> None:
    out, error = python(CHATTER, LITEPORT_DEBUG="1")
    assert "native out" in out
    assert "python out" in out
    assert "native error" in error
    assert "python error" in error


def test_a_noisy_package_is_imported_quietly(tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text("import os\nos.write(2, b'I am starting')\nlevel = os.environ['KERAS_BACKEND']")
    code = "from liteport.terminal import quiet_import; print(quiet_import('noisy', 'train').level)"
    assert python(code, PYTHONPATH=str(tmp_path)) == ("tensorflow\n", "")


def test_a_missing_package_is_told() -> None:
    with pytest.raises(MissingDependencyError, match=r'pip install "liteport\[train\]"'):
        quiet_import("no_such_package", "train")


def test_output_comes_back_however_silence_ends(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.delenv("LITEPORT_DEBUG", raising=False)
    with pytest.raises(KeyboardInterrupt), muted():
        monkeypatch.setattr(sys.stdout, "flush", interrupted)
    monkeypatch.undo()
    os.write(2, b"heard")
    assert capfd.readouterr().err.endswith("heard")


def test_what_a_library_logs_in_a_notebook_is_kept_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LITEPORT_DEBUG", raising=False)
    written = io.StringIO()  # as a notebook's standard error, no file descriptor
    handler = logging.StreamHandler(written)
    logger = logging.getLogger("chatty")
    monkeypatch.setattr(logger, "handlers", [handler])
    monkeypatch.setattr(logger, "propagate", False)
    logger.warning("before")
    with muted():
        logger.warning("hidden")
        with muted():
            logger.warning("hidden")
        logger.error("an error")
        logger.warning("hidden")
    logger.warning("after")
    assert written.getvalue() == "before\nan error\nafter\n"
