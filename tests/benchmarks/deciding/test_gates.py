from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from made_report import made_accuracy, made_measurement, made_report

from liteport.benchmarks.accuracy import wilson_interval
from liteport.benchmarks.deciding.gates import Outcome, Verdict, judge, parse_gate
from liteport.benchmarks.latency import Interval
from liteport.benchmarks.results import Measurement, Report, Row
from liteport.errors import InvalidInputError

INT8, FLOAT = "tflite-int8", "tflite-float32"
MET, NOT_MET, NOT_JUDGED = Outcome.MET, Outcome.NOT_MET, Outcome.NOT_JUDGED


@pytest.fixture
def report() -> Report:
    """Float and int8, both measured: 98.0 % at 300 µs, and 97.8 % at 90 µs."""
    one = made_report()
    return replace(one, rows=one.rows[:2])


def changed(report: Report, variant: str, **fields: Any) -> Report:
    return replace(report, rows=tuple(replace(row, **fields) if row.variant == variant else row for row in report.rows))


def remeasured(report: Report, variant: str, change: Callable[[Measurement], Measurement], **fields: Any) -> Report:
    row = find(report, variant)
    assert row.measurement is not None
    return changed(report, variant, measurement=change(row.measurement), **fields)


def find(report: Report, variant: str) -> Row:
    return next(row for row in report.rows if row.variant == variant)


def elsewhere(report: Report, **fields: Any) -> Report:
    return replace(report, devices=tuple(replace(device, **fields) for device in report.devices))


def judged(report: Report, baseline: Report | None, *gates: str) -> list[Verdict]:
    return judge(report, baseline, [parse_gate(text) for text in gates])


