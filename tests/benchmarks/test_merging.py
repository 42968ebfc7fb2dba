from dataclasses import replace

import pytest
from made_report import made_report

from liteport.benchmarks.consistency import faults
from liteport.benchmarks.merging import merge_reports
from liteport.benchmarks.results import Report
from liteport.errors import InvalidInputError


def on_other_data(report: Report) -> Report:
    bundle, picture = report.bundles[0], report.pictures[0]
    return replace(
        report,
        bundles=(replace(bundle, data_digest="c" * 64),),
        pictures=(replace(picture, data_digest="c" * 64),),
    )


def named(report: Report, name: str) -> Report:
    return replace(
        report,
        devices=tuple(replace(device, name=name) for device in report.devices),
        rows=tuple(replace(row, device=name) for row in report.rows),
    )


def retrained(report: Report) -> Report:
    first, *others = report.rows
    return replace(report, rows=(replace(first, sha256="e" * 64), *others))


def devices(report: Report) -> list[str]:
    return [device.name for device in report.devices]


def bundles(report: Report) -> list[str]:
    return [bundle.name for bundle in report.bundles]


def merged(*reports: Report) -> Report:
    """Merges; whatever comes out must hold together, and hold every row."""
    report = merge_reports(reports)
    assert not list(faults(report))
    assert len(report.rows) == sum(len(entry.rows) for entry in reports)
    return report


def test_two_devices_stand_side_by_side() -> None:
    laptop, pi = made_report(), replace(named(made_report(), "pi"), created="2026-02-01T00:00:00+00:00")
    report = merged(laptop, pi)
    assert report == replace(
        laptop,
        created=pi.created,
        devices=(*laptop.devices, *pi.devices),
        rows=(*laptop.rows, *pi.rows),
    )
    assert report.reference("pi", "digits") == "tflite-float32"


def test_one_report_stays_as_it_is() -> None:
    assert merge_reports([made_report()]) == made_report()


def test_a_name_that_is_taken_gets_a_number() -> None:
    one = made_report()
    assert devices(merged(one, one, one)) == ["laptop", "laptop (2)", "laptop (3)"]
    # What an earlier merge has numbered is no name to give again.
    assert devices(merged(one, merged(one, one))) == ["laptop", "laptop (3)", "laptop (2)"]
    assert {row.device for row in merged(one, one).rows} == {"laptop", "laptop (2)"}


@pytest.mark.parametrize("change", [on_other_data, retrained])
def test_bundles_are_the_same_only_with_the_same_data_and_files(change: object) -> None:
    assert callable(change)
    one, other = made_report(), change(made_report())
    report = merged(one, other, other, one)
    assert bundles(report) == ["digits", "digits (2)"]
    assert [report.devices[i].controls[0].bundle for i in range(4)] == ["digits", "digits (2)", "digits (2)", "digits"]
    # In the order of the bundles, and there in the order in which they came.
    assert list(dict.fromkeys((row.bundle, row.device) for row in report.rows)) == [
        ("digits", "laptop"),
        ("digits", "laptop (4)"),
        ("digits (2)", "laptop (2)"),
        ("digits (2)", "laptop (3)"),
    ]


def test_variants_that_only_one_report_has_join_the_bundle() -> None:
    one, other = made_report(), made_report()
    report = merged(replace(one, rows=one.rows[:2]), replace(other, rows=(other.rows[0], other.rows[2])))
    assert bundles(report) == ["digits"]


def test_pictures_are_united() -> None:
    one, other = made_report(), on_other_data(made_report())
    assert merged(one, one).pictures == one.pictures
    assert {picture.data_digest for picture in merged(one, other).pictures} == {"c" * 64, "d" * 64}


def test_nothing_cannot_be_merged() -> None:
    with pytest.raises(InvalidInputError, match="no report was given"):
        merge_reports([])
