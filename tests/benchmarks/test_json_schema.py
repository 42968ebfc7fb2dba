import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from made_report import made_report

from liteport.benchmarks import json_schema
from liteport.benchmarks.json_schema import SCHEMAS, main, manifest_schema, report_schema
from liteport.errors import InvalidInputError

ROOT = Path(__file__).parents[2]
EXAMPLES = [ROOT / "examples" / name / "manifest.json" for name in ("tiny", "fast")]


def document(name: str) -> Any:
    return json.loads((ROOT / "docs" / f"{name}.schema.json").read_text(encoding="utf-8"))


def validator_of(name: str) -> Draft202012Validator:
    Draft202012Validator.check_schema(schema := document(name))
    return Draft202012Validator(schema)


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    return validator_of("report")


@pytest.fixture(scope="module")
def manifests() -> Draft202012Validator:
    return validator_of("manifest")


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_document_is_what_the_classes_say(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(name)
    assert json.loads(capsys.readouterr().out) == SCHEMAS[name]()
    command = f"python -m liteport.benchmarks.json_schema {name} > docs/{name}.schema.json"
    assert document(name) == SCHEMAS[name](), f"run: {command}"


def test_an_unknown_schema_is_told() -> None:
    with pytest.raises(InvalidInputError, match="did you mean 'manifest'"):
        main("manifst")


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


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_a_manifest_is_valid(path: Path, manifests: Draft202012Validator) -> None:
    assert not list(manifests.iter_errors(json.loads(path.read_text(encoding="utf-8"))))


def test_the_manifest_of_all_variants_is_valid(tiny_bundle: Path, manifests: Draft202012Validator) -> None:
    manifest = json.loads((tiny_bundle / "manifest.json").read_text(encoding="utf-8"))
    assert any(variant["more_files"] for variant in manifest["variants"])  # of c-array, and of ncnn's
    assert not list(manifests.iter_errors(manifest))


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda manifest: manifest.update(schema_version=2), "schema_version"),
        (lambda manifest: manifest.update(digest="0"), "digest"),
        (lambda manifest: manifest.pop("refused"), ""),
        (lambda manifest: manifest.update(more=1), ""),
        (lambda manifest: manifest["source"].update(versions=[]), "source/versions"),
        (lambda manifest: manifest["input"]["shape"].append(0.5), "input/shape"),
        (lambda manifest: manifest["input"]["preprocessing"].update(scale="1/255"), "input/preprocessing/scale"),
        (lambda manifest: manifest["variants"][1]["inputs"][0].update(zero_point="0"), "variants/1/inputs/0"),
        (lambda manifest: manifest["variants"][0].pop("sha256"), "variants/0"),
    ],
)
def test_what_is_no_manifest_is_not(
    change: Callable[[Any], object], where: str, manifests: Draft202012Validator
) -> None:
    manifest = json.loads(EXAMPLES[0].read_text(encoding="utf-8"))
    change(manifest)
    (error,) = manifests.iter_errors(manifest)
    assert "/".join(map(str, error.absolute_path)).startswith(where)


def test_every_field_of_a_manifest_is_explained() -> None:
    schema = manifest_schema()
    for name, definition in {"Manifest": schema, **schema["$defs"]}.items():
        fields = {field: "description" in entry for field, entry in definition["properties"].items()}
        fields.pop("schema_version", None)
        assert all(fields.values()), (name, fields)


@dataclass
class Holds:
    odd: set[int]


def test_an_annotation_without_a_form_in_json_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_schema, "Report", Holds)
    with pytest.raises(TypeError, match=r"got set\[int\]"):
        report_schema()
