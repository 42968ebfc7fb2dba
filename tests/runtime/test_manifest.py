import copy
import dataclasses
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from liteport.errors import IntegrityError, InvalidInputError
from liteport.runtime import Manifest, Preprocessing, TensorSpec

Sign = Callable[[dict[str, Any]], bytes]
Path = tuple[str | int, ...]


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """The paths to all values in a document that hold no other value."""
    if isinstance(value, dict | list) and value:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*path, key))
    else:
        yield path


def put(document: Any, path: Path, value: Any) -> None:
    for key in path[:-1]:
        document = document[key]
    document[path[-1]] = value


def get(document: Any, path: Path) -> Any:
    for key in path:
        document = document[key]
    return document


def test_what_is_written_is_read(manifest: Manifest) -> None:
    assert Manifest.from_json(manifest.to_json().encode()) == manifest


def test_indentation_and_order_do_not_count(manifest: Manifest) -> None:
    document = json.loads(manifest.to_json())
    assert Manifest.from_json(json.dumps(dict(reversed(document.items()))).encode()) == manifest


def test_the_digest_is_that_of_the_canonical_document(fields: dict[str, Any], sign: Sign, manifest: Manifest) -> None:
    assert json.loads(sign(fields))["digest"] == json.loads(manifest.to_json())["digest"]


def test_an_edit_of_any_field_is_noticed(manifest: Manifest) -> None:
    document = json.loads(manifest.to_json())
    paths = list(leaves(document))
    assert len(paths) > 60
    for path in paths:
        edited = copy.deepcopy(document)
        old = get(edited, path)
        put(edited, path, "x" if old is None else old + 1 if isinstance(old, int | float) else f"{old}x")
        with pytest.raises(IntegrityError, match=r"edited or damaged|schema_version"):
            Manifest.from_json(json.dumps(edited).encode())


def test_a_field_that_is_gone_is_named(fields: dict[str, Any], sign: Sign) -> None:
    for name in set(fields) - {"schema_version"}:
        with pytest.raises(IntegrityError, match=rf"^m\.json lacks \['{name}'\]$"):
            Manifest.from_json(sign({key: value for key, value in fields.items() if key != name}), "m.json")


FIRST = ("variants", 0)
BAD_VALUES: list[tuple[Path, Any]] = [
    (("name",), 3),
    (("created",), None),
    (("source",), []),
    (("source", "versions"), "3"),
    (("input", "shape"), []),
    (("input", "shape"), [None, 0, 28, 3]),
    (("input", "shape"), [None, -28, 28, 3]),
    (("input", "shape"), [None, 2**20, 2**20, 3]),
    (("input", "shape"), [None, 28.0, 28, 3]),
    (("input", "shape"), [None, [28], 28, 3]),
    (("input", "shape"), [None, 28, 28, 1]),  # preprocessing has three channels
    (("input", "layout"), "NCHW"),
    (("input", "preprocessing", "scale"), []),
    (("input", "preprocessing", "scale"), "1"),
    (("input", "preprocessing", "scale"), None),
    (("input", "preprocessing", "offset"), [1.0, 2.0]),
    (("output", "labels"), ["cat"]),
    (("output", "labels"), ["cat", 1]),
    (("output", "labels"), "cd"),
    (("calibration", "count"), 1.5),
    (("calibration",), {}),
    (("variants",), []),
    (("variants",), {}),
    ((*FIRST, "id"), "onnx-int8"),  # twice
    ((*FIRST, "file"), "onnx-int8.onnx"),  # twice
    *[
        ((*FIRST, "file"), name)
        for name in ("../x.tflite", "/x.tflite", "a/b.tflite", "a\\b", ".x", "", "..", "x\0", "x\n", "ä", "x" * 129)
    ],
    ((*FIRST, "sha256"), "0" * 63),
    ((*FIRST, "sha256"), "G" * 64),
    ((*FIRST, "sha256"), "0" * 64 + "\n"),
    ((*FIRST, "size_bytes"), 0),
    ((*FIRST, "size_bytes"), -1),
    ((*FIRST, "size_bytes"), 2**31),
    ((*FIRST, "size_bytes"), True),
    (("name",), "x" * 5000),
    (("name",), "\x1b]0;title\x07"),
    (("output", "labels"), ["cat", "dog\x1b[2J"]),
    (("input", "shape"), [None, *[1] * 32]),
    (("input", "preprocessing", "scale"), 1e39),  # infinite in float32
    (("input", "preprocessing", "offset"), [0.0, 0.0, -1e300]),
    ((*FIRST, "size_bytes"), 10**30),
    ((*FIRST, "file"), "x" * 4000),
    ((*FIRST, "inputs"), []),
    ((*FIRST, "outputs"), []),
    ((*FIRST, "inputs", 0, "shape"), [0]),
    ((*FIRST, "inputs", 0, "scale"), 0.0),
    ((*FIRST, "inputs", 0, "scale"), -1.0),
    ((*FIRST, "inputs", 0, "scale"), None),
    ((*FIRST, "inputs", 0, "zero_point"), None),
    ((*FIRST, "inputs", 0, "zero_point"), 0.5),
    ((*FIRST, "verification", "samples"), "many"),
    ((*FIRST, "verification"), {"samples": 1}),
]


