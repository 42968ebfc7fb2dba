import json
from pathlib import Path

import pytest
from made_comparison import CopyingChildren, interrupt

from liteport.benchmarks.comparing.children import ChildError, StoppedError
from liteport.benchmarks.comparing.setup import Setup, Spec
from liteport.benchmarks.comparing.trial import Failure, Outcome, Trial, read_failure, read_trial, run_trial
from liteport.errors import IntegrityError
from liteport.runtime import read_bundle

SPEC = Spec("baseline", 1)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / SPEC.name


def run(setup: Setup, home: Path, children: CopyingChildren) -> Outcome:
    return run_trial(SPEC, setup, home, "mnist", children, lambda _: None)


def commands(children: CopyingChildren) -> list[str]:
    return [" ".join(words[:2]) for words in children.ran]


def test_a_trial_is_a_training_and_an_export(setup: Setup, home: Path, children: CopyingChildren) -> None:
    told: list[str] = []
    trial = run_trial(SPEC, setup, home, "mnist", children, told.append)
    assert told == ["training", "exporting"]
    folder = str(home / "run")
    assert children.ran[0] == ["train", "--data", "mnist", "--design", "baseline", "--seed", "1", "--out", folder]
    assert children.ran[1][:6] == ["export", folder, "--out", str(home / "bundle"), "--format", "tflite-float32"]
    assert "--force" not in children.ran[0] + children.ran[1]
    record = json.loads((home / "run" / "training.json").read_text())
    assert isinstance(trial, Trial)
    assert trial.validation_accuracy == record["validation"]["accuracy"]
    assert trial.train_seconds == record["seconds"]
    assert trial.parameters == record["parameters"]
    assert trial.digests["tflite-int8"] == read_bundle(home / "bundle").manifest.variant("tflite-int8").sha256
    assert read_trial(home) == trial
    assert read_failure(home) is None


def test_settings_go_to_the_training(home: Path, children: CopyingChildren) -> None:
    run(Setup("mnist", "", 7, "plain", ("tflite-int8",)), home, children)
    assert children.ran[0][-4:] == ["--epochs", "7", "--recipe", "plain"]


@pytest.mark.parametrize("step", ["train", "export"])
def test_a_failure_is_recorded_and_the_next_try_forgets_it(
    step: str, setup: Setup, home: Path, children: CopyingChildren
) -> None:
    children.bad[step] = ChildError("the loss became nan", killed=False)
    failure = run(setup, home, children)
    assert failure == Failure("baseline", 1, step, "the loss became nan", killed=False)
    assert read_failure(home) == failure
    assert read_trial(home) is None
    children.bad.clear()
    assert read_trial(home) is None
    assert isinstance(run(setup, home, children), Trial)
    assert read_failure(home) is None


def test_a_training_that_was_cut_short_goes_on(setup: Setup, home: Path, children: CopyingChildren) -> None:
    run(setup, home, children)
    (home / "trial.json").unlink()
    interrupt(home / "run")
    children.ran.clear()
    assert isinstance(run(setup, home, children), Trial)
    assert children.ran[0] == ["train", "--resume", str(home / "run")]
    assert children.ran[1][-1] == "--force"  # the bundle of the first time


def test_a_training_that_was_killed_goes_on(setup: Setup, home: Path, children: CopyingChildren) -> None:
    run(setup, home, children)
    interrupt(home / "run")
    children.bad["train"] = ChildError("ended by SIGKILL", killed=True)
    run(setup, home, children)
    children.bad.clear()
    run(setup, home, children)
    assert commands(children)[-2] == "train --resume"


def test_a_training_that_failed_by_itself_starts_anew(setup: Setup, home: Path, children: CopyingChildren) -> None:
    run(setup, home, children)
    interrupt(home / "run")
    children.bad["train"] = ChildError("the loss became nan", killed=False)
    run(setup, home, children)
    children.bad.clear()
    run(setup, home, children)
    assert children.ran[-2][:3] == ["train", "--data", "mnist"]
    assert children.ran[-2][-1] == "--force"


def test_a_finished_training_is_not_run_again(setup: Setup, home: Path, children: CopyingChildren) -> None:
    children.bad["export"] = ChildError("disk full", killed=False)
    run(setup, home, children)
    children.bad.clear()
    run(setup, home, children)
    assert [words[0] for words in children.ran] == ["train", "export", "export"]


def test_what_a_killed_command_left_half_written_is_removed(
    setup: Setup, home: Path, children: CopyingChildren
) -> None:
    (home / ".bundle-x").mkdir(parents=True)
    (home / ".12-trial.json").touch()
    run(setup, home, children)
    assert sorted(path.name for path in home.iterdir()) == ["bundle", "run", "trial.json"]


def test_nothing_is_recorded_of_what_is_stopped(setup: Setup, home: Path, children: CopyingChildren) -> None:
    children.bad["export"] = StoppedError()  # type: ignore[assignment]
    with pytest.raises(StoppedError):
        run(setup, home, children)
    assert sorted(path.name for path in home.iterdir()) == ["run"]


def test_a_trial_whose_bundle_is_gone_is_not_finished(setup: Setup, home: Path, children: CopyingChildren) -> None:
    run(setup, home, children)
    (home / "bundle" / "manifest.json").unlink()
    assert read_trial(home) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [("[]", "schema_version 1"), ('{"schema_version": 2}', "remove .* to run it anew"), ("{", "no valid JSON")],
)
def test_a_damaged_record(content: str, message: str, setup: Setup, home: Path, children: CopyingChildren) -> None:
    run(setup, home, children)
    (home / "trial.json").write_text(content)
    with pytest.raises(IntegrityError, match=message):
        read_trial(home)


def test_a_training_record_without_figures(setup: Setup, home: Path, children: CopyingChildren) -> None:
    run(setup, home, children)
    (home / "run" / "training.json").write_text('{"status": "finished"}')
    with pytest.raises(IntegrityError, match="lacks 'parameters'"):
        run(setup, home, children)
