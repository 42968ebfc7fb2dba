import json
import sys
import tracemalloc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from liteport.errors import IntegrityError
from liteport.runtime.schema import Limits, loads, parse


@dataclass(frozen=True)
class Inner:
    number: int

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ValueError("number is negative")


@dataclass(frozen=True)
class Document:
    text: str
    real: float
    flag: bool
    maybe: int | None
    one_or_more: float | tuple[float, ...]
    inner: Inner
    many: tuple[Inner, ...]
    named: dict[str, int | None]
    free: Mapping[str, Any]


GOOD: dict[str, Any] = {
    "text": "a",
    "real": 2,
    "flag": True,
    "maybe": None,
    "one_or_more": [1.5, 2],
    "inner": {"number": 1},
    "many": [{"number": 2}, {"number": 3}],
    "named": {"one": 1, "none": None},
    "free": {"any": ["thing"]},
}


def test_each_annotation_is_understood() -> None:
    document = parse(Document, GOOD, "doc")
    assert document == Document(
        "a", 2.0, True, None, (1.5, 2.0), Inner(1), (Inner(2), Inner(3)), {"one": 1, "none": None}, {"any": ["thing"]}
    )
    assert type(document.real) is float
    assert parse(Document, GOOD | {"one_or_more": 3, "maybe": 4}, "doc").one_or_more == 3.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": 1}, "doc.text is 1, expected str"),
        ({"text": None}, "doc.text is None, expected str"),
        ({"real": "1"}, "doc.real is '1', expected float"),
        ({"real": True}, "doc.real is True, expected float"),
        ({"real": 10**400}, "doc.real is inf, expected float"),
        ({"real": float("nan")}, "doc.real is nan, expected float"),
        ({"flag": 1}, "doc.flag is 1, expected bool"),
        ({"maybe": 1.0}, "doc.maybe is 1.0, expected int"),
        ({"maybe": True}, "doc.maybe is True, expected int"),
        ({"maybe": [1]}, r"doc.maybe is \[1\], expected int"),
        ({"one_or_more": [1, "x"]}, r"doc.one_or_more\[1\] is 'x', expected float"),
        ({"one_or_more": None}, "doc.one_or_more is None, expected float"),
        ({"inner": []}, r"doc.inner is \[\], expected dict"),
        ({"inner": {}}, r"doc.inner lacks \['number'\]"),
        ({"inner": {"number": -1}}, "doc.inner: number is negative"),
        ({"many": {}}, "doc.many is {}, expected list"),
        ({"many": [{"number": 1}, {"number": -1}]}, r"doc.many\[1\]: number is negative"),
        ({"named": []}, r"doc.named is \[\], expected dict"),
        ({"named": {"one": "1"}}, r"doc.named\['one'\] is '1', expected int"),
        ({"named": {"x" * 1000: 1.5}}, r"doc.named\['x{56}\.\.\.\] is 1.5, expected int"),
        ({"free": []}, r"doc.free is \[\], expected dict"),
        ({"extra": 1}, r"doc has unknown fields \['extra'\]"),
        ({"text": ["x" * 1000]}, r"doc.text is \['x{55}\.\.\., expected str"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(IntegrityError, match=f"^{message}$"):
        parse(Document, GOOD | change, "doc")


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b'{"a": 1} more',
        b"\xff\xfe\x00",
        b'{"a": NaN}',
        b'{"a": [-Infinity]}',
        b'{"a": {"b": 1e999}}',
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        b'{"a": "\\ud800"}',
        b'{"\\udfff": 1}',
        nested(33),
        nested(500),
        nested(100_000),
        b'{"a":' * 100_000,
        b"[" + b"[]," * 300_000 + b"[]]",
        b"[" + b"0," * 300_000 + b"0]",
        b"1" * 401,
        b"0." + b"1" * 400,
        b'{"a": "\\u001b[2J"}',
        b'{"a": "\\u009b2J"}',
        '{"a": 1}'.encode("utf-16"),
        b'\xef\xbb\xbf{"a": 1}',
        b'"' * 100_001,
        b'"\\"' * 100_000,
        b"\\" * 100_000,
    ],
    ids=lambda text: repr(text[:20]),
)
def test_no_json_that_could_harm_is_taken(text: bytes) -> None:
    with pytest.raises(IntegrityError, match=r"^doc is no valid JSON: .") as caught:
        loads(text, "doc")
    assert len(str(caught.value)) < 400