@pytest.mark.parametrize(("path", "value"), BAD_VALUES, ids=lambda value: str(value)[:40])
def test_a_bad_value_is_refused_even_with_a_digest_that_fits(
    path: Path, value: Any, fields: dict[str, Any], sign: Sign
) -> None:
    put(fields, path, value)
    with pytest.raises(IntegrityError, match=r"^m\.json.*") as caught:
        Manifest.from_json(sign(fields), "m.json")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_there_are_not_too_many_variants_or_inputs(fields: dict[str, Any], sign: Sign) -> None:
    first = fields["variants"][0]
    many = [first | {"id": f"v{i}", "file": f"v{i}.tflite"} for i in range(257)]
    with pytest.raises(IntegrityError, match="found 257 variants, expected at most 256"):
        Manifest.from_json(sign(fields | {"variants": many}))
    inputs = [first["inputs"][0] | {"name": f"i{i}"} for i in range(1025)]
    with pytest.raises(IntegrityError, match=r"found 1025 and 1 inputs and outputs, expected .* at most 1024"):
        Manifest.from_json(sign(fields | {"variants": [first | {"inputs": inputs}]}))


def test_no_two_inputs_have_one_name(fields: dict[str, Any], sign: Sign) -> None:
    first = fields["variants"][0]
    for twice in (
        fields | {"variants": [first | {"inputs": first["inputs"] * 2}]},
        fields | {"other_inputs": [fields["input"]]},
        fields | {"other_outputs": [fields["output"]]},
    ):
        with pytest.raises(IntegrityError, match="each of its own name"):
            Manifest.from_json(sign(twice))


def test_a_long_version_or_digest_is_shortened(fields: dict[str, Any], sign: Sign) -> None:
    for spoilt in (sign(fields | {"schema_version": "9" * 100_000}), json.dumps(fields | {"digest": "0" * 100_000})):
        with pytest.raises(IntegrityError, match=r"00\.\.\.|99\.\.\.") as caught:
            Manifest.from_json(spoilt if isinstance(spoilt, bytes) else spoilt.encode())
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize("version", [0, 2, "1", 1.0, True, None, [1]])
def test_another_schema_version_is_refused_and_named(version: Any, fields: dict[str, Any], sign: Sign) -> None:
    fields["schema_version"] = version
    with pytest.raises(IntegrityError) as caught:
        Manifest.from_json(sign(fields))
    assert f"schema_version {version!r}, this liteport reads 1" in str(caught.value)


@pytest.mark.parametrize("text", [b"[]", b"1", b"null", b'"schema_version"', b"{}"])
def test_what_is_no_manifest_is_told(text: bytes) -> None:
    with pytest.raises(IntegrityError, match="is no liteport manifest"):
        Manifest.from_json(text)


@pytest.mark.parametrize("digest", [None, 1, "", "0" * 64])
def test_a_wrong_digest_is_told(digest: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match=r"its digest is .*export again"):
        Manifest.from_json(json.dumps({"digest": digest, **fields}).encode())


def test_the_closest_variant_is_named(manifest: Manifest) -> None:
    assert manifest.variant("onnx-int8").file == "onnx-int8.onnx"
    with pytest.raises(InvalidInputError, match=r"unknown variant 'onnx-int9'; did you mean 'onnx-int8'\? known: tfl"):
        manifest.variant("onnx-int9")


def test_a_manifest_that_cannot_be_read_back_is_not_written(manifest: Manifest) -> None:
    broken = dataclasses.replace(manifest.source, training={"loss": math.nan})
    with pytest.raises(ValueError, match="not JSON compliant"):
        dataclasses.replace(manifest, source=broken).to_json()


@pytest.mark.parametrize(
    ("value", "scale", "offset"),
    [
        (None, 1.0, 0.0),
        ({}, 1.0, 0.0),
        ({"scale": 0.5}, 0.5, 0.0),
        ({"offset": -1}, 1.0, -1.0),
        ({"scale": 2, "offset": [1, 2, 3]}, 2.0, (1.0, 2.0, 3.0)),
        ({"scale": [2], "offset": (1,)}, 2.0, 1.0),
        ({"mean": 127.5, "std": 127.5}, 1 / 127.5, -1.0),
        ({"mean": [1, 2, 3], "std": 2}, 0.5, (-0.5, -1.0, -1.5)),
        ({"mean": 4, "std": [1, 2, 4]}, (1.0, 0.5, 0.25), (-4.0, -2.0, -1.0)),
        ({"mean": [2, 4], "std": [2, 8]}, (0.5, 0.125), (-1.0, -0.5)),
        (Preprocessing(3.0, 4.0), 3.0, 4.0),
        ({"scale": np.float32(0.5)}, 0.5, 0.0),
    ],
    ids=str,
)
def test_preprocessing_is_made_of_each_form(value: Any, scale: Any, offset: Any) -> None:
    assert Preprocessing.of(value) == Preprocessing(scale, offset)


@pytest.mark.parametrize(
    "value",
    [
        3,
        "scale",
        [("scale", 1)],
        {"mean": 1},
        {"std": 1},
        {"scale": 1, "mean": 1},
        {"scal": 1},
        {1: 2},
        {"scale": None},
        {"scale": "big"},
        {"scale": []},
        {"offset": ()},
        {"scale": [[1]]},
        {"scale": math.nan},
        {"offset": math.inf},
        {"scale": 10**400},
        {"mean": 1, "std": 0},
        {"mean": 1, "std": 5e-324},
        {"mean": [], "std": []},
        {"mean": [1, 2], "std": [1, 2, 3]},
    ],
    ids=lambda value: str(value)[:40],
)
def test_preprocessing_of_another_form_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"^preprocessing "):
        Preprocessing.of(value)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_a_scale_is_a_positive_number(scale: float) -> None:
    with pytest.raises(ValueError, match="expected a positive number"):
        TensorSpec("x", "int8", (1,), scale, 0)
