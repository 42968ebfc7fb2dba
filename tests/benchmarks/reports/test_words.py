from dataclasses import replace

from liteport.benchmarks.accuracy import Accuracy
from liteport.benchmarks.latency import Interval
from liteport.benchmarks.reports.words import controls, describe, headlines, limits, remarks
from liteport.benchmarks.results import Control, Report, Row


def with_accuracy(row: Row, accuracy: Accuracy) -> Row:
    assert row.measurement is not None
    assert row.measurement.answers is not None
    answers = replace(row.measurement.answers, accuracy=accuracy)
    return replace(row, measurement=replace(row.measurement, answers=answers))


def accuracy_of(row: Row) -> Accuracy:
    assert row.measurement is not None
    assert row.measurement.answers is not None
    return row.measurement.answers.accuracy


def test_the_headline_names_the_fastest_with_its_price(report: Report) -> None:
    assert headlines(report) == [
        "Of 3 variants, tflite-int8 is the fastest: 90.0 µs an inference, 0.300 times tflite-float32's "
        "(0.297 to 0.303); accuracy -0.20 points (p = 0.250); 1,200 kB."
    ]


def test_the_headline_names_another_where_accuracy_is_surely_lost(report: Report) -> None:
    loser = with_accuracy(report.rows[1], replace(accuracy_of(report.rows[1]), p_value=1e-4))
    (text,) = headlines(replace(report, rows=(report.rows[0], loser)))
    assert "accuracy -0.20 points (p < 0.001); 1,200 kB. The fastest without a certain loss of accuracy is " in text
    assert text.endswith("is tflite-float32: 300 µs an inference; 4,800 kB.")


def test_the_headline_names_what_is_not_told_apart(report: Report) -> None:
    twin = replace(report.rows[1], variant="tflite-int4")
    (text,) = headlines(replace(report, rows=(*report.rows, twin)))
    assert text.endswith("Not told apart from it in speed: tflite-int4.")


def test_a_lone_variant_is_not_the_fastest(report: Report) -> None:
    assert headlines(replace(report, rows=report.rows[:1])) == ["tflite-float32: 300 µs an inference; 4,800 kB."]


def control(report: Report, **changes: float | Interval | None) -> Report:
    (device,) = report.devices
    fields = {"ratio": 1.0, "interval": Interval(0.99, 1.01), "bound": 0.02, **changes}
    return replace(
        report,
        devices=(replace(device, controls=(Control("digits", "tflite-float32", **fields),)),),  # type: ignore[arg-type]
    )


def test_the_control_says_whether_the_machine_was_quiet(report: Report) -> None:
    quiet, wide, apart, untimed = (
        controls(control(report, **changes))[0]
        for changes in (
            {},
            {"interval": Interval(0.95, 1.05)},
            {"interval": Interval(1.01, 1.02)},
            {"ratio": None, "interval": None},
        )
    )
    assert not quiet.warning
    assert "quiet: tflite-float32 timed against itself (A/A) gave 1.000 (0.990 to 1.010), within ±2 %" in quiet.text
    assert all(notice.warning for notice in (wide, apart, untimed))
    assert "wider than ±2 %" in wide.text
    assert "leaves out 1" in apart.text
    assert "could not be timed" in untimed.text


def test_a_processor_that_was_held_back_is_a_warning(report: Report) -> None:
    (device,) = report.devices
    hot = replace(device, after=replace(device.after, throttling=("under-voltage now",)))
    texts = [notice.text for notice in controls(replace(report, devices=(hot,))) if notice.warning]
    assert len(texts) == 1
    assert "under-voltage now" in texts[0]


def test_remarks_join_what_holds_for_several(report: Report) -> None:
    first, second, failed = report.rows
    assert second.measurement is not None
    restless = replace(
        second, measurement=replace(second.measurement, latency=replace(second.measurement.latency, steady=False))
    )
    sampled = with_accuracy(restless, replace(accuracy_of(second), images=100))
    rows = (first, sampled, failed, replace(failed, variant="onnx-int8"))
    assert remarks(replace(report, rows=rows)) == [
        "tflite-int8: still not steady after 60 warm-up runs",
        "tflite-int8: accuracy from 100 of 1,000 test images",
        "onnx-float32, onnx-int8: not measured: latency: the worker was ended by SIGSEGV",
    ]


def test_limits_say_why(report: Report) -> None:
    assert limits(report) == ["tflite-int8 reaches 10 % of the roofline: narrow channels"]


def test_the_method_is_described_for_each_device(report: Report, merged: Report) -> None:
    (latency,) = [line for line in describe(report) if line.startswith("latency: ")]
    assert "each variant in 2 processes one after the other, pinned to core 1; 10 s of rounds" in latency
    assert "digits: bundle; 1,000 test images of mnist; reference tflite-float32" in describe(report)
    assert any(line.startswith("pi, machine: A CPU, x86_64, 2 usable cores") for line in describe(merged))
