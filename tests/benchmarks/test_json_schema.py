import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from made_report import made_report

from liteport.benchmarks import json_schema
from liteport.benchmarks.json_schema import report_schema

DOCUMENT = Path(__file__).parents[2] / "docs" / "report.schema.json"


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_the_document_is_what_the_classes_say() -> None:
    written = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    assert written == report_schema(), "run: python -m liteport.benchmarks.json_schema > docs/report.schema.json"


def test_a_report_is_valid(validator: Draft202012Validator) -> None:
    assert not list(validator.iter_errors(json.loads(made_report().to_json())))


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda report: report.update(schema_version=1), "schema_version"),
        (lambda report: report.pop("rows"), ""),
        (lambda report: report.update(more=1), ""),
        (lambda report: report["rows"][0].update(size_bytes="1"), "rows/0/size_bytes"),
        (
            lambda report: report["rows"][0]["measurement"]["latency"]["samples_ns"][1].append([0.5]),
            "rows/0/measurement",
        ),
        (lambda report: report["devices"][0]["environment"]["packages"].update(numpy=2), "devices/0/environment"),
        (lambda report: report["devices"][0].update(roofline=[]), "devices/0/roofline"),
    ],
)
def test_what_is_no_report_is_not(change: Callable[[Any], object], where: str, validator: Draft202012Validator) -> None:
    report = json.loads(made_report().to_json())
    change(report)
    (error,) = validator.iter_errors(report)
    assert "/".join(map(str, error.absolute_path)).startswith(where)


def test_every_field_is_explained_where_its_class_explains_any() -> None:
    schema = report_schema()
    rows = schema["$defs"]["Row"]["properties"]
    assert rows["compressed_bytes"]["description"] == (
        "Of the file in gzip's format at level 9, as a download or a package would hold it."
    )  # two lines of a docstring, put together
    # These two classes say what they hold in one sentence.
    plain = {"Interval", "Percentiles"}
    for name, definition in schema["$defs"].items():
        assert name in plain or all("description" in field for field in definition["properties"].values()), name


@dataclass
class Holds:
    odd: set[int]


def test_an_annotation_without_a_form_in_json_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_schema, "Report", Holds)
    with pytest.raises(TypeError, match=r"got set\[int\]"):
        report_schema()
