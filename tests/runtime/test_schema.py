from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from liteport.errors import IntegrityError
from liteport.runtime.schema import loads, parse


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
    free: Mapping[str, Any]


GOOD: dict[str, Any] = {
    "text": "a",
    "real": 2,
    "flag": True,
    "maybe": None,
    "one_or_more": [1.5, 2],
    "inner": {"number": 1},
    "many": [{"number": 2}, {"number": 3}],
    "free": {"any": ["thing"]},
}


def test_each_annotation_is_understood() -> None:
    document = parse(Document, GOOD, "doc")
    assert document == Document("a", 2.0, True, None, (1.5, 2.0), Inner(1), (Inner(2), Inner(3)), {"any": ["thing"]})
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
    ],
    ids=lambda text: repr(text[:20]),
)
def test_no_json_that_could_harm_is_taken(text: bytes) -> None:
    with pytest.raises(IntegrityError, match=r"^doc is no valid JSON: ."):
        loads(text, "doc")


def test_ordinary_json_is_taken() -> None:
    assert loads('{"ä": [1, 2.5, null, true, "\\ud83d\\ude00"]}'.encode(), "doc") == {"ä": [1, 2.5, None, True, "😀"]}
    assert loads(nested(32), "doc")
