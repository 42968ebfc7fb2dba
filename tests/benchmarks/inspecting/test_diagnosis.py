"""Each sentence stands for something that was seen: with it there, the sentence is; without it, it is not."""

import math
from dataclasses import replace
from typing import Any

import pytest
from made_report import made_accuracy

from liteport.benchmarks.inspecting.diagnosis import Evidence, diagnose, worst_findings
from liteport.benchmarks.inspecting.file_facts import FileFacts, FloatOp
from liteport.benchmarks.inspecting.pace import OpTime, Pace
from liteport.runtime import BackendInfo
from liteport.runtime.causes import Cause, Finding
from liteport.runtime.comparison import Comparison, LayerComparison
from liteport.runtime.weights import WeightComparison

ENGINE = BackendInfo("ai-edge-litert", "2", "XNNPACK")
WEIGHTS = WeightComparison("w", "int8", per_channel=False, snr_db=12.0, weak_channels=0.5, channel_spread=1000.0)
LAYER = LayerComparison(
    layer="conv2",
    op="CONV_2D",
    tensor="a",
    covers=("a",),
    quantized_tensor="b",
    snr_db=20.0,
    own_snr_db=21.0,
    grid_snr_db=22.0,
    clip_snr_db=23.0,
    saturation=0.125,
    range_used=0.9,
    max_abs_error=1.0,
    mean_abs_error=0.1,
    weak_channels=0.25,
    channel_spread=4.0,
    weights=WEIGHTS,
    inputs=(),
)
FACTS = FileFacts(
    format="tflite",
    size_bytes=1,
    sha256="",
    producer="",
    minimum_runtime=None,
    opsets={},
    ir_version=None,
    ops=(),
    dtypes={"int8": 10},
    constant_bytes={},
    per_tensor=5,
    per_channel=5,
    quantize_ops=0,
    dequantize_ops=0,
    dequantized_constants=0,
    qdq_pairs=0,
    float_ops=(),
    convolutions=6,
    narrow_convolutions=0,
    inputs=(),
    outputs=(),
    tensors=(),
    embedded=None,
)
EVIDENCE = Evidence(
    reference="tflite-float32",
    quantized="tflite-int8",
    data="mnist (validation)",
    facts=FACTS,
    comparison=Comparison((LAYER,), 1, 1, 200),
    findings=(Finding(LAYER, 0.01, "saturation"),),
    accuracy=replace(made_accuracy(190, 8, 2, 200), top1_agreement=0.94),
    output_snr_db=20.0,
    pace=Pace(100_000.0, 50_000.0, 0.5, 21),
    engines=(ENGINE, ENGINE),
    profile=(),
    cpu_features=("avx2", "avx512_vnni"),
)
SLOWER = replace(EVIDENCE, pace=Pace(100_000.0, 150_000.0, 1.5, 21))


def test_tells_both_accuracies() -> None:
    text = " ".join(diagnose(EVIDENCE))
    assert "tflite-int8 95.00%, tflite-float32 98.00% (8 lost, 2 won; the same top class on 94.00%)" in text
    assert "costs no accuracy" not in text
    kept = replace(EVIDENCE, accuracy=made_accuracy(190, 1, 1, 200))
    assert "It costs no accuracy here." in diagnose(kept)


@pytest.mark.parametrize(
    ("cause", "changes", "says"),
    [
        ("saturation", {}, "12.5 % of its values lie beyond the range"),
        ("resolution", {}, "rounding its values to the steps of its range leaves 22.0 dB."),
        ("resolution", {"range_used": 0.02}, "take up only 2 % of that range"),
        ("resolution", {"range_used": 0.02, "op": "SOFTMAX"}, "that range is the operation's"),
        ("resolution", {"channel_spread": 1000.0}, "one scale serves channels whose ranges differ 1,000-fold"),
        ("weights", {}, "rounding them to int8 leaves 12.0 dB, as one scale serves channels whose ranges differ 1,000"),
        ("weights", {"weights": replace(WEIGHTS, per_channel=True)}, "rounding them to int8 leaves 12.0 dB."),
        (
            "channels",
            {"channel_spread": 500.0},
            "which leaves 25 % of them below 10 dB, as shows in dense",
        ),
        ("inputs", {}, "rounding its weights and values explains less than half of it"),
        ("inputs", {"grid_snr_db": None}, "rounding its weights explains less than half of it"),
        ("inputs", {"grid_snr_db": None, "weights": None}, "the noise comes with what it takes in"),
    ],
)
def test_names_the_worst_layer_and_why(cause: Cause, changes: dict[str, Any], says: str) -> None:
    finding = Finding(replace(LAYER, **changes), 0.03, cause, "dense" if cause == "channels" else None)
    other = Finding(replace(LAYER, layer="other"), 0.01, "resolution")
    (sentence,) = (text for text in diagnose(replace(EVIDENCE, findings=(finding, other))) if "loses most" in text)
    assert sentence.startswith(f"conv2 ({finding.layer.op}) loses most: 75% of the noise")
    assert says in sentence


