import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_report import made_report

from liteport.benchmarks.reading import parse_report, read_report
from liteport.benchmarks.results import SCHEMA_VERSION
from liteport.errors import IntegrityError, LiteportError, NotFoundError

Change = Callable[[Any], object]


@pytest.fixture
def fields() -> Any:
    return json.loads(made_report().to_json())


def parse_changed(fields: Any, change: Change) -> None:
    change(fields)
    parse_report(json.dumps(fields).encode(), "report.json")


def test_reads_what_was_written(tmp_path: Path) -> None:
    report = made_report()
    (tmp_path / "report.json").write_text(report.to_json(), encoding="utf-8")
    assert read_report(tmp_path) == report
    assert read_report(str(tmp_path / "report.json")) == report


def test_reads_many_samples_and_long_pictures(fields: Any) -> None:
    """More than a manifest may hold: 300,000 samples, a picture of 64,000 characters."""
    latency = fields["rows"][0]["measurement"]["latency"]
    latency["samples_ns"] *= 10_000
    fields["pictures"][0]["png"] = "A" * 64_000
    report = parse_report(json.dumps(fields).encode(), "report.json")
    assert report.rows[0].measurement is not None
    assert sum(map(len, report.rows[0].measurement.latency.samples_ns)) == 100_000
    assert report.pictures[0].png == "A" * 64_000


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("report.json", None, NotFoundError, "does not exist; expected a report's folder"),
        (".", None, NotFoundError, "holds no report.json; liteport bench BUNDLE --out DIR makes one"),
        ("report.json", b"", IntegrityError, "is empty"),
        ("report.json", b" \n", IntegrityError, "is empty"),
        ("report.json", b'{"schema_version": 2, "rows": [', IntegrityError, "is no valid JSON"),
        ("report.json", b"\x89PNG", IntegrityError, "is no valid JSON"),
        ("report.json", b"[]", IntegrityError, "is no report of a benchmark"),
        ("report.json", b"{}", IntegrityError, "is no report of a benchmark"),
        ("report.json", b'{"schema_version": 2}', IntegrityError, "lacks"),
    ],
)
def test_what_is_no_report_is_told(
    name: str, content: bytes | None, error: type[LiteportError], message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=message):
        read_report(tmp_path / name)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "report.json")
    for path in (tmp_path, tmp_path / "report.json"):
        with pytest.raises(IntegrityError, match="is no ordinary file"):
            read_report(path)


def test_a_file_that_no_benchmark_writes_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("liteport.benchmarks.reading._MAX_BYTES", 1 << 20)
    (tmp_path / "report.json").write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(IntegrityError, match="is larger than 1 MiB"):
        read_report(tmp_path)


@pytest.mark.parametrize("version", [1, SCHEMA_VERSION + 1, str(SCHEMA_VERSION), float(SCHEMA_VERSION), True, None])
def test_another_schema_version_is_told(version: object, fields: Any) -> None:
    with pytest.raises(IntegrityError, match=f"has schema version .*, expected {SCHEMA_VERSION}; measure again"):
        parse_changed(fields, lambda report: report.update(schema_version=version))


def row(number: int, *keys: str) -> Callable[[Any], Any]:
    """Returns what finds an object inside of a row."""

    def find(report: Any) -> Any:
        found = report["rows"][number]
        for key in keys:
            found = found[key]
        return found

    return find


