"""Reports to show: the sample of one device, and one merged of two, with names that try to break out."""

from dataclasses import replace
from pathlib import Path

import pytest
from made_report import made_report

from liteport.benchmarks.latency import Interval
from liteport.benchmarks.reports.writing import write_report
from liteport.benchmarks.results import Control, Report

HOSTILE = "<img src=x onerror=window.broken=1>|$x^2$\x1b[31m"


@pytest.fixture(scope="session")
def report() -> Report:
    return made_report()


@pytest.fixture(scope="session")
def merged(report: Report) -> Report:
    """The sample on a quiet laptop, and on a noisy Pi where int8 has a hostile name and takes longer."""
    (laptop,) = report.devices
    pi = replace(laptop, name="pi", controls=(Control("digits", "tflite-float32", 1.05, Interval(0.98, 1.12), 0.02),))
    rows = [replace(row, device="pi") for row in report.rows]
    rows[1] = replace(rows[1], variant=f"tflite-int8{HOSTILE}")
    rows[2] = replace(rows[2], failure=f"SIGILL{HOSTILE}")
    return replace(report, devices=(laptop, pi), rows=(*report.rows, *rows))


@pytest.fixture(scope="session")
def folder(merged: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The merged report, written."""
    path = tmp_path_factory.mktemp("merged") / "report"
    write_report(merged, path)
    return path
