"""However a file is damaged, readers say so in one line: no other exception, no hang, no huge memory."""

import contextlib
import random
import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liteport.errors import IntegrityError
from liteport.runtime.contents import check_structure, read_contents, read_metadata

SMALL = {".tflite": "small_tflite", ".onnx": "small_onnx"}


@pytest.fixture(params=SMALL)
def suffix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def small(suffix: str, request: pytest.FixtureRequest) -> bytes:
    content: bytes = request.getfixturevalue(SMALL[suffix])
    return content


def _damaged(content: bytes, suffix: str) -> bool:
    """Tells whether a reader refuses a file, and checks how."""
    messages = []
    for read in (read_contents, read_metadata):
        try:
            read(content, suffix)
        except IntegrityError as error:
            messages.append(str(error))
    assert all(len(message) < 500 and "\n" not in message for message in messages)
    return bool(messages)


def test_every_truncation_is_told(small: bytes, suffix: str) -> None:
    refused = sum(_damaged(small[:length], suffix) for length in range(len(small)))
    # A FlatBuffer without its last bytes may lack only padding; ONNX without its last field is a file without it.
    assert refused >= 0.8 * len(small)


def test_every_flipped_bit_is_survived(small: bytes, suffix: str) -> None:
    refused = 0
    for place in range(len(small)):
        for bit in (0, 3, 7):
            damaged = bytearray(small)
            damaged[place] ^= 1 << bit
            refused += _damaged(bytes(damaged), suffix)
    assert refused > len(small) // 2  # the other half changes a name or a number


def test_several_wild_bytes_are_survived(small: bytes, suffix: str) -> None:
    draw = random.Random(4)
    refused = 0
    for _ in range(1500):
        damaged = bytearray(small)
        for _ in range(draw.randint(1, 6)):
            place = draw.randrange(len(small) - 4)
            damaged[place : place + 4] = draw.choice((b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", draw.randbytes(4)))
        refused += _damaged(bytes(damaged), suffix)
    assert refused > 750


@given(st.binary(max_size=300))
def test_any_bytes_are_survived(content: bytes) -> None:
    for file, suffix in ((content, ".onnx"), (struct.pack("<I4s", 8, b"TFL3") + content, ".tflite")):
        _damaged(file, suffix)
        with contextlib.suppress(IntegrityError):
            check_structure(file, suffix)


def _shared_tflite(count: int) -> bytes:
    """A file whose tensors are one and the same, with a long list of scales that all of them share."""
    content = bytearray(struct.pack("<I4s", 20, b"TFL3"))
    # Model: only subgraphs (slot 2), the offset right behind the table's start.
    content += struct.pack("<6H", 10, 8, 0, 0, 4, 0)
    content += struct.pack("<iII", 12, 4, 1)  # table, offset of the vector, one subgraph
    content += struct.pack("<I", 12)  # which starts after its vtable
    content += struct.pack("<4H", 6, 8, 4, 0)
    content += struct.pack("<iII", 8, 4, count)
    start = len(content)
    table = start + 4 * count + 16
    content += b"".join(struct.pack("<I", table - start - 4 * i) for i in range(count))
    content += struct.pack("<8H", 14, 8, 0, 0, 0, 0, 4, 0)
    content += struct.pack("<iI", 16, 16)  # tensor: its quantization follows
    content += struct.pack("<6H", 10, 8, 0, 0, 4, 0)
    content += struct.pack("<iII", 12, 4, count) + bytes(4 * count)
    return bytes(content)


def test_a_small_file_cannot_stand_for_a_huge_one() -> None:
    few = read_contents(_shared_tflite(8), ".tflite")
    assert [len(tensor.scales) for tensor in few.tensors] == [8] * 8  # the file is in order but for its greed
    tracemalloc.start()
    with pytest.raises(IntegrityError, match="more tensors and operations than its size allows"):
        read_contents(_shared_tflite(100_000), ".tflite")  # 10,000,000,000 scales in 800 KB
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6  # 4,000,000 numbers of 32 bytes


def test_a_row_of_empty_messages_is_refused() -> None:
    content = b"\x08\x0a" + b"\x42\x00" * 1_000_000  # as many operator sets
    with pytest.raises(IntegrityError, match="more tensors and operations than its size allows"):
        read_metadata(content, ".onnx")
