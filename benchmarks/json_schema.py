"""JSON Schemas of a report and of a bundle's manifest, made from the annotations and docstrings of their dataclasses.

python -m liteport.benchmarks.json_schema report > docs/report.schema.json
python -m liteport.benchmarks.json_schema manifest > docs/manifest.schema.json
"""

import dataclasses
import inspect
import json
import re
import sys
import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

from liteport.errors import unknown_name
from liteport.runtime.manifest import SCHEMA_VERSION as MANIFEST_VERSION
from liteport.runtime.manifest import Manifest

from .results import SCHEMA_VERSION, Report

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_UNITS = "Times are nanoseconds, sizes bytes, shares numbers from 0 to 1, intervals 95 %."
_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", types.NoneType: "null"}


def report_schema() -> dict[str, Any]:
    """Returns the schema of `report.json`, JSON Schema draft 2020-12.

    It says what a report looks like. That its figures agree with each other, which a schema cannot say, is checked by
    `reading.read_report`.
    """
    version = {"schema_version": {"const": SCHEMA_VERSION}}
    return _document(Report, f"liteport benchmark report, version {SCHEMA_VERSION}", _UNITS, version)


def manifest_schema() -> dict[str, Any]:
    """Returns the schema of a bundle's `manifest.json`, JSON Schema draft 2020-12.

    It says what a manifest looks like. Its digest, the form of names and sizes, and what must agree with what are
    checked by `Manifest.from_json`.
    """
    digest = {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "SHA-256 of all else, in canonical form."}
    first = {"digest": digest, "schema_version": {"const": MANIFEST_VERSION}}
    return _document(Manifest, f"liteport bundle manifest, version {MANIFEST_VERSION}", "", first)


def _document(kind: type, title: str, more: str, first: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the schema of a document that is a dataclass, with fields that stand before those of the class."""
    definitions: dict[str, Any] = {}
    _define(kind, definitions)
    document = definitions.pop(kind.__name__)
    return {
        "$schema": _DIALECT,
        "title": title,
        **document,
        "description": f"{document['description']} {more}".rstrip(),
        "properties": {**first, **document["properties"]},
        "required": [*first, *document["required"]],
        "$defs": dict(sorted(definitions.items())),
    }


def _define(kind: type, definitions: dict[str, Any]) -> None:
    """Adds a dataclass, and those that it is made of, to the definitions."""
    definitions[kind.__name__] = {}  # known from here on, should it hold itself
    summary, meanings = _explained(kind)
    properties = {}
    for name, hint in get_type_hints(kind).items():
        properties[name] = _schema(hint, definitions)
        if name in meanings:
            properties[name]["description"] = meanings[name]
    definitions[kind.__name__] = {
        "type": "object",
        "description": summary,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _schema(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        options = [_schema(option, definitions) for option in arguments]
        if all(set(option) == {"type"} for option in options):
            return {"type": [option["type"] for option in options]}
        return {"anyOf": options}
    if origin is tuple:
        return {"type": "array", "items": _schema(arguments[0], definitions)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1], definitions)}
    if origin is Mapping:  # of anything
        return {"type": "object"}
    if not (isinstance(hint, type) and dataclasses.is_dataclass(hint)):
        raise TypeError(f"expected an annotation that JSON has a form for, got {hint!r}")
    if hint.__name__ not in definitions:
        _define(hint, definitions)
    return {"$ref": f"#/$defs/{hint.__name__}"}


def _explained(kind: type) -> tuple[str, dict[str, str]]:
    """Returns the first sentence or paragraph of a docstring, and what it says of each attribute."""
    summary, _, rest = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", rest, re.MULTILINE)
    return " ".join(summary.split()), {name: " ".join(text.split()) for name, text in entries}


SCHEMAS = {"report": report_schema, "manifest": manifest_schema}


def main(name: str) -> None:
    """Prints the schema of that name.

    Raises:
        InvalidInputError: If there is none.
    """
    if name not in SCHEMAS:
        raise unknown_name("schema", name, SCHEMAS)
    print(json.dumps(SCHEMAS[name](), indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
