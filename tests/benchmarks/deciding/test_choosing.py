from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_report import made_accuracy, made_measurement, made_report, made_row

from liteport.benchmarks.deciding.choosing import choose, pareto_front
from liteport.benchmarks.latency import Interval
from liteport.benchmarks.results import Measurement, Memory, Report
from liteport.errors import InvalidInputError

FAST, SMALL, EXACT = "onnx-int8", "tflite-int8", "tflite-float32"


def measured(p50_ns: int, ratio: float, lost: int, memory: int) -> Measurement:
    """A measurement of 10,000 images; intervals of 1 % about the ratio, of 0.2 points about the drop."""
    accuracy = made_accuracy(9_900 - lost, lost, 0, 10_000)
    return replace(made_measurement(p50_ns, ratio, accuracy), memory=Memory(memory, None))


@pytest.fixture
def report() -> Report:
    """Four variants of which none is best in all, and one that crashed."""
    one = made_report()
    rows = (
        made_row(EXACT, measured(300_000, 1.0, 0, 50_000_000), None, 4_800_000),
        made_row(FAST, measured(80_000, 0.267, 30, 70_000_000), None, 1_300_000),
        made_row(SMALL, measured(90_000, 0.3, 10, 48_000_000), None, 1_200_000),
        made_row("tflite-int16x8", measured(4_000_000, 13.3, 10, 52_000_000), None, 1_250_000),
        made_row("onnx-float16", None, "the worker was ended by SIGSEGV"),
    )
    return replace(one, bundles=(replace(one.bundles[0], images=10_000),), rows=rows)


def order(report: Report, **wishes: Any) -> list[str]:
    return [candidate.variant for candidate in choose(report, **wishes).candidates if not candidate.excluded]


def excluded(report: Report, **wishes: Any) -> dict[str, str]:
    return {entry.variant: entry.reason for entry in choose(report, **wishes).candidates if entry.excluded}


@pytest.mark.parametrize(
    ("points", "front"),
    [
        ([], []),
        ([(1.0, 2.0)], [True]),
        ([(1, 2), (2, 1), (2, 2)], [True, True, False]),
        ([(1, 1), (1, 1)], [True, True]),  # neither is better in anything
        ([(1, 2), (1, 1)], [False, True]),
        ([(3,), (1,), (2,)], [False, True, False]),
        ([(0, float("inf")), (1, 1)], [True, True]),
    ],
)
def test_pareto_front(points: Sequence[tuple[float, ...]], front: list[bool]) -> None:
    assert pareto_front(points) == front


def test_points_of_different_length_have_no_front() -> None:
    with pytest.raises(ValueError, match="zip"):
        pareto_front([(1, 2), (1, 2, 3)])


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=12))
def test_every_point_off_the_front_is_beaten_by_one_on_it(points: list[tuple[float, ...]]) -> None:
    front = [point for point, on_front in zip(points, pareto_front(points), strict=True) if on_front]
    assert front
    for point in points:
        beaten = any(all(map(float.__le__, map(float, one), map(float, point))) and one != point for one in front)
        assert beaten == (point not in front)


@pytest.mark.parametrize(
    ("prefer", "variants"),
    [
        ("latency", [FAST, SMALL, EXACT, "tflite-int16x8"]),
        ("size", [SMALL, "tflite-int16x8", FAST, EXACT]),
        ("memory", [SMALL, EXACT, "tflite-int16x8", FAST]),
        ("accuracy", [EXACT, SMALL, "tflite-int16x8", FAST]),  # equal drops: the faster first
    ],
)
def test_what_is_preferred_decides_and_then_the_next(prefer: str, variants: list[str], report: Report) -> None:
    assert order(report, prefer=prefer) == variants


