import base64
import csv
import hashlib
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from liteport.benchmarks.devices.wheel import build_wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def test_holds_every_module_and_data_file_and_no_data_set(wheel: Path) -> None:
    checkout = Path(__file__).parents[3]
    held = set(zipfile.ZipFile(wheel).namelist())
    folders = ("train", "export", "runtime", "benchmarks")
    code = [
        path
        for folder in folders
        for path in (checkout / folder).rglob("*")
        if path.suffix in {".py", ".c", ".css", ".js"}
    ]
    assert {f"liteport/{path.relative_to(checkout).as_posix()}" for path in code} <= held
    assert {"liteport/errors.py", "liteport/terminal.py", "liteport/runtime/py.typed"} <= held
    assert not [name for name in held if name.endswith((".npz", ".pyc")) or "/tests/" in name]


def test_records_the_hash_of_every_file(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        record = next(name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
        rows = list(csv.reader(archive.read(record).decode().splitlines()))
        assert [row[0] for row in rows] == archive.namelist()
        for name, digest, size in rows[:-1]:
            content = archive.read(name)
            expected = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            assert (digest, int(size)) == (f"sha256={expected}", len(content))
    assert rows[-1] == [record, "", ""]


def test_same_code_makes_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    assert build_wheel(tmp_path).read_bytes() == wheel.read_bytes()


def test_installs_runs_and_makes_itself_again(wheel: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", tmp_path, wheel],
        check=True,
    )
    # -S leaves out the editable installation; this environment's packages stand in for liteport's dependencies.
    code = f"""
import sys
sys.path[:0] = [{str(tmp_path)!r}]
sys.path.append({sysconfig.get_path("purelib")!r})
from pathlib import Path
import liteport.errors
assert liteport.errors.__file__.startswith({str(tmp_path)!r})
from liteport.benchmarks.devices.wheel import build_wheel
build_wheel(Path({str(tmp_path)!r}))
from liteport.runtime.cli import run
run(["doctor"])
"""
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("liteport ")
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()