def test_depth_is_bounded_whatever_the_process_allows() -> None:
    """Where the limit of recursion is raised, Python's parser would run over the end of the stack."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000_000)
    try:
        with pytest.raises(IntegrityError, match="nested 2000000 deep, expected at most 32"):
            loads(b"[" * 2_000_000, "doc")
    finally:
        sys.setrecursionlimit(limit)


def test_a_document_of_many_values_costs_little_memory() -> None:
    text = b"[" + b"{}," * 1_300_000 + b"{}]"  # 4 MB, which would become 84 MB of dictionaries
    tracemalloc.start()
    with pytest.raises(IntegrityError, match="holds 2600002 values, expected at most 262144"):
        loads(text, "doc")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * len(text)  # some arrays of one to four bytes a character


@pytest.mark.parametrize("text", ["a[b", '"[[[[', '\\"[', "\\\\", "]" * 99, "[{" * 99, 'x\\"y"[{', "\ttab\nline"])
def test_brackets_and_quotes_in_texts_do_not_count(text: str) -> None:
    document = {text: [text, {"": text}]}
    assert loads(json.dumps(document).encode(), "doc") == document
    assert loads(json.dumps(document, ensure_ascii=False).encode(), "doc") == document


def test_what_is_counted_in_a_field_is_bounded() -> None:
    with pytest.raises(IntegrityError, match=r"^doc.text has 4097 characters, expected at most 4096$"):
        parse(Document, GOOD | {"text": "x" * 4097}, "doc")
    with pytest.raises(IntegrityError, match=r"^doc.one_or_more has 131073 items, expected at most 131072$"):
        parse(Document, GOOD | {"one_or_more": [1] * 131_073}, "doc")
    with pytest.raises(IntegrityError, match=r"^doc has unknown fields .*\.\.\.$") as caught:
        parse(Document, GOOD | {f"field {i}": 1 for i in range(10_000)}, "doc")
    assert len(str(caught.value)) <= 300


@dataclass(frozen=True)
class Samples:
    values: tuple[int, ...]
    note: str


def test_a_document_may_be_allowed_to_hold_more() -> None:
    fields = {"values": [1] * 300_000, "note": "x" * 5_000}
    text, more = json.dumps(fields).encode(), Limits(values=1 << 20, items=1 << 20, text=1 << 13)
    assert parse(Samples, loads(text, "doc", more), "doc", more) == Samples((1,) * 300_000, "x" * 5_000)
    with pytest.raises(IntegrityError, match="holds 300002 values, expected at most 262144"):
        loads(text, "doc")
    with pytest.raises(IntegrityError, match=r"doc.values has 300000 items, expected at most 131072"):
        parse(Samples, fields, "doc")
    with pytest.raises(IntegrityError, match="nested 3 deep, expected at most 2"):
        loads(nested(3), "doc", Limits(depth=2))


@pytest.mark.parametrize("odd", [True, 1.0, "1", None, [1]])
def test_one_odd_item_among_many_is_named(odd: object) -> None:
    with pytest.raises(IntegrityError, match=r"^doc.values\[1000\] is .*, expected int$"):
        parse(Samples, {"values": [1] * 1_000 + [odd], "note": ""}, "doc")


def test_ordinary_json_is_taken() -> None:
    assert loads('{"ä": [1, 2.5, null, true, "\\ud83d\\ude00"]}'.encode(), "doc") == {"ä": [1, 2.5, None, True, "😀"]}
    assert loads(nested(32), "doc")