@pytest.mark.parametrize(
    ("wishes", "out"),
    [
        ({"max_drop": 0.1}, {FAST: "drop 0.30 points > 0.10 points"}),
        ({"max_drop": "0.3"}, {}),  # exactly at the limit is within it
        ({"max_latency": "0.3ms"}, {"tflite-int16x8": "p50 4.00 ms > 300 µs"}),
        ({"max_latency": 299_999}, {EXACT: "p50 300.000 µs > 299.999 µs", "tflite-int16x8": "p50 4.00 ms > 300 µs"}),
        (
            {"max_latency": "302us", "percentile": "p90"},
            {EXACT: "p90 303 µs > 302 µs", "tflite-int16x8": "p90 4.04 ms > 302 µs"},
        ),
        ({"max_size": "1.25MB"}, {EXACT: "size 4.80 MB > 1.25 MB", FAST: "size 1.30 MB > 1.25 MB"}),
        ({"max_memory": 51e6}, {FAST: "memory 70.0 MB > 51.0 MB", "tflite-int16x8": "memory 52.0 MB > 51.0 MB"}),
        (
            {"max_drop": 0.1, "max_size": "1.25MB", "max_latency": "1ms"},
            {
                EXACT: "size 4.80 MB > 1.25 MB",
                FAST: "drop 0.30 points > 0.10 points, size 1.30 MB > 1.25 MB",
                "tflite-int16x8": "p50 4.00 ms > 1.00 ms",
            },
        ),
    ],
)
def test_each_limit_excludes_with_its_figure(wishes: dict[str, Any], out: dict[str, str], report: Report) -> None:
    crashed = {"onnx-float16": "not measured: the worker was ended by SIGSEGV"}
    assert excluded(report, **wishes) == out | crashed


def test_exclusions_tell_figure_and_limit(report: Report) -> None:
    choice = choose(report, max_size="1.25MB")
    (exclusion,) = next(entry.excluded for entry in choice.candidates if entry.variant == FAST)
    assert (exclusion.constraint, exclusion.figure, exclusion.limit) == ("max_size", 1_300_000, 1_250_000)
    (failure,) = choice.candidates[-1].excluded
    assert (failure.constraint, failure.figure, failure.limit) == ("failure", None, None)


def test_the_choice_says_why(report: Report) -> None:
    choice = choose(report, max_drop=0.2, max_size="2MB")
    assert choice.variant == SMALL
    assert choice.sentence == (
        "ship tflite-int8: the lowest p50 (90.0 µs) of the 2 variants within drop ≤ 0.20 points and size ≤ 2.00 MB"
    )
    assert [entry.reason for entry in choice.candidates[:2]] == ["lowest p50", "p50 4.00 ms against 90.0 µs"]
    assert choose(report, max_latency="85us").sentence == f"ship {FAST}: the only variant within p50 ≤ 85.0 µs"
    assert choose(report).sentence == f"ship {FAST}: the lowest p50 (80.0 µs) of the 4 variants measured"


def test_where_none_is_left_the_nearest_is_named(report: Report) -> None:
    choice = choose(report, max_drop=0.05, max_size="1MB")
    assert choice.variant is None
    assert choice.sentence == (
        "no variant is within drop ≤ 0.05 points and size ≤ 1.00 MB; "
        "tflite-float32 comes nearest: size 4.80 MB > 1.00 MB"
    )
    assert all(entry.excluded for entry in choice.candidates)
    assert choose(report, max_size="1MB").sentence.endswith("tflite-int8 comes nearest: size 1.20 MB > 1.00 MB")


def test_where_none_was_measured_that_is_said(report: Report) -> None:
    choice = choose(replace(report, rows=report.rows[-1:]))
    assert (choice.variant, choice.front, choice.sentence) == (None, (), "no variant was measured")


def test_the_front_has_no_regard_for_limits(report: Report) -> None:
    """int16x8 is beaten in all by int8; each of the others is best in something."""
    assert set(choose(report, max_size="1.25MB").front) == {EXACT, FAST, SMALL}


@pytest.mark.parametrize(
    "wishes",
    [
        {"prefer": prefer, **limits}
        for prefer, limits in product(
            ("latency", "size", "memory", "accuracy"),
            ({}, {"max_drop": 0.1}, {"max_size": 1_250_000}, {"max_memory": 6e7}),
        )
    ],
)
def test_the_choice_is_on_the_front(wishes: dict[str, Any], report: Report) -> None:
    """What beats a choice in all keeps within every limit as well, and would have been chosen."""
    choice = choose(report, **wishes)
    assert choice.variant in choice.front


