"""Turns JSON from outside into frozen dataclasses, and refuses whatever does not fit their annotations."""

import dataclasses
import json
import math
import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from liteport.errors import IntegrityError

T = TypeVar("T")

_MAX_DEPTH = 32  # a manifest needs 6; Python's own limit differs between versions and between what recurses


def loads(text: bytes, where: str) -> Any:
    """Parses JSON whose author is not trusted.

    Args:
        text: The document, UTF-8.
        where: What it is, for messages.

    Raises:
        IntegrityError: If it is no JSON, is nested too deeply, repeats a key, or holds a number that is not finite or
            text that is not Unicode.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique_keys)
        _check(value, _MAX_DEPTH)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{where} is no valid JSON: {error}") from error
    return value


def _check(value: Any, levels: int) -> None:
    """Refuses what Python's parser lets pass."""
    if levels == 0:
        raise ValueError(f"it is nested more than {_MAX_DEPTH} deep")
    if isinstance(value, dict):
        for key, item in value.items():
            _check(key, levels)
            _check(item, levels - 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, levels - 1)
    elif isinstance(value, str):
        value.encode()  # half of a surrogate pair raises UnicodeEncodeError
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"it holds {value}, expected finite numbers")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def parse(kind: type[T], value: Any, where: str) -> T:
    """Makes a dataclass from parsed JSON, checking each field against its annotation.

    Understands str, int, float, bool, `X | None`, `X | tuple[X, ...]`, `tuple[X, ...]`, nested dataclasses and
    `Mapping[str, Any]`.

    Args:
        kind: The dataclass.
        value: What `json.loads` gave.
        where: The name of the document, for messages; field names are appended.

    Raises:
        IntegrityError: If a field is missing, unknown or of another type; the message names it.
    """
    return _parse(kind, value, where)  # type: ignore[no-any-return]


def _parse(kind: Any, value: Any, where: str) -> Any:
    if get_origin(kind) in (Union, types.UnionType):
        if value is None and types.NoneType in get_args(kind):
            return None
        options = [option for option in get_args(kind) if option is not types.NoneType]
        wanted = [option for option in options if (get_origin(option) is tuple) == isinstance(value, list)]
        return _parse((wanted or options)[0], value, where)
    if get_origin(kind) is tuple:
        items = _expect(list, value, where)
        return tuple(_parse(get_args(kind)[0], item, f"{where}[{i}]") for i, item in enumerate(items))
    if dataclasses.is_dataclass(kind):
        return _parse_dataclass(kind, _expect(dict, value, where), where)
    if get_origin(kind) is Mapping:
        return _expect(dict, value, where)
    return _expect(kind, value, where)


def _parse_dataclass(kind: Any, value: dict[str, Any], where: str) -> Any:
    hints = get_type_hints(kind)
    missing = hints.keys() - value.keys()
    unknown = value.keys() - hints.keys()
    if missing or unknown:
        what = f"lacks {sorted(missing)}" if missing else f"has unknown fields {sorted(unknown)}"
        raise IntegrityError(f"{where} {what}")
    try:
        return kind(**{name: _parse(hint, value[name], f"{where}.{name}") for name, hint in hints.items()})
    except ValueError as error:
        raise error if isinstance(error, IntegrityError) else IntegrityError(f"{where}: {error}") from error


def _expect(kind: type, value: Any, where: str) -> Any:
    if kind is float and type(value) is int:
        value = float(value) if abs(value) < 2**53 else math.inf
    if type(value) is not kind or (isinstance(value, float) and not math.isfinite(value)):
        raise IntegrityError(f"{where} is {_shown(value)}, expected {kind.__name__}")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
