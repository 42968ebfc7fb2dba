import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from made_comparison import made_trial

from liteport.benchmarks.comparing import local
from liteport.benchmarks.comparing.children import Children, StoppedError
from liteport.benchmarks.comparing.local import run_here
from liteport.benchmarks.comparing.setup import Setup, Spec, make_specs
from liteport.benchmarks.comparing.trial import Outcome

Tell = Callable[[str], None]


def test_trials_run_side_by_side(setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(2, timeout=30)  # lets nobody through before two have come

    def trial(spec: Spec, setup: Setup, folder: Path, data: str, children: Children, tell: Tell) -> Outcome:
        together.wait()
        tell("training")
        assert folder == tmp_path / spec.name
        return made_trial(spec.design, spec.seed, 0.9)

    monkeypatch.setattr(local, "run_trial", trial)
    told: list[Spec] = []
    specs = make_specs(["a", "b"], 2)
    outcomes = list(run_here(specs, setup, tmp_path, 2, lambda spec, doing: told.append(spec)))
    assert {(outcome.design, outcome.seed) for outcome in outcomes} == {(spec.design, spec.seed) for spec in specs}
    assert sorted(told, key=str) == sorted(specs, key=str)


def test_who_goes_no_further_leaves_nothing_running(
    setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = threading.Event(), list[str]()

    def trial(spec: Spec, setup: Setup, folder: Path, data: str, children: Children, tell: Tell) -> Outcome:
        if spec.design == "quick":
            assert begun.wait(30)
            return made_trial(spec.design, spec.seed, 0.9)
        begun.set()
        while not children._stop.is_set():
            time.sleep(0.01)
        ended.append(spec.design)
        raise StoppedError

    monkeypatch.setattr(local, "run_trial", trial)
    outcomes = run_here(make_specs(["quick", "slow"], 1), setup, tmp_path, 2, lambda spec, doing: None)
    assert next(outcomes).design == "quick"
    outcomes.close()  # type: ignore[attr-defined]
    assert ended == ["slow"]
