from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_comparison import made_trial, two_designs

from liteport.benchmarks.comparing import measuring
from liteport.benchmarks.comparing.measuring import Timing, measure
from liteport.benchmarks.comparing.setup import Setup
from liteport.benchmarks.results import Report
from liteport.train import Dataset, load_dataset


@pytest.fixture
def dataset(tiny_data: Path) -> Dataset:
    return load_dataset(tiny_data)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Has all bundles measured by a stand-in that keeps what it was asked; both designs' models are named "net"."""
    calls: list[dict[str, Any]] = []

    def benchmark(bundles: list[str], data: Dataset, **settings: Any) -> Report:
        calls.append({"bundles": bundles, **settings})
        report = two_designs()
        names = dict(zip(("wide", "a:b"), bundles, strict=False))  # bundles of one name go by their paths
        controls = tuple(replace(control, bundle=bundles[0]) for control in report.devices[0].controls)
        return replace(
            report,
            devices=(replace(report.devices[0], controls=controls),),
            bundles=tuple(replace(report.bundles[0], name=path, path=path) for path in bundles),
            rows=tuple(replace(row, bundle=names[row.bundle]) for row in report.rows if row.bundle in names),
        )

    monkeypatch.setattr(measuring, "benchmark", benchmark)
    return calls


def test_one_seed_is_timed_and_all_are_asked(
    asked: list[dict[str, Any]], setup: Setup, dataset: Dataset, tmp_path: Path
) -> None:
    trials = [made_trial("wide", 1, 0.99), made_trial("a:b", 0, 0.98), made_trial("wide", 2, 0.99)]
    told: list[str] = []
    report, accuracies = measure(trials, setup, tmp_path, dataset, Timing(5.0, 3), lambda what, *_: told.append(what))
    timed, others = asked
    folder = tmp_path / "trials"
    assert timed["bundles"] == [str(folder / "wide-seed-1" / "bundle"), str(folder / "a-b-seed-0" / "bundle")]
    assert (timed["duration"], timed["launches"], timed["variants"]) == (5.0, 3, setup.variants)
    assert others["bundles"] == [str(folder / "wide-seed-2" / "bundle")]
    assert others["runs"] == 2
    assert [bundle.name for bundle in report.bundles] == ["wide", "a:b"]
    assert {row.bundle for row in report.rows} == {"wide", "a:b"}
    assert [control.bundle for control in report.devices[0].controls] == ["wide"]
    assert set(accuracies) == {(trial.design, trial.seed, name) for trial in trials for name in setup.variants}


def test_with_one_seed_there_is_one_benchmark(
    asked: list[dict[str, Any]], setup: Setup, dataset: Dataset, tmp_path: Path
) -> None:
    measure([made_trial("wide", 0, 0.99)], setup, tmp_path, dataset, Timing(5.0, 3), lambda *_: None)
    assert len(asked) == 1
