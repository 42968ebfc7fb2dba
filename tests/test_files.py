import hashlib
import os
from pathlib import Path

import pytest

from liteport.errors import AlreadyExistsError, InvalidInputError
from liteport.files import check_new_folder, new_folder, replacing, sha256_of

MARKER = "manifest.json"


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def fail_after_writing(path: Path, failure: type[BaseException]) -> None:
    path.write_text("half")
    raise failure


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A folder of the kind that may be replaced."""
    path = tmp_path / "bundle"
    path.mkdir()
    (path / MARKER).write_text("old")
    (path / "old").touch()
    return path


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (2 << 20) + 1])
def test_the_digest_is_that_of_all_blocks(size: int, tmp_path: Path) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("existing", [True, False])
def test_a_file_is_replaced_whole(existing: bool, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    if existing:
        path.write_text("old")
    with replacing(path) as beside:
        assert beside.suffix == ".keras"
        beside.write_text("new")
        assert path.exists() == existing
    assert path.read_text() == "new"
    assert everything(tmp_path) == ["model.keras"]


@pytest.mark.parametrize("failure", [OSError, KeyboardInterrupt])
def test_a_file_stays_when_writing_fails(failure: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_text("old")
    with pytest.raises(failure), replacing(path) as beside:
        fail_after_writing(beside, failure)
    assert path.read_text() == "old"
    assert everything(tmp_path) == ["model.keras"]


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "bundle"
    with new_folder(path, force=False, marker=MARKER) as folder:
        assert folder.parent == tmp_path  # the nearest there is, as a rename cannot cross file systems
        (folder / MARKER).write_text("new")
        assert not path.exists()
    assert everything(tmp_path) == ["deep", "deep/er", "deep/er/bundle", f"deep/er/bundle/{MARKER}"]
    assert path.stat().st_mode & 0o777 == 0o755


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    with new_folder(tmp_path / "bundle", force=False, marker=MARKER) as folder:
        (folder / MARKER).touch()
    assert everything(tmp_path) == ["bundle", f"bundle/{MARKER}"]


def test_an_older_folder_is_replaced_only_when_asked(older: Path) -> None:
    with (
        pytest.raises(AlreadyExistsError, match=r"bundle exists already; pass --force \(force=True\)"),
        new_folder(older, force=False, marker=MARKER),
    ):
        pytest.fail("the block must not run")
    with new_folder(older, force=True, marker=MARKER) as folder:
        (folder / MARKER).write_text("new")
        assert (older / "old").exists()
    assert everything(older.parent) == ["bundle", f"bundle/{MARKER}"]
    assert (older / MARKER).read_text() == "new"


@pytest.mark.parametrize("failure", [OSError, KeyboardInterrupt])
def test_the_older_folder_stays_when_the_work_fails(failure: type[BaseException], older: Path) -> None:
    with pytest.raises(failure), new_folder(older, force=True, marker=MARKER) as folder:
        fail_after_writing(folder / MARKER, failure)
    assert everything(older.parent) == ["bundle", f"bundle/{MARKER}", "bundle/old"]
    assert (older / MARKER).read_text() == "old"


@pytest.mark.parametrize("failure", [OSError, KeyboardInterrupt])
def test_the_older_folder_comes_back_when_the_rename_fails(
    failure: type[BaseException], older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if target == older and not (self / "old").exists():
            raise failure
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(failure), new_folder(older, force=True, marker=MARKER) as folder:
        (folder / MARKER).write_text("new")
    assert everything(older.parent) == ["bundle", f"bundle/{MARKER}", "bundle/old"]
    assert (older / MARKER).read_text() == "old"


def test_what_is_of_another_kind_is_never_replaced(tmp_path: Path) -> None:
    folder, file = tmp_path / "photos", tmp_path / "notes.txt"
    folder.mkdir()
    (folder / "precious.jpg").touch()
    file.touch()
    for path in (folder, file):
        with pytest.raises(AlreadyExistsError):
            check_new_folder(path, force=False, marker=MARKER)
        with pytest.raises(InvalidInputError, match=rf"holds no {MARKER}, so it is not replaced"):
            check_new_folder(path, force=True, marker=MARKER)
    assert everything(tmp_path) == ["notes.txt", "photos", "photos/precious.jpg"]


@pytest.mark.parametrize("dangling", [True, False])
def test_a_link_stays_and_its_target_is_written(dangling: bool, older: Path) -> None:
    link = older.parent / "latest"
    target = older.parent / "elsewhere" if dangling else older
    link.symlink_to(target)
    with new_folder(link, force=True, marker=MARKER) as folder:
        (folder / MARKER).write_text("new")
    assert link.is_symlink()
    assert (target / MARKER).read_text() == "new"
    assert not (target / "old").exists()


def test_folders_on_the_way_are_made_last(tmp_path: Path) -> None:
    def fail() -> None:
        with new_folder(tmp_path / "a" / "b" / "c", force=False, marker="m"):
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - raised above, with no text
        fail()
    assert not list(tmp_path.iterdir())
    with new_folder(tmp_path / "a" / "b" / "c", force=False, marker="m") as folder:
        (folder / "m").write_text("x")
    assert (tmp_path / "a" / "b" / "c" / "m").read_text() == "x"


def test_a_place_that_cannot_be_written_to_is_told_before_any_work(tmp_path: Path) -> None:
    for path in (Path("/proc/liteport"), tmp_path / "file" / "below"):
        (tmp_path / "file").write_text("x")
        with pytest.raises(OSError, match="so nothing can be written there") as raised:
            check_new_folder(path, force=False, marker="m")
        assert raised.value.filename == str(path)


def test_a_folder_that_appears_meanwhile_is_not_lost(tmp_path: Path) -> None:
    def export() -> None:
        with new_folder(tmp_path / "new", force=False, marker=MARKER) as folder:
            (folder / MARKER).touch()
            (tmp_path / "new").mkdir()
            (tmp_path / "new" / "thesis.tex").write_text("years of work")

    with pytest.raises(AlreadyExistsError):
        export()
    assert everything(tmp_path) == ["new", "new/thesis.tex"]


def test_of_two_that_replace_the_same_folder_the_faster_wins(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def beaten(self: Path, target: Path) -> Path:
        if target == older:
            target.mkdir()
            (target / "theirs").touch()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", beaten)
    with pytest.raises(OSError, match="not empty"), new_folder(older, force=True, marker=MARKER) as folder:
        (folder / MARKER).write_text("ours")
    assert everything(older.parent) == ["bundle", "bundle/theirs"]


def test_the_root_is_never_replaced() -> None:
    with pytest.raises((AlreadyExistsError, OSError)):  # the latter where its user may not write there
        check_new_folder(Path("/"), force=False, marker=MARKER)
