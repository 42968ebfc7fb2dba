from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from liteport.benchmarks.comparing import comparing
from liteport.benchmarks.comparing.results import Comparison
from liteport.runtime.cli import run


@pytest.fixture
def asked(comparison: Comparison, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Has everything compared by a stand-in, which keeps what it was asked and answers with `outcome`."""
    calls: dict[str, Any] = {"outcome": comparison}

    def compare(designs: list[str], **settings: Any) -> Comparison:
        calls.update(settings, designs=designs)
        outcome: Comparison = calls["outcome"]
        return outcome

    monkeypatch.setattr(comparing, "compare", compare)
    return calls


def test_a_failed_trial_makes_for_exit_code_1(asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", "--designs", "wide, a:b"]) == 1
    printed = capsys.readouterr().out
    assert asked["designs"] == ["wide", "a:b"]
    assert "not finished: a:b, seed 2: train: epoch 1/5: the loss became nan; <try> a lower learning rate" in printed
    assert "98.00 ± 0.28" in printed
    assert "Choice by validation accuracy: wide, as" in printed
    assert "next: the same command again" in printed


def test_all_options_are_passed_on(asked: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    asked["outcome"] = replace(asked["outcome"], failures=())
    options = ["--seeds", "2", "--data", "mnist", "--epochs", "3", "--recipe", "plain", "--variants", "x-int8,y"]
    options += ["--jobs", "2", "--ray", "auto", "--duration", "5", "--out", str(tmp_path), "--force"]
    assert run(["compare", "--designs", "wide", *options]) == 0
    del asked["outcome"], asked["progress"]
    assert asked == {
        "designs": ["wide"],
        "seeds": 2,
        "data": "mnist",
        "out": tmp_path,
        "epochs": 3,
        "recipe": "plain",
        "variants": ["x-int8", "y"],
        "jobs": 2,
        "ray": "auto",
        "duration": 5.0,
        "force": True,
    }
    printed = capsys.readouterr().out.splitlines()
    assert printed[-2] == "wrote " + ", ".join(
        str(tmp_path / name)
        for name in (
            "compare.html",
            "compare.md",
            "compare.csv",
            "compare.json",
            "pareto.png",
            "report/report.html",
        )
    )
    assert printed[-1] == f"next: liteport choose {tmp_path / 'report'} --bundle wide --max-drop 0.1 --prefer latency"
