"""The emulated Arm machines that `build.py` made; `--arm NAME` says which of them are to be used."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ENVIRONMENTS = Path(__file__).resolve().parent.parent.parent / ".arm"
FINDINGS = pytest.StashKey[list[str]]()

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Machine:
    """An emulated machine.

    Attributes:
        name: As `platform.machine()` has it there.
        programs: The folder with its `python`, `pytest` and `liteport`.
    """

    name: str
    programs: Path

    def start(self, program: str, *arguments: object, **variables: str) -> "subprocess.Popen[str]":
        """Starts a program there, with additional environment variables; its output comes as one text."""
        command = [str(self.programs / program), *map(str, arguments)]
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # of this machine
        pipe, merged = subprocess.PIPE, subprocess.STDOUT
        return subprocess.Popen(command, env=inherited | variables, stdout=pipe, stderr=merged, text=True)

    def run(self, program: str, *arguments: object) -> str:
        """Runs a program there, which must end well, and returns what it printed."""
        process = self.start(program, *arguments)
        output, _ = process.communicate()
        assert process.returncode == 0, output
        return output


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--arm", action="append", default=[], metavar="NAME", help="an emulated machine to test on")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "machine" not in metafunc.fixturenames:
        return
    names = metafunc.config.getoption("--arm", [])
    skip = pytest.mark.skip(reason="make test-arm runs this, on an emulated Arm machine")
    metafunc.parametrize("machine", names or [pytest.param("arm", marks=skip)], indirect=True, scope="session")


@pytest.fixture(scope="session")
def machines(request: pytest.FixtureRequest) -> list[Machine]:
    """Every machine asked for."""
    machines = [Machine(name, ENVIRONMENTS / name / "venv/bin") for name in request.config.getoption("--arm")]
    for machine in machines:
        if not (machine.programs / "python").is_file():
            pytest.fail(f"{machine.programs} has no python; run: python tests/arm/build.py --for-tests {machine.name}")
    return machines


@pytest.fixture(scope="session")
def machine(request: pytest.FixtureRequest, machines: list[Machine]) -> Machine:
    """One of them after the other."""
    return next(machine for machine in machines if machine.name == request.param)


@pytest.fixture(scope="session")
def fixtures(tiny_data: Path, tiny_run: Path, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared fixtures in one folder, for a machine that cannot make them."""
    folder = tmp_path_factory.mktemp("fixtures")
    shutil.copy(tiny_data, folder / "tiny.npz")
    shutil.copytree(tiny_run, folder / "run")
    shutil.copytree(tiny_bundle, folder / "bundle")
    return folder


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Tell:
    """Notes a finding, to be printed at the end."""
    return request.config.stash.setdefault(FINDINGS, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    findings = config.stash.get(FINDINGS, [])
    if findings:
        terminalreporter.section("found on emulated Arm")
        for line in findings:
            terminalreporter.line(line)