def test_names_no_layer_where_none_adds_noise() -> None:
    silent = replace(EVIDENCE, findings=(Finding(replace(LAYER, snr_db=math.inf), 0.0, "inputs"),))
    assert "No layer adds noise: both files compute the same values." in diagnose(silent)


def test_five_layers_at_most_are_named_worst() -> None:
    findings = [Finding(LAYER, noise, "weights") for noise in (7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 0.001, 0.0)]
    assert [finding.noise for finding in worst_findings(findings)] == [7, 6, 5, 4, 3]
    assert [finding.noise for finding in worst_findings(findings[5:])] == [2]


def test_faster_and_equal_are_said_plainly() -> None:
    assert diagnose(EVIDENCE)[-1] == (
        "tflite-int8 is faster than tflite-float32 here, 2.00 times (50 µs an image against 100 µs, one thread)."
    )
    equal = replace(EVIDENCE, pace=Pace(100_000.0, 102_000.0, 1.02, 21))
    assert diagnose(equal)[-1] == (
        "tflite-int8 is as fast as tflite-float32 here (102 µs an image against 100 µs, one thread)."
    )


def test_no_cause_is_claimed_without_evidence() -> None:
    *_, slower, reason = diagnose(SLOWER)
    assert slower.startswith("tflite-int8 is slower than tflite-float32 here, 1.50 times")
    assert reason.startswith("Nothing that is known to slow integer models down")


@pytest.mark.parametrize(
    ("changes", "facts", "says"),
    [
        ({}, {"dtypes": {"int16": 9}}, "activations are int16 (9 tensors)"),
        ({"engines": (ENGINE, replace(ENGINE, provider="built-in kernels"))}, {}, "runs on built-in kernels"),
        (
            {},
            {"float_ops": (FloatOp("SOFTMAX", "s", "t", False),) * 2},
            "leaves in float: 2 SOFTMAX",
        ),
        ({}, {"float_ops": (FloatOp("CONV_2D", "s", "t", True),)}, "at each call: 1 CONV_2D"),
        ({}, {"quantize_ops": 2, "dequantize_ops": 1}, "float and integers: 3"),
        ({}, {"narrow_convolutions": 4}, "4 of 6 convolutions have fewer than 16 output channels"),
        ({"cpu_features": ("avx2",)}, {}, "This processor has no int8 dot product"),
        ({"profile": (OpTime("QuantizeLinear", 3, 0.2),)}, {}, "20 % of its time goes into conversions that ONNX Run"),
        (
            {"profile": (OpTime("Conv", 2, 0.5),)},
            {"qdq_pairs": 4},
            "50 % of its time goes into layers",
        ),
    ],
)
def test_each_brake_is_told_where_it_is_seen(changes: dict[str, Any], facts: dict[str, Any], says: str) -> None:
    """And only there: the sentence is the one that stands in place of "nothing was found"."""
    sentences = diagnose(replace(SLOWER, facts=replace(FACTS, **facts), **changes))
    first = next(index for index, text in enumerate(sentences) if "is slower than" in text)
    reasons = [text for text in sentences[first + 1 :] if not text.startswith("Where ONNX Runtime spends its time: ")]
    assert len(reasons) == 1
    assert says in reasons[0]


def test_an_unknown_processor_is_not_blamed() -> None:
    assert "dot product" not in " ".join(diagnose(replace(SLOWER, cpu_features=())))


def test_the_profile_is_told_where_the_model_is_slower() -> None:
    times = tuple(
        OpTime(kind, 2, share) for kind, share in (("QLinearConv", 0.7), ("Add", 0.2), ("B", 0.06), ("C", 0.04))
    )
    assert "Where ONNX Runtime spends its time: 70 % in 2 QLinearConv, 20 % in 2 Add, 6 % in 2 B." in diagnose(
        replace(SLOWER, profile=times)
    )
    assert "spends" not in " ".join(diagnose(replace(EVIDENCE, profile=times)))


def test_tells_where_the_engine_answers_otherwise_than_layer_by_layer() -> None:
    last = replace(EVIDENCE, comparison=Comparison((replace(LAYER, layer="(output)"),), 1, 1, 200))
    assert "with care" not in " ".join(diagnose(last))
    text = " ".join(diagnose(replace(last, output_snr_db=30.0)))
    assert "they end at 20.0 dB, but the answers as ai-edge-litert 2 (XNNPACK) gives them have 30.0 dB" in text