def test_the_same_in_all_is_left_as_it_stood(report: Report) -> None:
    twin = replace(report.rows[2], variant="twin")
    choice = choose(replace(report, rows=(*report.rows, twin)), prefer="size")
    assert [(entry.variant, entry.on_front) for entry in choice.candidates[:2]] == [(SMALL, True), ("twin", True)]
    assert choice.candidates[1].reason == "the same in all as tflite-int8"


def test_doubts_are_noted(report: Report) -> None:
    """The drop of 0.10 points has an interval of 0.2 to either side, its ratio one of 1 %."""
    (note,) = choose(report, max_drop=0.2).notes
    assert note.startswith("its drop of 0.10 points may be up to 0.30 by its 95 % interval")
    assert choose(report, max_drop=0.35, prefer="size").notes == ()  # 0.30 is within it
    # The reference has nothing to lose against itself.
    assert choose(report, max_drop=0, prefer="memory").notes == ()

    near = replace(report.rows[1], variant="near", measurement=measured(80_100, 0.268, 30, 70_000_000))
    (note,) = choose(replace(report, rows=(*report.rows, near))).notes
    assert note == "its p50 is not told apart from that of near: their 95 % intervals overlap"


def test_a_sample_and_a_noisy_machine_are_noted(report: Report) -> None:
    control = replace(report.devices[0].controls[0], interval=Interval(1.01, 1.04))
    noisy = replace(
        report,
        devices=(replace(report.devices[0], controls=(control,)),),
        bundles=(replace(report.bundles[0], images=60_000),),
    )
    assert choose(noisy).notes == (
        "its accuracy comes from 10,000 of 60,000 test images",
        "laptop was too noisy while it was measured: see the A/A control in the report",
    )


def counted(report: Report, counts: dict[str, int | None], board: str = "pi4") -> Report:
    """The report with a count for some variants; None for one that did not run."""
    pattern = made_row("any", made_measurement()).instructions[0]
    made = {
        variant: replace(pattern, board=board, instructions=count)
        if count
        else replace(pattern, board=board, instructions=None, spread=None, top1_agreement=None, failure="it hung")
        for variant, count in counts.items()
    }
    rows = (replace(row, instructions=(made[row.variant],) if row.variant in made else ()) for row in report.rows)
    return replace(report, rows=tuple(rows))


def test_an_emulated_board_is_chosen_for_by_instructions(report: Report) -> None:
    emulated = counted(report, {EXACT: 9_000_000, SMALL: 2_500_000, FAST: None})
    choice = choose(emulated, device="pi4", max_instructions="3M", max_drop=0.3)
    assert (choice.variant, choice.device) == (SMALL, "pi4")
    assert choice.candidates[0].figures is not None
    assert choice.candidates[0].figures.instructions == 2_500_000
    assert (choice.candidates[0].figures.latency_ns, choice.candidates[0].figures.memory_bytes) == (None, None)
    assert {entry.variant: entry.reason for entry in choice.candidates[1:]} == {
        EXACT: "instructions 9.00 M > 3.00 M",
        FAST: "did not run on pi4: it hung",
        "tflite-int16x8": "its instructions were not counted for pi4",
        "onnx-float16": "not measured: the worker was ended by SIGSEGV",
    }
    assert choice.notes == ("instructions are counted, not timed; accuracy was measured on laptop",)
    assert choose(emulated, device="pi4").sentence == (
        "ship tflite-int8: the fewest instructions on pi4 (2.50 M) of the 2 variants measured"
    )


def test_other_answers_on_the_board_are_noted(report: Report) -> None:
    emulated = counted(report, {SMALL: 2_500_000})
    row = emulated.rows[2]
    other = replace(row, instructions=(replace(row.instructions[0], top1_agreement=0.975, images=200),))
    notes = choose(replace(emulated, rows=(other,)), device="pi4").notes
    assert notes[-1] == "on pi4 it gave 97.5 % of 200 images the class that it gave them on laptop"