LATENCY = row(1, "measurement", "latency")
ACCURACY = row(1, "measurement", "answers", "accuracy")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(extra=1), r"has unknown fields \['extra'\]"),
        (lambda r: row(0)(r).pop("size_bytes"), r"rows\[0\] lacks \['size_bytes'\]"),
        (lambda r: row(0)(r).update(size_bytes=1.5), r"rows\[0\].size_bytes is 1.5, expected int"),
        (lambda r: r["devices"][0]["settings"].update(threads=0), r"settings: threads is 0; expected 1 or more"),
        (
            lambda r: r["devices"][0]["environment"]["packages"].update(numpy=2),
            r"environment.packages\['numpy'\] is 2, expected str",
        ),
        (lambda r: LATENCY(r)["samples_ns"][0][0].append("9"), r"samples_ns\[0\]\[0\]\[3\] is '9', expected int"),
        (lambda r: LATENCY(r)["samples_ns"][0][0].append(True), r"samples_ns\[0\]\[0\]\[3\] is True, expected int"),
    ],
)
def test_a_field_that_does_not_fit_is_named(change: Change, message: str, fields: Any) -> None:
    with pytest.raises(IntegrityError, match=message):
        parse_changed(fields, change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r["devices"].append(r["devices"][0]), "the device 'laptop' stands there twice"),
        (lambda r: r["bundles"].append(r["bundles"][0]), "the bundle 'digits' stands there twice"),
        (lambda r: r["rows"].append(r["rows"][0]), "the row .* stands there twice"),
        (lambda r: r["rows"].clear(), "it has no rows"),
        (lambda r: row(2)(r).update(device="pi"), "a row names the device 'pi', which is not described"),
        (lambda r: row(2)(r).update(bundle="cats"), "a row names the bundle 'cats', which is not described"),
        (
            lambda r: r["devices"][0]["controls"][0].update(variant="onnx-float32"),
            "the reference onnx-float32 of digits was not measured on laptop",
        ),
        (
            lambda r: r["devices"][0]["controls"].append(r["devices"][0]["controls"][0]),
            "the control of 'digits' stands",
        ),
        (lambda r: row(0)(r).update(failure="crashed"), "it has both figures and a failure, or neither"),
        (lambda r: row(2)(r).update(failure=None), "it has both figures and a failure, or neither"),
        (lambda r: row(0)(r).update(sha256="ab"), "its SHA-256 is 'ab'"),
        (lambda r: row(0)(r).update(compressed_bytes=-1), "its size is negative"),
        (lambda r: row(0)(r)["instructions"].append(row(0)(r)["instructions"][0]), "the count for 'pi4' stands"),
        (lambda r: row(0)(r)["instructions"][0].update(failure="hung"), "its count for pi4 has both instructions and"),
        (lambda r: row(0)(r)["instructions"][0].update(instructions=0), "its count for pi4 is 0 with a spread of"),
        (
            lambda r: row(0)(r)["instructions"][0].update(spread=-0.1),
            "its count for pi4 is 4200000 with a spread of -0.1",
        ),
        (lambda r: LATENCY(r)["percentiles"].update(p50_ns=80_000.0), "its p50 is 80000.0 ns, by its samples 90000.0"),
        (lambda r: LATENCY(r)["percentiles"].update(p90_ns=80_000.0), "its p90 is"),
        (lambda r: LATENCY(r)["percentiles"].update(p99_ns=80_000.0), "its p99 is"),
        (lambda r: LATENCY(r).update(minimum_ns=1), "its minimum is 1 ns, by its samples 89100 ns"),
        (lambda r: LATENCY(r)["samples_ns"][0][0].__setitem__(0, 95_000), "its p50|its p99|its p90|its minimum"),
        (lambda r: LATENCY(r)["samples_ns"][0][0].__setitem__(0, 0), "it has a sample that is no time"),
        (lambda r: LATENCY(r)["samples_ns"][0][0].__setitem__(0, 10**30), "it has a sample that is no time"),
        (lambda r: LATENCY(r)["samples_ns"][0].append([]), "it has no samples in a launch or a round"),
        (lambda r: LATENCY(r).update(samples_ns=[]), "it has no samples in a launch or a round"),
        (lambda r: LATENCY(r).update(ratio=0), "its ratio is not above 0"),
        (lambda r: LATENCY(r).update(ratio_interval={"low": 2, "high": 1}), "the interval of its ratio ends before"),
        (lambda r: row(1, "measurement", "memory")(r).update(peak_bytes=0), "its memory is not above 0"),
        (lambda r: r["bundles"][0].update(data_digest=None), "it has answers, but digits has no data"),
        (lambda r: r["bundles"][0].update(images=999), "1000 images were asked, of 999"),
        (lambda r: ACCURACY(r).update(correct=1001), "1001 of 1000 images are right"),
        (lambda r: ACCURACY(r).update(correct=977), "its accuracy is 0.978, by its counts 0.977"),
        (lambda r: ACCURACY(r).update(lost=-1), "-1 lost"),
        (lambda r: ACCURACY(r).update(won=2), "its difference is -0.2 points, by its counts -0.1"),
        (lambda r: ACCURACY(r)["interval"].update(low=1), "the interval of its accuracy ends before"),
        (
            lambda r: row(1, "measurement", "answers")(r)["robustness"][0]["accuracy"].update(images=0),
            "930 of 0 images are right",
        ),
    ],
)
def test_a_report_that_contradicts_itself_is_refused(change: Change, message: str, fields: Any) -> None:
    with pytest.raises(IntegrityError, match=f"^report.json contradicts itself: .*({message})") as caught:
        parse_changed(fields, change)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("it was edited or damaged")


def test_a_long_fault_is_shortened(fields: Any) -> None:
    with pytest.raises(IntegrityError) as caught:
        parse_changed(fields, lambda report: row(2)(report).update(device="x" * 100_000))
    assert len(str(caught.value)) < 500
