import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from liteport.errors import ConversionError, IntegrityError, LiteportError
from liteport.export.tflite_parts import Parts, put_together, take_apart

ADDED = {"a": b"first", "liteport": b"x" * 1001}


@pytest.fixture(params=["float32", "dynamic", "int8"])
def content(request: pytest.FixtureRequest, tiny_bundle: Path) -> bytes:
    return take_apart((tiny_bundle / f"tflite-{request.param}.tflite").read_bytes()).model


def _archive(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(f"{name}.txt", data)
    return buffer.getvalue()


def _files(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _offsets(content: bytes) -> list[int]:
    """Where each buffer's data lies, as TensorFlow's own code sees it."""
    model = schema.Model.GetRootAs(content, 0)
    start = np.frombuffer(content, np.uint8).__array_interface__["data"][0]
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    filled = [buffer.DataAsNumpy() for buffer in buffers if buffer.DataLength()]
    return [data.__array_interface__["data"][0] - start for data in filled]


def test_the_model_follows_byte_for_byte(content: bytes) -> None:
    made = put_together(Parts(content, ADDED, b""))
    assert made.endswith(content)
    shift = len(made) - len(content)
    assert shift % 64 == 0
    assert take_apart(made) == Parts(content, ADDED, b"")
    # Weights keep their alignment: all of them are moved by a multiple of a cache line, and what is new has 16 bytes.
    assert _offsets(made)[:-2] == [offset + shift for offset in _offsets(content)]
    assert [offset % 16 for offset in _offsets(made)[-2:]] == [0, 0]


def test_tensorflows_schema_reads_the_same_model(content: bytes) -> None:
    before, after = (schema.ModelT.InitFromObj(schema.Model.GetRootAs(file, 0)) for file in (content, _made(content)))
    names = [entry.name.decode() for entry in after.metadata]
    assert names == [entry.name.decode() for entry in before.metadata] + list(ADDED)
    for name, data in ADDED.items():
        assert bytes(after.buffers[after.metadata[names.index(name)].buffer].data) == data
    after.metadata, after.buffers = before.metadata, after.buffers[: len(before.buffers)]
    assert _packed(after) == _packed(before)


def _made(content: bytes) -> bytes:
    return put_together(Parts(content, ADDED, b""))


def _packed(model: Any) -> bytes:
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_nothing_added_is_the_file_itself(content: bytes) -> None:
    assert put_together(take_apart(content)) == content
    assert put_together(Parts(content, {}, b"")) == content


def test_an_entry_hides_the_models_own_of_that_name(content: bytes) -> None:
    made = put_together(Parts(content, {"min_runtime_version": b"9.9"}, b""))
    model = schema.Model.GetRootAs(made, 0)
    entries = [model.Metadata(i) for i in range(model.MetadataLength())]
    (entry,) = [entry for entry in entries if entry.Name() == b"min_runtime_version"]
    assert model.Buffers(entry.Buffer()).DataAsNumpy().tobytes() == b"9.9"


@pytest.mark.parametrize("count_from", ["file", "archive"])
def test_an_archive_moves_along(content: bytes, count_from: str) -> None:
    files = {"labels": b"a\nb" * 100, "more": b""}
    buffer = io.BytesIO(content)
    if count_from == "file":
        with zipfile.ZipFile(buffer, "a") as archive:
            for name, data in files.items():
                archive.writestr(f"{name}.txt", data)
        packed = buffer.getvalue()
    else:
        packed = content + _archive(**files)
    parts = take_apart(packed)
    assert parts.model == content
    made = put_together(Parts(content, ADDED, parts.archive))
    assert _files(made) == {f"{name}.txt": data for name, data in files.items()}
    # Readers that are stricter than Python's want offsets from the start of the file.
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert archive.start_dir == made.index(b"PK\1\2")
        assert [made[entry.header_offset :][:4] for entry in archive.infolist()] == [b"PK\3\4"] * 2
        assert int.from_bytes(made[-6:-2], "little") == archive.start_dir
    again = take_apart(made)
    assert again == Parts(content, ADDED, parts.archive)
    assert put_together(Parts(content, {}, again.archive))[: len(content)] == content


@pytest.mark.parametrize("tail", [b"PK\5\6", b"PK\5\6" + bytes(18), b"PK\5\6" + b"\xff" * 16 + b"\0\0"])
def test_what_only_looks_like_an_archive_stays(content: bytes, tail: bytes) -> None:
    made = put_together(Parts(content, ADDED, b"")) + tail
    parts = take_apart(made)
    assert parts.model + parts.archive == content + tail


def test_the_interpreter_runs_it(tiny_bundle: Path) -> None:
    content = take_apart((tiny_bundle / "tflite-int8.tflite").read_bytes()).model
    image = np.random.default_rng(0).integers(-128, 128, (1, 28, 28, 1)).astype(np.int8)
    answers = []
    for file in (content, put_together(Parts(content, ADDED, _archive(labels=b"a")))):
        interpreter = Interpreter(model_content=file)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
        interpreter.invoke()
        answers.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    np.testing.assert_array_equal(*answers)


def _with_data_after_it(model: Any) -> None:
    model.buffers[1].offset, model.buffers[1].size = 64, 4


def _without_metadata(model: Any) -> None:
    model.metadata = None


@pytest.fixture
def edited(tiny_bundle: Path) -> Callable[[Callable[[Any], None]], bytes]:
    def edit(change: Callable[[Any], None]) -> bytes:
        content = take_apart((tiny_bundle / "tflite-int8.tflite").read_bytes()).model
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
        change(model)
        return _packed(model)

    return edit


def test_a_model_without_metadata_gets_some(edited: Callable[[Callable[[Any], None]], bytes]) -> None:
    model = schema.Model.GetRootAs(_made(edited(_without_metadata)), 0)
    assert [model.Metadata(i).Name().decode() for i in range(model.MetadataLength())] == list(ADDED)


def test_weights_after_the_flatbuffer_are_refused(edited: Callable[[Callable[[Any], None]], bytes]) -> None:
    with pytest.raises(ConversionError, match="keeps weights after its FlatBuffer"):
        _made(edited(_with_data_after_it))


def test_a_damaged_model_is_told(content: bytes) -> None:
    draw = random.Random(2)
    made, refused = _made(content), 0
    for _ in range(300):
        damaged = bytearray(draw.choice((content, made)))
        place = draw.choice((draw.randrange(600), len(damaged) - 4 - draw.randrange(300)))
        damaged[place : place + 4] = draw.choice((b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", draw.randbytes(4)))
        try:
            put_together(take_apart(bytes(damaged)))
            _made(bytes(damaged))
        except LiteportError as error:
            refused += isinstance(error, IntegrityError)
    assert refused > 50