def verdict(report: Report, baseline: Report | None, gate: str, variant: str = INT8) -> Verdict:
    """The one verdict of a gate for one variant."""
    (found,) = judged(report, baseline, f"{variant}:{gate}")
    assert found.met == (found.outcome is MET)
    assert found.text.startswith(found.subject)
    assert "\n" not in found.text
    return found


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("accuracy_drop>0.1", ("accuracy_drop", ">", 0.1, None)),
        ("latency_ratio >= 1.05", ("latency_ratio", ">=", 1.05, None)),
        ("latency>5ms", ("latency", ">", 5e6, None)),
        ("size>200kB", ("size", ">", 200_000, None)),
        ("memory>60MB", ("memory", ">", 60e6, None)),
        ("instructions>3M", ("instructions", ">", 3e6, None)),
        ("accuracy<99", ("accuracy", "<", 99, None)),
        ("accuracy<=99%", ("accuracy", "<=", 99, None)),
        (" tflite-int8: size_ratio > 1.1 ", ("size_ratio", ">", 1.1, "tflite-int8")),
        ("C:model.tflite:size>1MB", ("size", ">", 1e6, "C:model.tflite")),
    ],
)
def test_parses_a_gate(text: str, parts: tuple[str, str, float, str | None]) -> None:
    gate = parse_gate(text)
    assert (gate.metric, gate.operator, gate.bound, gate.variant) == parts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"expected \[VARIANT:\]METRIC>BOUND"),
        ("latency_ratio", "expected"),
        ("latency_ratio=1.05", "expected"),
        ("latency_ratio>>1.05", "expected"),
        ("latency_ratio>1>2", "expected"),
        ("latency_ratio>", "expected"),
        (">1.05", "expected"),
        ("latency_rate>1.05", "unknown gate 'latency_rate'; did you mean 'latency_ratio'"),
        ("latency_ratio>1,05", "the bound of latency_ratio is '1,05'"),
        ("latency>5", "the bound of latency is '5'; expected a time"),
        ("size>200KB", "one of the units B, kB"),
        ("accuracy_drop>-1", "the bound of accuracy_drop is '-1'"),
        # These would fail what is good, or never fail.
        ("latency_ratio<1.05", "would stop what is good; .* such as latency_ratio>1.05"),
        ("accuracy>99", "would stop what is good; .* such as accuracy<99"),
        ("accuracy<0.99", "the bound of accuracy is 0.99; expected 1.01 to 100, in percent"),
        ("accuracy<101", "the bound of accuracy is 101"),
        ("accuracy_drop>101", "the bound of accuracy_drop is 101"),
    ],
)
def test_what_is_no_gate_is_told(text: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        parse_gate(text)


@pytest.mark.parametrize(
    ("gate", "outcome", "figure"),
    [
        ("accuracy<96.7", MET, 97.8),
        ("accuracy<98.5", MET, 97.8),  # its interval reaches to 98.8
        ("accuracy<99", NOT_MET, 97.8),
        ("accuracy_drop>0.1", MET, 0.2),  # its interval starts at 0
        ("accuracy_drop>0.3", MET, 0.2),
        ("latency>89us", NOT_MET, 90_000),
        ("latency>5ms", MET, 90_000),
        ("latency_ratio>0.29", NOT_MET, 0.3),
        ("latency_ratio>0.299", MET, 0.3),  # its interval starts at 0.297
        ("latency_ratio>0.31", MET, 0.3),
        ("size>1.2MB", MET, 1_200_000),
        ("size>=1.2MB", NOT_MET, 1_200_000),
        ("size_ratio>0.2", NOT_MET, 0.25),
        ("memory>48MB", MET, 48_000_000),
        ("memory>40MB", NOT_MET, 48_000_000),
        ("memory_ratio>1", MET, 1.0),
        ("instructions>4.1M", NOT_MET, 4_200_000),
        ("instructions>4.199M", MET, 4_200_000),  # their spread is 0.04 %
        ("instructions_ratio>1.01", MET, 1.0),
    ],
)
def test_without_a_baseline_the_reference_is_compared_with(
    gate: str, outcome: Outcome, figure: float, report: Report
) -> None:
    found = verdict(report, None, gate)
    assert found.outcome is outcome
    assert found.figure == pytest.approx(figure, rel=1e-9)  # of the order of one rounding


def test_what_is_beyond_the_bound_but_not_for_certain_is_said(report: Report) -> None:
    assert verdict(report, None, "latency_ratio>0.299").text == (
        "tflite-int8: latency_ratio>0.299 met: "
        "latency_ratio is 0.300 (0.297 to 0.303), beyond the bound but not certain"
    )
    assert verdict(report, None, "latency_ratio>0.29").text == (
        "tflite-int8: latency_ratio>0.29 not met: latency_ratio is 0.30 (0.30 to 0.30)"
    )


def test_the_reference_is_not_compared_with_itself_unless_asked(report: Report) -> None:
    assert [entry.subject for entry in judged(report, None, "latency_ratio>0.2", "latency>1s")] == [INT8, FLOAT, INT8]
    for metric in ("latency_ratio", "accuracy_drop"):
        found = verdict(report, None, f"{metric}>0", FLOAT)
        assert found.text.endswith("it is the reference")


def test_the_same_again_is_met(report: Report) -> None:
    gates = [f"{name}>1.01" for name in ("latency_ratio", "size_ratio", "memory_ratio", "instructions_ratio")]
    found = judged(report, report, *gates, "accuracy_drop>0.01")
    assert len(found) == 10
    assert all(entry.met for entry in found)


def test_lost_accuracy_is_judged_by_newcombes_interval(report: Report) -> None:
    """His example: 56 of 70 against 48 of 80 differ by 0.2, with an interval of 0.0524 to 0.3339 (method 10)."""

    def answering(correct: int, images: int) -> Callable[[Measurement], Measurement]:
        accuracy = replace(made_accuracy(correct, images=images), interval=wilson_interval(correct, images))
        return lambda found: replace(found, answers=replace(found.answers, accuracy=accuracy))

    before = remeasured(report, INT8, answering(56, 70))
    now = remeasured(report, INT8, answering(48, 80), sha256="e" * 64)
    found = verdict(now, before, "accuracy_drop>5")
    assert found.outcome is NOT_MET
    assert found.figure == pytest.approx(20)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((5.24, 33.39), abs=0.005)  # as printed
    assert verdict(now, before, "accuracy_drop>5.3").met


def test_the_same_file_with_as_many_right_answers_has_lost_nothing(report: Report) -> None:
    found = verdict(report, report, "accuracy_drop>0")
    assert found.text.endswith("accuracy_drop is 0.00 points; the same file and data, with as many right answers")


def test_answers_to_other_images_are_not_compared(report: Report) -> None:
    other = replace(report, bundles=(replace(report.bundles[0], data_digest="c" * 64),))
    found = verdict(report, other, "accuracy_drop>50")
    assert found.outcome is NOT_JUDGED
    assert "other images" in found.text


def slower(report: Report, factor: float) -> Report:
    """The report of a machine that takes `factor` times as long for everything."""

    def scaled(row: Row) -> Row:
        assert row.measurement is not None
        latency = row.measurement.latency
        made = made_measurement(round(latency.percentiles.p50_ns * factor), latency.ratio)
        return replace(row, measurement=replace(row.measurement, latency=made.latency))

    return replace(report, rows=tuple(map(scaled, report.rows)))


def with_ratio(report: Report, ratio: float, p50_ns: int, **fields: Any) -> Report:
    """The report with another latency of int8."""
    latency = made_measurement(p50_ns, ratio).latency
    return remeasured(report, INT8, lambda found: replace(found, latency=latency), **fields)


def test_a_machines_drift_is_no_ones_fault(report: Report) -> None:
    found = verdict(slower(report, 1.2), report, "latency_ratio>1.05")
    assert found.outcome is MET
    assert found.figure == 1
    assert found.text.endswith("the machine's drift of 1.20 is divided out")
    found = verdict(slower(report, 1.2), report, "latency_ratio>1.05", FLOAT)
    assert found.met
    assert "the same file in the same engine; the machine's drift of 1.20" in found.text


@pytest.mark.parametrize("factor", [0.79, 1.26])
def test_too_large_a_drift_is_not_divided_out(factor: float, report: Report) -> None:
    for variant in (INT8, FLOAT):
        found = verdict(slower(report, factor), report, "latency_ratio>9", variant)
        assert found.outcome is NOT_JUDGED
        assert "drift is too large" in found.text


def test_a_slower_variant_is_told_whatever_the_drift(report: Report) -> None:
    """1.10 times the ratio to the reference; 1 % of error on both sides make 1.41 %, about which the bounds lie."""
    now = with_ratio(slower(report, 0.9), 0.33, 89_100, sha256="e" * 64)
    found = verdict(now, report, "latency_ratio>1.08")
    assert found.outcome is NOT_MET
    assert found.figure == pytest.approx(1.1)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((1.1 / 1.01424, 1.1 * 1.01424), rel=1e-3)
    assert verdict(now, report, "latency_ratio>1.09").met


def test_without_a_common_reference_p50s_are_compared(report: Report) -> None:
    engine = made_measurement().engine
    for before, reason in (
        (changed(report, FLOAT, sha256="e" * 64), "the reference is another file"),
        (
            remeasured(report, FLOAT, lambda found: replace(found, engine=replace(engine, version="1"))),
            "the reference ran in another engine",
        ),
        (elsewhere(report, controls=()), "the reference was not measured in both"),
    ):
        found = verdict(with_ratio(report, 0.33, 99_000), before, "latency_ratio>1.05")
        assert found.outcome is NOT_MET
        assert found.figure == pytest.approx(1.1)
        assert found.text.endswith(f"the machine's drift is not known, since {reason}")


def test_latencies_of_another_machine_are_not_compared(report: Report) -> None:
    device = report.devices[0]
    for fields, reason in (
        ({"environment": replace(device.environment, cpu="B")}, "another processor: B, here A CPU"),
        ({"environment": replace(device.environment, board="Pi")}, "another board: Pi, here None"),
        ({"settings": replace(device.settings, threads=2)}, "another number of threads: 2, here 1"),
        ({"settings": replace(device.settings, batch=8)}, "another batch: 8, here 1"),
    ):
        found = verdict(report, elsewhere(report, **fields), "latency_ratio>9")
        assert found.outcome is NOT_JUDGED
        assert reason in found.text


def test_memory_of_another_architecture_is_not_compared(report: Report) -> None:
    arm = elsewhere(report, environment=replace(report.devices[0].environment, architecture="aarch64"))
    assert "another architecture: aarch64, here x86_64" in verdict(report, arm, "memory_ratio>9").text
    assert not verdict(report, arm, "memory_ratio>9").met
    # Instructions and sizes are the same wherever they are counted.
    assert verdict(report, arm, "instructions_ratio>1.01").met
    assert verdict(report, arm, "size_ratio>1").met


def test_instructions_are_judged_by_their_spread(report: Report) -> None:
    count = find(report, INT8).instructions[0]
    now = changed(report, INT8, instructions=(replace(count, instructions=4_284_000),))  # 2 % more
    found = verdict(now, report, "instructions_ratio>1.01")
    assert (found.outcome, found.subject) == (NOT_MET, "tflite-int8 on pi4")
    # 1.02 times (1 - 0.0004) / (1 + 0.0004) is 1.01918, which is below 1.0195.
    assert verdict(now, report, "instructions_ratio>1.0195").met
    assert verdict(now, report, "instructions_ratio>1.019").outcome is NOT_MET


def test_each_board_has_a_verdict(report: Report) -> None:
    count = find(report, INT8).instructions[0]
    failed = replace(count, board="pi2", engine=None, instructions=None, spread=None, failure="it hung")
    two = changed(report, INT8, instructions=(count, failed))

    def boards(now: Report, before: Report | None, gate: str) -> list[tuple[str, Outcome]]:
        return [(entry.subject, entry.outcome) for entry in judged(now, before, f"{INT8}:{gate}")]

    pi4, pi2 = "tflite-int8 on pi4", "tflite-int8 on pi2"
    assert boards(two, None, "instructions>5M") == [(pi4, MET), (pi2, NOT_JUDGED)]
    assert boards(two, two, "instructions_ratio>2") == [(pi4, MET), (pi2, NOT_JUDGED)]
    # A board that the report lacks is not passed over; nor is one that the baseline lacks.
    assert boards(report, two, "instructions_ratio>2") == [(pi4, MET), (pi2, NOT_JUDGED)]
    ran = changed(report, INT8, instructions=(count, replace(count, board="pi2")))
    assert boards(ran, report, "instructions_ratio>2") == [(pi4, MET), (pi2, NOT_JUDGED)]
    # But what did not run before cannot have become worse.
    assert boards(ran, two, "instructions_ratio>2") == [(pi4, MET), (pi2, MET)]


def failed(report: Report, variant: str) -> Report:
    return changed(report, variant, measurement=None, failure="the worker was ended by SIGSEGV", instructions=())


ALL_RELATIVE = ("accuracy_drop>50", "latency_ratio>9", "size_ratio>9", "memory_ratio>9", "instructions_ratio>9")
ALL_ABSOLUTE = ("accuracy<2", "latency>1s", "memory>1GB", "instructions>1G")


@pytest.mark.parametrize("gate", [*(gate for gate in ALL_RELATIVE if "size" not in gate), *ALL_ABSOLUTE])
@pytest.mark.parametrize("with_baseline", [False, True])
def test_what_failed_does_not_pass(gate: str, with_baseline: bool, report: Report) -> None:
    found = verdict(failed(report, INT8), report if with_baseline else None, gate)
    assert found.outcome is NOT_JUDGED
    assert not found.met


@pytest.mark.parametrize("gate", [gate for gate in ALL_RELATIVE if "size" not in gate])
def test_what_failed_and_is_new_does_not_pass_either(gate: str, report: Report) -> None:
    alone = replace(report, rows=report.rows[:1])
    assert verdict(failed(report, INT8), alone, gate).outcome is NOT_JUDGED


@pytest.mark.parametrize("gate", ALL_RELATIVE)
def test_what_is_new_is_met_and_what_is_gone_is_not(gate: str, report: Report) -> None:
    alone = replace(report, rows=report.rows[:1])
    found = verdict(report, alone, gate)
    assert (found.outcome, found.figure) == (MET, None)
    assert "the baseline has no such variant" in found.text
    (gone,) = (found for found in judged(alone, report, gate) if INT8 in found.subject)
    assert gone.outcome is NOT_JUDGED
    assert "the baseline has it and the report has not" in gone.text


def test_what_failed_in_the_baseline_has_nothing_to_be_worse_than(report: Report) -> None:
    for gate in ("accuracy_drop>0", "memory_ratio>1", "latency_ratio>1"):
        found = verdict(report, failed(report, INT8), gate)
        assert found.met
        assert "it was not measured in the baseline: the worker was ended by SIGSEGV" in found.text


@pytest.mark.parametrize("side", ["report", "baseline", "neither"])
def test_without_labels_accuracy_is_not_judged(side: str, report: Report) -> None:
    silent = remeasured(report, INT8, lambda found: replace(found, answers=None))
    now, before = {"report": (silent, report), "baseline": (report, silent), "neither": (silent, None)}[side]
    found = verdict(now, before, "accuracy_drop>50")
    assert found.outcome is NOT_JUDGED
    assert "without labels" in found.text


def test_a_gate_always_has_a_verdict(report: Report) -> None:
    alone = replace(report, rows=report.rows[:1])
    (found,) = judged(alone, None, "latency_ratio>1")
    assert (found.outcome, found.subject) == (NOT_JUDGED, "the report")
    (found,) = judged(report, None, "tflite-int9:size>1MB")
    assert found.text == (
        "tflite-int9: size>1MB cannot be judged: the report has no such variant; it has tflite-float32, tflite-int8"
    )
    no_reference = elsewhere(report, controls=())
    assert [entry.outcome for entry in judged(no_reference, None, "size_ratio>1")] == [NOT_JUDGED] * 2
    assert judge(report, None, []) == []


def test_one_round_says_nothing_of_the_error(report: Report) -> None:
    def cut(found: Measurement) -> Measurement:
        return replace(found, latency=replace(found.latency, samples_ns=(((90_000,),),)))

    found = verdict(remeasured(report, INT8, cut), None, "latency>1s")
    assert found.outcome is NOT_JUDGED
    assert "a single round" in found.text


def test_a_build_servers_new_name_is_the_same_device(report: Report) -> None:
    other = replace(
        elsewhere(report, name="runner-77"), rows=tuple(replace(row, device="runner-77") for row in report.rows)
    )
    assert [entry.subject for entry in judged(report, other, "size_ratio>1")] == [FLOAT, INT8]


def test_subjects_say_what_they_need_to(report: Report) -> None:
    two = replace(
        report,
        devices=(*report.devices, replace(report.devices[0], name="pi")),
        bundles=(*report.bundles, replace(report.bundles[0], name="cats")),
        rows=(*report.rows, replace(report.rows[1], device="pi", bundle="cats")),
    )
    subjects = [entry.subject for entry in judged(two, None, f"{INT8}:size>9MB")]
    assert subjects == ["tflite-int8 of digits on laptop", "tflite-int8 of cats on pi"]
    # Only one of the two is in the baseline by name, and the other is new.
    assert [entry.figure for entry in judged(two, report, f"{INT8}:size_ratio>1")] == [1.0, None]


def test_intervals_come_with_verdicts(report: Report) -> None:
    assert verdict(report, None, "latency_ratio>1").interval == Interval(0.3 * 0.99, 0.3 * 1.01)
    assert verdict(report, None, "size>9MB").interval is None
