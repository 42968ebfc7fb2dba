from pathlib import Path

import pytest

from liteport.errors import IntegrityError, InvalidInputError
from liteport.runtime.model_files import files_of, joined, parted, read_model


def test_a_model_of_one_file_is_that_file(tmp_path: Path) -> None:
    (path := tmp_path / "model.onnx").write_bytes(b"a\0b")
    assert files_of(path) == (path,)
    assert read_model(path) == b"a\0b"
    assert parted(b"a\0b", ".onnx") == (b"a\0b",)


def test_two_files_are_one_content_and_come_apart_again(tmp_path: Path) -> None:
    (path := tmp_path / "model.param").write_bytes(b"layers")
    (tmp_path / "model.bin").write_bytes(b"\0weights\0")
    assert files_of(path) == (path, tmp_path / "model.bin")
    assert read_model(path) == joined((b"layers", b"\0weights\0"))
    assert parted(read_model(path), ".param") == (b"layers", b"\0weights\0")


def test_half_a_model_is_told(tmp_path: Path) -> None:
    (path := tmp_path / "model.param").write_bytes(b"layers")
    with pytest.raises(IntegrityError, match=r"model\.bin does not exist; model\.param is one of two files"):
        read_model(path)
    with pytest.raises(IntegrityError, match=r"the \.param file comes without its \.bin file"):
        parted(b"layers", ".param")


def test_swapped_files_are_told(tmp_path: Path) -> None:
    (path := tmp_path / "model.param").write_bytes(b"\0\0\0\0weights")
    (tmp_path / "model.bin").write_bytes(b"layers")
    with pytest.raises(IntegrityError, match=r"model\.param is no text; expected a list of layers"):
        read_model(path)


def test_a_size_may_be_the_most(tmp_path: Path) -> None:
    (path := tmp_path / "model.onnx").write_bytes(b"1234")
    assert read_model(path, 4) == b"1234"
    with pytest.raises(InvalidInputError, match="has 4 bytes; expected a model of at most 3"):
        read_model(path, 3)
