"""Turns JSON from outside into frozen dataclasses, and refuses whatever does not fit their annotations."""

import dataclasses
import functools
import json
import math
import re
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from liteport.errors import IntegrityError

T = TypeVar("T")

_MAX_DIGITS = 400  # of a number; any float64 has fewer
MAX_TEXT = 4096  # characters of one field
_MAX_MESSAGE = 300  # characters that a value from outside may take in an error


@dataclass(frozen=True)
class Limits:
    """How much a document may hold; the defaults are a manifest's.

    Attributes:
        depth: Of nesting. A manifest needs 6; Python's own limit differs between versions and between what recurses.
        values: Of all kinds together. A manifest of 100,000 labels has as many; an empty list takes 2 bytes of JSON
            and 64 of memory.
        items: Of one field; labels are the longest.
        text: Characters of one field.
    """

    depth: int = 32
    values: int = 1 << 18
    items: int = 1 << 17
    text: int = MAX_TEXT


_MANIFEST = Limits()

# What a terminal would act on; line ends and tabs are ordinary text.
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def loads(text: bytes, where: str, limits: Limits = _MANIFEST) -> Any:
    """Parses JSON whose author is not trusted.

    Args:
        text: The document, UTF-8.
        where: What it is, for messages.
        limits: How much it may hold.

    Raises:
        IntegrityError: If it is no JSON, is nested too deeply, has too many values, repeats a key, or holds a number
            that is not finite or has too many digits, or text that is not Unicode or that controls terminals.
    """
    try:
        _check_outline(text, limits)
        value = json.loads(
            text.decode(), object_pairs_hook=_unique_keys, parse_int=_integer, parse_float=_real, parse_constant=_real
        )
        _check(value, limits.depth)
    except ValueError as error:
        raise IntegrityError(f"{where} is no valid JSON: {_cut(str(error))}") from error
    return value


def _check_outline(text: bytes, limits: Limits) -> None:
    """Refuses what is nested too deeply or has too many values, before anything is made of it.

    Python's parser recurses as deep as the process allows, which a user may have raised beyond what the stack holds.
    """
    plain = text.replace(b"\\\\", b"").replace(b'\\"', b"")  # so that each quote left starts or ends a text
    codes = np.frombuffer(plain, np.uint8)
    outside = np.cumsum(codes == ord('"'), dtype=np.int32) % 2 == 0
    opening, closing = (outside & ((codes == one) | (codes == other)) for one, other in (b"[{", b"]}"))
    depth = int(np.cumsum(opening.astype(np.int8) - closing.astype(np.int8), dtype=np.int32).max(initial=0))
    if depth > limits.depth:
        raise ValueError(f"it is nested {depth} deep, expected at most {limits.depth}")
    values = int((opening | (outside & (codes == ord(",")))).sum())
    if values > limits.values:
        raise ValueError(f"it holds {values} values, expected at most {limits.values}")


def _integer(digits: str) -> int:
    _check_digits(digits)
    return int(digits)


def _real(digits: str) -> float:
    _check_digits(digits)
    return float(digits)  # "NaN" and "Infinity" too, which are refused with what is too large


def _check_digits(digits: str) -> None:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"it holds a number of {len(digits)} digits, expected at most {_MAX_DIGITS}")


def _check(value: Any, levels: int) -> None:
    """Refuses what Python's parser lets pass."""
    if levels == 0:
        raise ValueError("it is nested too deep")
    if isinstance(value, dict):
        for key, item in value.items():
            _check(key, levels)
            _check(item, levels - 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, levels - 1)
    elif isinstance(value, str):
        value.encode()  # half of a surrogate pair raises UnicodeEncodeError
        if CONTROL.search(value):
            raise ValueError(f"the text {_shown(value)} holds control characters")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"it holds {value}, expected finite numbers")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def parse(kind: type[T], value: Any, where: str, limits: Limits = _MANIFEST) -> T:
    """Makes a dataclass from parsed JSON, checking each field against its annotation.

    Understands str, int, float, bool, `X | None`, `X | tuple[X, ...]`, `tuple[X, ...]`, nested dataclasses,
    `dict[str, X]` and `Mapping[str, Any]`.

    Args:
        kind: The dataclass.
        value: What `json.loads` gave.
        where: The name of the document, for messages; field names are appended.
        limits: How much one field may hold.

    Raises:
        IntegrityError: If a field is missing, unknown or of another type; the message names it.
    """
    return _parse(kind, value, where, limits)  # type: ignore[no-any-return]


def _parse(kind: Any, value: Any, where: str, limits: Limits) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        if value is None and types.NoneType in get_args(kind):
            return None
        options = [option for option in get_args(kind) if option is not types.NoneType]
        wanted = [option for option in options if (get_origin(option) is tuple) == isinstance(value, list)]
        return _parse((wanted or options)[0], value, where, limits)
    if origin is tuple:
        return _parse_tuple(get_args(kind)[0], _expect(list, value, where, limits), where, limits)
    if dataclasses.is_dataclass(kind):
        return _parse_dataclass(kind, _expect(dict, value, where, limits), where, limits)
    if origin is dict:
        items = _expect(dict, value, where, limits).items()
        return {key: _parse(get_args(kind)[1], item, f"{where}[{_shown(key)}]", limits) for key, item in items}
    if origin is Mapping:
        return _expect(dict, value, where, limits)
    return _expect(kind, value, where, limits)


def _parse_tuple(kind: Any, items: list[Any], where: str, limits: Limits) -> tuple[Any, ...]:
    if len(items) > limits.items:
        raise IntegrityError(f"{where} has {len(items)} items, expected at most {limits.items}")
    if kind is int and set(map(type, items)) <= {int}:  # a report's samples, far too many to be looked at one by one
        return tuple(items)
    return tuple(_parse(kind, item, f"{where}[{i}]", limits) for i, item in enumerate(items))


def _parse_dataclass(kind: Any, value: dict[str, Any], where: str, limits: Limits) -> Any:
    hints = _hints(kind)
    missing = hints.keys() - value.keys()
    unknown = value.keys() - hints.keys()
    if missing or unknown:
        what = f"lacks {sorted(missing)}" if missing else f"has unknown fields {sorted(unknown)}"
        raise IntegrityError(_cut(f"{where} {what}"))
    try:
        return kind(**{name: _parse(hint, value[name], f"{where}.{name}", limits) for name, hint in hints.items()})
    except ValueError as error:
        raise error if isinstance(error, IntegrityError) else IntegrityError(_cut(f"{where}: {error}")) from error


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _expect(kind: type, value: Any, where: str, limits: Limits) -> Any:
    if kind is float and type(value) is int:
        value = float(value) if abs(value) < 2**53 else math.inf
    if type(value) is not kind or (isinstance(value, float) and not math.isfinite(value)):
        raise IntegrityError(f"{where} is {_shown(value)}, expected {kind.__name__}")
    if isinstance(value, str) and len(value) > limits.text:
        raise IntegrityError(f"{where} has {len(value)} characters, expected at most {limits.text}")
    return value


def _shown(value: Any) -> str:
    return shortened(repr(value), 60)


def _cut(message: str) -> str:
    return shortened(message, _MAX_MESSAGE)


def shortened(text: str, length: int) -> str:
    """Returns a text, its end replaced by dots where it is longer than `length` characters."""
    return text if len(text) <= length else f"{text[: length - 3]}..."