def test_a_board_that_bears_a_devices_name_is_told_apart_by_the_limit(report: Report) -> None:
    board = counted(report, {EXACT: 9_000_000, SMALL: 2_500_000}, board="laptop")
    assert choose(board, device="laptop").variant == FAST
    assert choose(board, device="laptop", max_instructions="3M").variant == SMALL


def test_one_of_several_devices_and_bundles_is_named(report: Report) -> None:
    one, two = report.devices[0], replace(report.devices[0], name="pi")
    slow = [replace(row, device="pi") for row in report.rows if row.variant != FAST]
    several = replace(report, devices=(one, two), rows=(*report.rows, *slow))
    with pytest.raises(InvalidInputError, match="the report has 2 devices; name one: --device laptop or pi"):
        choose(several)
    assert choose(several, device="laptop").variant == FAST
    assert choose(several, device="pi").variant == SMALL

    bundles = (report.bundles[0], replace(report.bundles[0], name="cats"))
    cats = [replace(row, bundle="cats") for row in report.rows if row.variant != FAST]
    several = replace(report, bundles=bundles, rows=(*report.rows, *cats))
    with pytest.raises(InvalidInputError, match="the report has 2 bundles; name one: --bundle digits or cats"):
        choose(several)
    assert choose(several, bundle="cats").variant == SMALL


def without_labels(report: Report) -> Report:
    rows = (row.measurement and replace(row.measurement, answers=None) for row in report.rows)
    return replace(
        report, rows=tuple(replace(row, measurement=found) for row, found in zip(report.rows, rows, strict=True))
    )


def test_without_labels_the_rest_decides(report: Report) -> None:
    choice = choose(without_labels(report), max_size="2MB")
    assert choice.variant == FAST
    assert set(choice.front) == {FAST, SMALL}
    for wishes in ({"max_drop": 0.1}, {"prefer": "accuracy"}):
        with pytest.raises(InvalidInputError, match="digits is not known, since it was measured without labels"):
            choose(without_labels(report), **wishes)


def test_what_is_not_known_of_one_variant_cannot_be_within_a_limit(report: Report) -> None:
    mixed = replace(report, rows=(*report.rows[:2], without_labels(report).rows[2]))
    assert excluded(mixed, max_drop=1) == {SMALL: "drop is not known"}
    last = choose(mixed, prefer="accuracy").candidates[-1]
    assert (last.variant, last.reason) == (SMALL, "drop not known")


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"prefer": "sizes"}, "unknown preference 'sizes'; did you mean 'size'"),
        ({"percentile": "p95"}, "unknown percentile 'p95'"),
        ({"device": "laptp"}, "unknown device 'laptp'; did you mean 'laptop'[?] known: laptop, pi4"),
        ({"bundle": "digit"}, "unknown bundle 'digit'; did you mean 'digits'"),
        ({"max_drop": -0.1}, "max_drop is -0.1; expected 0 or more"),
        ({"max_drop": "much"}, "max_drop is 'much'; expected percentage points"),
        ({"max_size": 0}, "max_size is 0; expected more than 0"),
        ({"max_size": "200KB"}, "max_size is '200KB'; expected a size"),
        ({"max_latency": "5"}, "max_latency is '5'; expected a time"),
        ({"max_latency": float("nan")}, "max_latency is nan; expected more than 0"),
        ({"max_memory": float("inf")}, "max_memory is inf; expected more than 0"),
        ({"max_instructions": "3M"}, "instructions are counted on emulated boards; name one: --device pi4"),
        ({"max_instructions": "3M", "device": "laptop"}, "instructions are counted on emulated boards"),
        (
            {"device": "pi4", "max_latency": "5ms"},
            "the latency of an emulated pi4 is not known; limit its instructions",
        ),
        ({"device": "pi4", "max_memory": "5MB"}, "the memory of an emulated pi4 is not known"),
        ({"device": "pi4", "prefer": "memory"}, "the memory of an emulated pi4 is not known"),
    ],
)
def test_a_wish_that_cannot_be_met_is_told(wishes: dict[str, Any], message: str, report: Report) -> None:
    with pytest.raises(InvalidInputError, match=message):
        choose(report, **wishes)
