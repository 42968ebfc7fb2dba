import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from liteport.errors import AlreadyExistsError, InvalidInputError, LiteportError, NotFoundError
from liteport.train.cli import train

pytestmark = pytest.mark.usefixtures("undrawn")

APP = typer.Typer(pretty_exceptions_enable=False)
APP.command("train")(train)

# What the `liteport` program does, in a process of its own that can be stopped.
PROGRAM = """
import signal
from liteport.runtime.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell without job control has it ignored
main()
"""


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(APP, [str(argument) for argument in arguments])


def started(arguments: Sequence[object]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PROGRAM, "train", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)


def test_trains_writes_and_says_so(npz: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = invoke("--data", npz, "--epochs", 2, "--batch-size", 32, "--seed", 3, "--dropout", 0.25, "--out", out)

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "digits: 220 train, 20 validation, 100 test; 14×14×1 pixels, 10 classes"
    assert "Total params: 232,650" in result.stdout
    record = json.loads((out / "training.json").read_text())
    assert (record["seed"], record["config"]["batch_size"], record["design"]) == (3, 32, "baseline")
    assert f"test: accuracy {record['test']['accuracy']:.2%}" in result.stdout
    assert lines[-2:] == [f"wrote {out}", f"next: liteport export {out}"]
    assert result.stderr.splitlines()[0].startswith("epoch 1/2: loss ")
    assert "; validation loss " in result.stderr.splitlines()[1]

    again = invoke("--from", out / "training.json", "--out", tmp_path / "again")
    assert again.exit_code == 0, again.output
    repeated = json.loads((tmp_path / "again" / "training.json").read_text())
    same = ("design", "dropout", "dataset", "config", "test", "validation")
    assert [repeated[name] for name in same] == [record[name] for name in same]

    further = invoke(
        "--data",
        npz,
        "--epochs",
        1,
        "--batch-size",
        64,
        "--weights",
        out / "model.weights.h5",
        "--out",
        tmp_path / "further",
    )
    assert further.exit_code == 0, further.output


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (["--data", "mnits"], InvalidInputError, "did you mean 'mnist'"),
        (["--data", "absent.npz"], NotFoundError, "absent.npz does not exist"),
        (["--design", "basline"], InvalidInputError, "did you mean 'baseline'"),
        (["--schedule", "onecycle"], InvalidInputError, "did you mean 'one-cycle'"),
        (["--precision", "float23"], InvalidInputError, "did you mean 'float32'"),
        (["--epochs", "0"], InvalidInputError, "epochs: expected"),
        (["--dropout", "1"], InvalidInputError, "dropout: expected"),
        (["--shift", "1"], InvalidInputError, "shift: expected"),
        (["--weights", "absent.weights.h5"], NotFoundError, "does not exist"),
        (["--recipe", "defualt"], InvalidInputError, "did you mean 'default'"),
        (["--batch-size", "221"], InvalidInputError, "expected at most the 220 training images of digits, found 221"),
        (["--weight-bits", "4"], InvalidInputError, "--weight-bits goes with --qat"),
        (["--strategy", "miror"], InvalidInputError, "did you mean 'mirrored'"),
        (["--strategy", "mirrored"], InvalidInputError, "expected at least two devices of one kind, found CPU:0"),
        (["--strategy", "multiworker"], InvalidInputError, "TF_CONFIG is not set; expected such as"),
        (["--strategy", "multiworker", "--qat"], InvalidInputError, "train one first"),
        (["--worker-timeout", "3"], InvalidInputError, "--worker-timeout goes with --strategy multiworker"),
        (["--resume", "absent", "--worker-timeout", "3"], InvalidInputError, "goes with --strategy multiworker"),
        (["--resume", "absent"], NotFoundError, "expected a folder that liteport train has written"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], kind: type, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    data = [] if {"--data", "--resume"} & set(arguments) else ["--data", str(npz)]
    result = invoke(*data, *arguments)
    assert isinstance(result.exception, kind)
    assert isinstance(result.exception, LiteportError)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_existing_folder_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text("{}")
    result = invoke("--data", "absent.npz", "--out", tmp_path)
    assert isinstance(result.exception, AlreadyExistsError)
    assert "--force" in str(result.exception)


def test_resume_takes_no_other_settings(tmp_path: Path) -> None:
    result = invoke("--resume", tmp_path, "--epochs", 3, "--batch-size", 8, "--force")
    assert result.exit_code == 2
    assert "--epochs, --batch-size, --force" in result.stderr.replace("\n", " ").replace("│", "").replace("  ", " ")


def test_ctrl_c_keeps_the_last_epoch_and_resume_goes_on(npz: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    # so many epochs that it cannot be finished when the signal comes
    process = started(["--data", npz, "--epochs", 1000, "--batch-size", 32, "--out", out])
    while not (out / "training.json").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 130, errors
    last = errors.splitlines()[-1]
    record = json.loads((out / "training.json").read_text())
    assert last.startswith(f"stopped; epoch {record['epochs_done']} of 1000 is kept in {out}")
    assert last.endswith(f"liteport train --resume {out}")
    assert record["status"] == "interrupted"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert not [path for path in out.iterdir() if path.name.startswith(".")]

    # as if fewer had been asked for, which leaves one to do
    record["config"]["epochs"] = record["epochs_done"] + 1
    (out / "training.json").write_text(json.dumps(record))
    result = invoke("--resume", out)
    assert result.exit_code == 0, result.output
    assert json.loads((out / "training.json").read_text())["status"] == "finished"


def test_ctrl_c_before_the_first_epoch_leaves_nothing(npz: Path, tmp_path: Path) -> None:
    process = started(["--data", npz, "--batch-size", 1, "--out", tmp_path / "run"])
    while not list(tmp_path.glob(".run-*")):  # the temporary folder, made when the training starts
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1] == "interrupted; what was unfinished is not kept"
    assert list(tmp_path.iterdir()) == []
