from dataclasses import replace
from pathlib import Path

import pytest

from liteport.benchmarks.comparing.folder import opened
from liteport.benchmarks.comparing.setup import Setup
from liteport.errors import AlreadyExistsError, InvalidInputError


def fill(folder: Path) -> None:
    """What a comparison leaves."""
    (folder / "trials" / "a-seed-0").mkdir()
    (folder / "report").mkdir()
    (folder / "compare.json").touch()


def test_a_folder_in_which_no_trial_was_begun_goes_again(setup: Setup, tmp_path: Path) -> None:
    with opened(tmp_path / "new" / "compare", setup, force=False) as folder:
        assert (folder / "trials").is_dir()
        assert (folder / "setup.json").is_file()
    assert not folder.exists()


def test_trials_stay(setup: Setup, tmp_path: Path) -> None:
    with opened(tmp_path, setup, force=False) as folder:
        fill(folder)
        (folder / "trials" / ".b-seed-0-x").mkdir()
    with opened(tmp_path, setup, force=False):
        assert [path.name for path in (tmp_path / "trials").iterdir()] == ["a-seed-0"]
        assert (tmp_path / "compare.json").exists()


def test_force_removes_what_a_comparison_left_and_nothing_else(setup: Setup, tmp_path: Path) -> None:
    with opened(tmp_path, setup, force=False) as folder:
        fill(folder)
    (tmp_path / "notes.txt").touch()
    longer = replace(setup, epochs=20)
    with pytest.raises(InvalidInputError, match="start anew with --force"), opened(tmp_path, longer, force=False):
        pass
    with opened(tmp_path, longer, force=True):
        assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "notes.txt", "setup.json", "trials"]
        assert not list((tmp_path / "trials").iterdir())
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_another_folder_is_left_alone(setup: Setup, tmp_path: Path) -> None:
    (tmp_path / "trials").mkdir()
    for force in (False, True):
        with pytest.raises(AlreadyExistsError, match="no comparison"), opened(tmp_path, setup, force=force):
            pass
    (tmp_path / "file").touch()
    with pytest.raises(AlreadyExistsError, match="no comparison"), opened(tmp_path / "file", setup, force=True):
        pass


def test_only_one_comparison_at_a_time_works_in_a_folder(setup: Setup, tmp_path: Path) -> None:
    with opened(tmp_path, setup, force=False):
        with pytest.raises(InvalidInputError, match="another comparison works in"), opened(tmp_path, setup, force=True):
            pass
        assert (tmp_path / "setup.json").exists()
