import json
from pathlib import Path
from typing import Any

import pytest
from made_comparison import CopyingChildren

from liteport.benchmarks import compare
from liteport.benchmarks.comparing import comparing, local, running
from liteport.benchmarks.comparing.children import ChildError
from liteport.benchmarks.results import Report
from liteport.errors import InterruptedTrainingError, InvalidInputError, NotFoundError

QUICK = {"variants": ["tflite-int8"], "duration": 0.2, "launches": 2}


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the benchmark's own plots, which have tests of their own."""
    monkeypatch.setattr("liteport.benchmarks.reports.writing.draw_all", lambda report: [])


@pytest.fixture
def copying(children: CopyingChildren, monkeypatch: pytest.MonkeyPatch) -> CopyingChildren:
    """Has all commands of comparisons run by the stand-in."""
    for module in (local, running):
        monkeypatch.setattr(module, "Children", lambda threads=None: children)
    return children


def test_a_comparison_and_what_is_run_again(
    copying: CopyingChildren, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One test, as each call finds what the one before has left: a real benchmark of copied bundles."""
    copying.bad["b-seed-1"] = ChildError("the loss became nan", killed=False)
    lines: list[tuple[str, str]] = []

    def show(what: str, done: int, total: int, note: str) -> None:
        if done == total:
            lines.append((what, note))

    out = tmp_path / "compare"
    first = compare(["a", "b"], seeds=2, data=tiny_data, out=out, progress=show, **QUICK)
    assert [(trial.design, trial.seed) for trial in first.trials] == [("a", 0), ("b", 0), ("a", 1)]
    assert [(failure.design, failure.seed) for failure in first.failures] == [("b", 1)]
    assert ("b, seed 1", "failed: train: the loss became nan") in lines
    assert ("trials", "3 of 4 finished") in lines
    one, other = first.designs
    accuracies = [entry.variant("tflite-int8").accuracy for entry in (one, other)]
    assert accuracies[0] is not None
    assert accuracies[1] is not None
    assert accuracies[0].seeds == (0, 1)
    assert set(accuracies[0].values) == set(accuracies[1].values)  # of the very same file
    assert accuracies[0].mean > 0.5  # it was trained to about 90 %
    speed = other.variant("tflite-int8").speed
    assert speed is not None
    assert speed.ratio_interval is not None
    assert 0.3 < speed.ratio_interval.low <= speed.ratio_interval.high < 3  # and so as fast, on however busy a machine
    assert json.loads((out / "report" / "report.json").read_text())["bundles"][1]["name"] == "b"

    # What is finished is neither run nor measured again.
    copying.ran.clear()
    with monkeypatch.context() as patch:
        patch.setattr(comparing, "measure", None)
        second = compare(["a", "b"], seeds=2, data=tiny_data, out=out, **QUICK)
    assert second == first
    assert [words[0] for words in copying.ran] == ["check-comparison", "train"]

    with pytest.raises(InvalidInputError, match="holds trials with epochs by default, not 9"):
        compare(["a"], data=tiny_data, out=out, epochs=9, **QUICK)


def test_ctrl_c_keeps_what_is_finished(
    copying: CopyingChildren, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(*_: object) -> Report:
        raise KeyboardInterrupt

    monkeypatch.setattr(comparing, "measure", pressed)
    with pytest.raises(InterruptedTrainingError, match=r"1 of 1 trials are finished in .*; the same command goes on"):
        compare(["a"], seeds=1, data=tiny_data, out=tmp_path / "compare", **QUICK)
    assert (tmp_path / "compare" / "trials" / "a-seed-0" / "trial.json").is_file()


def test_a_design_that_does_not_exist_leaves_nothing(copying: CopyingChildren, tiny_data: Path, tmp_path: Path) -> None:
    copying.bad["check-comparison"] = ChildError("unknown design 'basline'", killed=False)
    with pytest.raises(InvalidInputError, match="unknown design 'basline'"):
        compare(["basline"], seeds=1, data=tiny_data, out=tmp_path / "compare", **QUICK)
    assert not (tmp_path / "compare").exists()


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"seeds": 0}, "seeds: expected a whole number from 1, found 0"),
        ({"jobs": 0}, "jobs: expected a whole number from 1, found 0"),
        ({"ray": "here"}, "ray: expected auto, HOST:PORT or ray://HOST:PORT, found 'here'"),
        ({"data": "mnits"}, "did you mean 'mnist'"),
    ],
)
def test_bad_wishes(wishes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=message):
        compare(["baseline"], out=tmp_path / "compare", **wishes)
    assert not (tmp_path / "compare").exists()


def test_data_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        compare(["baseline"], data=tmp_path / "nowhere.npz", out=tmp_path / "compare")
