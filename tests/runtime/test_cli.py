import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from liteport.runtime.backends import EXPECTED
from liteport.runtime.cli import run

PROGRAM = Path(sysconfig.get_path("scripts")) / "liteport"


def liteport(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the program as users do, in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if name != "LITEPORT_DEBUG"}
    return subprocess.run(
        [PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**kept, **environment},
    )


def test_without_a_command_help_is_shown() -> None:
    call = liteport()
    assert (call.returncode, call.stderr) == (0, "")
    for command in ("train", "export", "predict", "bench", "inspect", "web", "doctor", "demo"):
        assert f" {command} " in call.stdout


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"{version('liteport')}\n"


def test_a_failure_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    call = liteport("inspect", tmp_path / "nowhere")
    assert (call.returncode, call.stdout) == (1, "")
    assert call.stderr == (f"error: {tmp_path / 'nowhere'} does not exist; expected a bundle folder, {EXPECTED}\n")


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    call = liteport("inspect", tmp_path / "nowhere", "--debug")
    assert call.returncode == 1
    assert call.stderr.startswith("Traceback")
    assert "NotFoundError" in call.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predct"], "No such command 'predct'. Did you mean 'predict'"),
        (["predict", "--varant", "x", "bundle", "image"], "--variant"),
        (["inspect"], "BUNDLE_OR_FILE"),
        (["predict", "bundle"], "IMAGE"),
        (["predict", "bundle", "x.png", "--top-k", "0"], "--top-k"),
        (["predict", "bundle", "x.png", "--top-k", "many"], "--top-k"),
        (["predict", "bundle", "x.png", "--threads", "0"], "--threads"),
        (["doctor", "now"], "unexpected extra argument"),
        (["--nope"], "--nope"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: list[str], message: str) -> None:
    call = liteport(*arguments)
    assert (call.returncode, call.stdout) == (2, "")
    (line,) = call.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert line.endswith(" --help)")


def test_a_bad_image_makes_the_exit_code_1(tiny_bundle: Path, tmp_path: Path) -> None:
    call = liteport("predict", tiny_bundle, tmp_path / "x.png")
    assert (call.returncode, call.stdout) == (1, "")
    assert call.stderr == f"error: '{tmp_path / 'x.png'}' does not exist; expected an image file\n"


def test_a_broken_file_gives_one_line_without_the_engines_chatter(tmp_path: Path) -> None:
    for name in ("broken.tflite", "broken.onnx"):
        (tmp_path / name).write_bytes(b"broken" * 100)
        call = liteport("inspect", tmp_path / name)
        assert (call.returncode, call.stdout) == (1, "")
        (line,) = call.stderr.splitlines()
        assert "is damaged" in line


def test_inference_prints_nothing_but_the_answer(tiny_bundle: Path) -> None:
    call = liteport("inspect", tiny_bundle / "tflite-float32.tflite", "--json")
    assert (call.returncode, call.stderr) == (0, "")
    assert call.stdout.startswith("{")


def test_a_terminal_without_unicode_will_do(tiny_bundle: Path) -> None:
    call = liteport("inspect", tiny_bundle, PYTHONIOENCODING="ascii", LC_ALL="C")
    assert (call.returncode, call.stderr) == (0, "")
    assert "| tflite-int8 " in call.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_line(tiny_bundle: Path) -> None:
    with Path("/dev/full").open("w") as full:
        call = subprocess.run([PROGRAM, "inspect", tiny_bundle], stdout=full, stderr=subprocess.PIPE, check=False)
    assert call.returncode != 0
    assert b"No space left on device" in call.stderr
    assert b"Traceback" not in call.stderr


INTERRUPTED_WHILE_CLEARING_UP = """
import signal, sys, time
from liteport.runtime import cli

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell without job control has it ignored

class Interrupted:
    def __del__(self):
        raise KeyboardInterrupt  # where Python goes on, having told of it

def work(arguments):
    Interrupted()
    for _ in range(300):
        time.sleep(0.1)

cli.run = work
sys.argv[1:] = []
cli.main()
"""


def test_ctrl_c_is_not_lost_while_objects_are_deleted() -> None:
    call = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WHILE_CLEARING_UP], capture_output=True, text=True, check=False, timeout=60
    )
    assert (call.returncode, call.stderr) == (130, "interrupted; what was unfinished is not kept\n")
