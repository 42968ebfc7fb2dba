"""The runtime's own tests, run by the emulated Pythons; what they leave out is in `left_out.py`."""

import subprocess
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent

Start = Callable[[Any], tuple["subprocess.Popen[str]", Path]]


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest, fixtures: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The tests of all machines, started at once, with their reports: each takes one core."""
    started = {}
    for machine in request.getfixturevalue("machines"):
        folder = tmp_path_factory.mktemp(machine.name)
        process = machine.start(
            "pytest",
            *("-p", "left_out", "-p", "no:cacheprovider", "--basetemp", folder / "files"),
            # NumPy warns of what tflite-runtime does to the processor on 32-bit Arm.
            *("-W", "ignore:The value of the smallest subnormal:UserWarning"),
            *(f"--junitxml={folder / 'report.xml'}", HERE.parent / "runtime"),
            PYTHONPATH=str(HERE),
            LITEPORT_TEST_FIXTURES=str(fixtures),
            HYPOTHESIS_STORAGE_DIRECTORY=str(folder / "hypothesis"),
        )
        started[machine.name] = process, folder / "report.xml"
    yield started
    for process, _ in started.values():
        process.kill()


def test_the_tests_of_the_runtime_pass(machine: Any, tell: Callable[[str], None], runs: Any) -> None:
    process, report = runs[machine.name]
    output, _ = process.communicate()
    assert process.returncode == 0, output[-20_000:]
    cases = list(ElementTree.parse(report).iter("testcase"))
    reasons = Counter(str(skip.get("message")) for case in cases for skip in case.iter("skipped"))
    passed = len(cases) - reasons.total()
    tell(f"{machine.name}: {passed} of the runtime's tests passed; left out were")
    for reason, count in reasons.most_common():
        tell(f"  {count}: {reason}")
    assert passed > reasons.total()
