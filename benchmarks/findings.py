"""From what the workers answered to a report's rows."""

import gzip
import hashlib

import numpy as np
from numpy.typing import NDArray

from liteport.runtime.cpu import cpu_features, read_cpuinfo
from liteport.runtime.model_files import read_model

from .accuracy import compare, expected_calibration_error, recalls
from .asking import TEST
from .latency import Interval, paired_ratio, summarize
from .limits.limit import find_limit
from .results import (
    Answers,
    Control,
    Disagreement,
    Latency,
    Measurement,
    Memory,
    Robustness,
    Roofline,
    Row,
    Stages,
)
from .robustness import ALTERATIONS
from .trial import Trial

MOST_DISAGREEMENTS = 100
BOUND = 0.02
"""Half the width of the A/A control's interval up to which a machine counts as quiet."""


def make_row(trial: Trial, reference: Trial | None, roofline: Roofline | None, device: str) -> Row:
    """Makes a variant's row.

    Args:
        trial: The variant, through all phases.
        reference: What it is compared with; None where nothing was measured.
        roofline: What the machine can do at most, where that was measured.
        device: The machine's name.
    """
    candidate, content = trial.candidate, read_model(trial.candidate.file)
    measured = reference is not None and trial.failure is None
    return Row(
        device=device,
        bundle=trial.subject.name,
        variant=candidate.name,
        scheme=candidate.scheme,
        file=candidate.file.name,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        compressed_bytes=len(gzip.compress(content, 9)),
        layers=trial.survey.layers,
        layer_errors=trial.layer_errors,
        instructions=(),
        measurement=_measurement(trial, content, reference, roofline) if measured and reference else None,
        failure=trial.failure,
    )


def make_control(control: Trial, reference: Trial) -> Control:
    """Makes the A/A control from the reference's two trials."""
    ratio, interval = None, None
    # The reference may have failed since, and another one have taken its place.
    if control.failure is None and control.candidate is reference.candidate:
        found = paired_ratio(control.launches, reference.launches, seed=control.settings.seed)
        ratio, interval = found.value, found.interval
    return Control(control.subject.name, reference.candidate.name, ratio, interval, BOUND)


def _measurement(trial: Trial, content: bytes, reference: Trial, roofline: Roofline | None) -> Measurement:
    assert trial.engine is not None, "a trial without failure was loaded"
    latency = _latency(trial, reference)
    limit = None
    if roofline is not None:
        candidate, survey = trial.candidate, trial.survey
        limit = find_limit(
            content,
            candidate.file.suffix,
            survey.layers,
            roofline,
            latency.percentiles.p50_ns,
            trial.settings.batch,
            trial.engine,
            cpu_features(read_cpuinfo()),
            survey.left,
        )
    return Measurement(
        engine=trial.engine,
        latency=latency,
        stages=Stages(
            load_ns=tuple(trial.load_ns),
            first_ns=tuple(trial.first_ns),
            preprocess_ns=trial.stages.get("preprocess"),
            invoke_ns=trial.stages.get("invoke"),
            postprocess_ns=trial.stages.get("postprocess"),
        ),
        throughput=trial.rates(),
        memory=Memory(trial.peak_bytes, trial.survey.activation_bytes),
        answers=_answers(trial, reference) if trial.found else None,
        agreement=trial.agreement,
        limit=limit,
    )


def _latency(trial: Trial, reference: Trial) -> Latency:
    summary = summarize(trial.launches)
    ratio, interval = 1.0, Interval(1.0, 1.0)
    if trial is not reference:
        found = paired_ratio(trial.launches, reference.launches, seed=trial.settings.seed)
        ratio, interval = found.value, found.interval
    return Latency(
        percentiles=summary.percentiles,
        minimum_ns=summary.minimum_ns,
        variation=summary.variation,
        ratio=ratio,
        ratio_interval=interval,
        warm_up_runs=trial.warm_up_runs,
        steady=trial.steady,
        involuntary_switches=trial.switches,
        samples_ns=tuple(tuple(rounds) for rounds in trial.launches),
    )


def _answers(trial: Trial, reference: Trial) -> Answers:
    top1, confidence = trial.found[TEST]
    labels, classes = trial.asked.labels, len(trial.asked.class_names)
    mine, other, shared = _shared(trial, reference, TEST)
    pairs = zip(recalls(mine, shared, classes), recalls(other, shared, classes), strict=True)
    return Answers(
        accuracy=compare(mine, other, shared),
        calibration_error=_calibration_error(top1, confidence, labels[: len(top1)]),
        recall=recalls(top1, labels[: len(top1)], classes),
        recall_difference=tuple(None if own is None or its is None else own - its for own, its in pairs),
        robustness=tuple(
            Robustness(name, ALTERATIONS[name].strength, compare(*_shared(trial, reference, name)))
            for name in trial.found
            if name != TEST
        ),
        disagreements=_disagreements(trial, reference),
    )


def _calibration_error(
    top1: NDArray[np.int64], confidence: NDArray[np.float32], labels: NDArray[np.int64]
) -> float | None:
    """Lone files may answer with logits, which are no confidence."""
    if confidence.min() < 0 or confidence.max() > 1:
        return None
    return expected_calibration_error(top1, confidence, labels)


def _shared(
    trial: Trial, reference: Trial, name: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Returns both's top classes and the labels of the images that both were asked about."""
    mine, other = trial.found[name][0], reference.found[name][0]
    count = min(len(mine), len(other))
    return mine[:count], other[:count], trial.asked.labels[:count]


def _disagreements(trial: Trial, reference: Trial) -> tuple[Disagreement, ...]:
    mine, other, labels = _shared(trial, reference, TEST)
    found = np.flatnonzero(mine != other)[:MOST_DISAGREEMENTS]  # the order is random already
    order = trial.asked.order
    return tuple(Disagreement(int(order[i]), int(labels[i]), int(other[i]), int(mine[i])) for i in found)
