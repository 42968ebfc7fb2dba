import hashlib
import sys

import pytest

from liteport.runtime import digest
from liteport.runtime.digest import sha256_hex


@pytest.mark.parametrize("size", [0, 1, 1000])
@pytest.mark.parametrize("small", [0, 1 << 20], ids=["by OpenSSL", "by Python"])
@pytest.mark.parametrize("absent", [False, True], ids=["", "without Python's own"])
def test_all_ways_give_the_same(size: int, small: int, absent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "_SMALL_BYTES", small)
    if absent:
        for name in ("_sha2", "_sha256"):
            monkeypatch.setitem(sys.modules, name, None)  # what Python makes of a module that cannot be imported
    content = bytes(index % 251 for index in range(size))
    expected = hashlib.sha256(content).hexdigest()
    assert sha256_hex(content) == expected
    assert sha256_hex(content[: size // 3], memoryview(content)[size // 3 :]) == expected


def test_the_standards_own_example() -> None:  # FIPS 180-4
    assert sha256_hex(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
