"""What the demo would run, each line held against the real command line; `make demo` runs it whole."""

from pathlib import Path
from typing import Any

import pytest
import typer

from liteport.benchmarks import demo
from liteport.errors import AlreadyExistsError
from liteport.runtime.cli import build_app


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands' arguments, which are parsed and not run."""
    program: Any = typer.main.get_command(build_app())
    told: list[list[str]] = []

    def parse(arguments: list[str]) -> int:
        told.append(arguments)
        name, command, rest = program.resolve_command(program.make_context("liteport", list(arguments)), arguments)
        command.make_context(name, list(rest))  # refuses unknown options and values
        return 0

    monkeypatch.setattr(demo, "run", parse)
    return told


def test_each_step_takes_what_the_last_has_made(lines: list[list[str]], tmp_path: Path) -> None:
    demo.demo(out=tmp_path, epochs=3, web=False, port=8000, force=True)
    assert [line[0] for line in lines] == ["train", "export", "predict", "bench"]
    train, export, predict, bench = lines
    assert train[-3:] == ["--epochs", "3", "--force"]
    assert export[1] == train[train.index("--out") + 1]
    assert predict[1] == bench[1] == export[export.index("--out") + 1]
    images = [Path(name) for name in predict if name.endswith(".png")]
    assert len(images) == 5
    assert all(image.is_file() for image in images)


def test_with_web_the_page_is_written_early_and_served_last(lines: list[list[str]], tmp_path: Path) -> None:
    demo.demo(out=tmp_path, epochs=None, web=True, port=8123, force=False)
    assert [line[0] for line in lines] == ["train", "export", "web", "predict", "bench", "web"]
    assert "--serve" not in lines[2]
    assert lines[-1][-4:] == ["--force", "--serve", "--port", "8123"]


def test_an_older_demo_is_replaced_only_by_force(lines: list[list[str]], tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(AlreadyExistsError, match="--force"):
        demo.demo(out=tmp_path, epochs=None, web=False, port=8000, force=False)
    assert lines == []


def test_a_step_that_fails_ends_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = iter([0, 3])
    monkeypatch.setattr(demo, "run", lambda arguments: next(codes))
    with pytest.raises(typer.Exit) as stop:
        demo.demo(out=tmp_path, epochs=None, web=False, port=8000, force=False)
    assert stop.value.exit_code == 3
