import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from liteport.runtime.backends import native
from liteport.runtime.backends.native import as_file, overheard


@pytest.mark.parametrize("in_memory", [True, False])
def test_content_gets_a_path(in_memory: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not in_memory:
        monkeypatch.delattr(native.os, "memfd_create", raising=False)
    with as_file(b"some bytes") as path:
        assert Path(path).read_bytes() == b"some bytes"
    assert not Path(path).exists()


def test_what_native_code_prints_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    with overheard(said):
        os.write(1, b"one\n\n  two   words\n")
    os.write(1, b"after\n")
    assert said == ["one", "two words"]
    assert capfd.readouterr().out == "after\n"


def test_threads_leave_standard_output_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    def say(number: int) -> list[str]:
        said: list[str] = []
        with overheard(said):
            os.write(1, str(number).encode())
        return said

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(say, range(40))) == [[str(number)] for number in range(40)]
    os.write(1, b"after")
    assert capfd.readouterr().out == "after"


def test_a_program_may_have_no_standard_output() -> None:
    script = "import os; os.close(1); from liteport.runtime.backends.native import overheard\nwith overheard(): pass"
    subprocess.run([sys.executable, "-c", script], check=True)
