import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from liteport.benchmarks import Measurement, Report, benchmark, process
from liteport.benchmarks.accuracy import Accuracy
from liteport.benchmarks.latency import Interval
from liteport.benchmarks.reading import read_report
from liteport.errors import AlreadyExistsError, BackendError, InvalidInputError
from liteport.runtime import load, read_bundle
from liteport.train import Dataset, load_dataset

StandIn = Callable[..., None]
MakeBundle = Callable[..., Path]


def _accuracy(measurement: Measurement) -> Accuracy:
    assert measurement.answers is not None
    return measurement.answers.accuracy


def _references(report: Report) -> list[str]:
    return [control.variant for control in report.devices[0].controls]


def _measured(report: Report) -> dict[str, Measurement]:
    return {row.variant: row.measurement for row in report.rows if row.measurement}


def test_figures_by_hand(stand_in: StandIn, make_bundle: MakeBundle, data: Dataset) -> None:
    stand_in(
        {
            "tflite-float32": {"ns": 4000, "column": 2},  # the image of a 3 is taken for a 9
            "tflite-int8": {"ns": 1000, "column": 1, "steady": False},  # a 3 and a 7 are taken for a 0
            "onnx-float32": {"ns": 8000, "column": 0, "peak_bytes": 64_000_000},  # all right
        }
    )
    report = benchmark(make_bundle(), data, runs=6, launches=2, robustness=0)
    found = _measured(report)
    device, name = report.devices[0], report.devices[0].name
    assert report.reference(name, "ten-net") == "tflite-float32"
    accuracies = [(a.correct, a.lost, a.won, a.top1_agreement) for a in map(_accuracy, found.values())]
    assert accuracies == [(9, 0, 0, 1.0), (8, 1, 0, 0.8), (10, 0, 1, 0.9)]
    assert [(a.images, a.difference_points) for a in map(_accuracy, found.values())] == [(10, 0), (10, -10), (10, 10)]
    assert [m.latency.ratio for m in found.values()] == [1.0, 0.25, 2.0]
    assert [m.latency.percentiles.p99_ns for m in found.values()] == [4000, 1000, 8000]
    assert [m.latency.steady for m in found.values()] == [True, False, True]
    assert found["tflite-int8"].latency.samples_ns == (((1000,),) * 3,) * 2  # two launches of three rounds
    assert found["tflite-int8"].latency.warm_up_runs == 60  # thirty in each launch
    assert found["tflite-int8"].stages.load_ns == (5, 5)
    assert found["tflite-int8"].stages.invoke_ns == 800
    assert found["tflite-int8"].throughput[0].images_per_second == 1e6  # 1 µs an image
    assert found["onnx-float32"].memory.peak_bytes == 64_000_000
    assert device.base_memory_bytes == 10_000_000
    control = device.controls[0]
    assert (control.variant, control.ratio, control.interval) == ("tflite-float32", 1.0, Interval(1.0, 1.0))
    assert control.quiet
    answers = found["tflite-int8"].answers
    assert answers is not None
    # An image of a 3 that the reference takes for a 9 and this for a 0; a 7 that this alone does.
    seen = sorted((entry.image, entry.label, entry.reference, entry.answer) for entry in answers.disagreements)
    assert seen == [(3, 3, 9, 0), (7, 7, 7, 0)]
    assert answers.recall == tuple(0.0 if label in (3, 7) else 1.0 for label in range(10))
    # The reference takes the 3 for another as well.
    assert answers.recall_difference == tuple(-1.0 if label == 7 else 0.0 for label in range(10))
    assert sorted(picture.image for picture in report.pictures) == [3, 7]


@pytest.mark.parametrize(
    ("variants", "reference"),
    [(("onnx-int8", "onnx-float32"), "onnx-float32"), (("onnx-int8", "tflite-int8"), "onnx-int8")],
)
def test_reference(
    variants: tuple[str, ...], reference: str, stand_in: StandIn, make_bundle: MakeBundle, data: Dataset
) -> None:
    report = benchmark(make_bundle(variants), data, runs=1, robustness=0)
    assert _references(report) == [reference]
    assert _measured(report)[reference].latency.ratio == 1.0


@pytest.mark.parametrize(
    ("command", "way", "reason"),
    [
        ("load", "refuse", "the engine refuses the model"),
        ("warm_up", "crash", "warm_up: the worker was ended by SIGSEGV"),
        ("latency", "exit", "latency: the worker ended with exit code 1: no more tensors"),
        ("latency", "hang", "latency: no answer within 5 s"),
        ("throughput", "garbage", "throughput: expected an answer"),
        ("predict", "crash", "predict: the worker was ended by SIGSEGV"),
        ("factor", float("nan"), "its predictions hold NaN or infinite values"),
    ],
)
def test_a_failure_is_a_row_and_the_others_are_measured(
    command: str, way: object, reason: str, stand_in: StandIn, make_bundle: MakeBundle, data: Dataset
) -> None:
    stand_in({"tflite-float32": {command: way}})
    # A worker starts in a fraction of five seconds; only the test that waits for all of them has so few.
    report = benchmark(make_bundle(), data, runs=4, launches=2, robustness=0, timeout=5 if way == "hang" else 60)
    failed = next(row for row in report.rows if row.variant == "tflite-float32")
    assert failed.measurement is None
    assert failed.failure is not None
    assert failed.failure.startswith(reason)
    assert set(_measured(report)) == {"tflite-int8", "onnx-float32"}
    assert _references(report) == ["onnx-float32"]


def test_nothing_measured_is_an_error(
    stand_in: StandIn, make_bundle: MakeBundle, data: Dataset, tmp_path: Path
) -> None:
    stand_in({"tflite-int8": {"load": "crash"}, "tflite-float32": {"load": "refuse"}})
    bundle = make_bundle(("tflite-float32", "tflite-int8"))
    with pytest.raises(BackendError, match=r"none of 2 variants .*: the engine refuses the model; load: .*SIGSEGV"):
        benchmark(bundle, data, out=tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_variants_take_turns_in_a_seeded_random_order(
    stand_in: StandIn, make_bundle: MakeBundle, data: Dataset, tmp_path: Path
) -> None:
    bundle, names = make_bundle(), {"tflite-float32", "tflite-int8", "onnx-float32"}

    def order(seed: int, log: str) -> list[str]:
        stand_in({name: {"ns": 1000} for name in names}, log=tmp_path / log)
        benchmark(bundle, data, runs=8, launches=1, robustness=0, seed=seed)
        commands = [json.loads(line) for line in (tmp_path / log).read_text().splitlines()]
        memory = [i for i, (variant, command) in enumerate(commands) if command == "memory" and variant in names]
        first_batch = next(i for i, (_, command) in enumerate(commands) if command == "throughput")
        assert max(memory) < first_batch  # batches would raise the peak
        return [variant for variant, command in commands if command == "latency"][4:]  # first inferences

    turns = order(0, "a")
    rounds = [turns[i : i + 4] for i in range(0, len(turns), 4)]
    assert len(rounds) == 8
    # The reference twice, as its own control.
    assert all(sorted(names_of_round) == sorted([*names, "tflite-float32"]) for names_of_round in rounds)
    assert len({tuple(names_of_round) for names_of_round in rounds}) > 1
    assert order(0, "b") == turns
    assert order(1, "c") != turns


def test_a_slow_variant_is_helped(
    stand_in: StandIn, make_bundle: MakeBundle, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("liteport.benchmarks.prediction.usable_cores", lambda: [0, 0])  # two slots on any machine
    monkeypatch.setattr("liteport.benchmarks.phases.usable_cores", lambda: [0])
    stand_in({"tflite-int8": {"ns": 2_000_000_000, "column": 1, "seconds": 0.3}}, log=tmp_path / "log")
    report = benchmark(make_bundle(("tflite-int8",)), data, runs=1, robustness=0, batch=1)
    commands = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    # For latencies and their control, throughput, predictions, and the helper: ten chunks of 0.3 s leave it time.
    assert commands.count(["tflite-int8", "load"]) == 5
    assert commands.count(["tflite-int8", "predict"]) == 10  # each image once, whoever took it
    assert _accuracy(_measured(report)["tflite-int8"]).correct == 8


def test_several_bundles(stand_in: StandIn, make_bundle: MakeBundle, data: Dataset) -> None:
    stand_in({"tflite-int8": {"ns": 500}, "onnx-float32": {"ns": 2000}})
    a, b = make_bundle(("tflite-int8", "onnx-float32"), folder="a"), make_bundle(("tflite-int8",), folder="b")
    report = benchmark([a, b], data, runs=2, launches=1, robustness=0)
    assert _references(report) == ["onnx-float32", "tflite-int8"]
    assert [row.measurement.latency.ratio for row in report.rows if row.measurement] == [0.25, 1.0, 1.0]


def test_ctrl_c_leaves_nothing(
    stand_in: StandIn, make_bundle: MakeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, temporary = tmp_path / "log", tmp_path / "tmp"
    temporary.mkdir()
    images, labels = np.zeros((20, 4, 4), np.uint8), np.arange(20) % 10
    np.savez(tmp_path / "data.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    stand_in({"tflite-int8": {"predict": "hang"}, "tflite-float32": {"predict": "hang"}}, log=log)
    program = (
        "import signal, sys; from liteport.benchmarks import benchmark, process\n"
        # a shell without job control has it ignored
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"process.COMMAND = {process.COMMAND!r}\n"
        "benchmark(sys.argv[1], sys.argv[2], out=sys.argv[3], runs=1, robustness=0)"
    )
    monkeypatch.setenv("TMPDIR", str(temporary))
    paths = [str(make_bundle()), str(tmp_path / "data.npz"), str(tmp_path / "report")]
    # A session of its own: the signal is for the benchmark alone, so that it must end its workers itself.
    running = subprocess.Popen(
        [sys.executable, "-c", program, *paths], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while running.poll() is None and not (log.exists() and "predict" in log.read_text()):
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=30)  # the workers would hang for 60 s
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert not list(temporary.iterdir())
    assert not (tmp_path / "report").exists()
    with pytest.raises(ProcessLookupError):  # no process of its group is left
        os.killpg(running.pid, 0)


@pytest.mark.parametrize(("name", "least"), [("threads", 1), ("launches", 1), ("runs", 1), ("batch", 1), ("seed", 0)])
def test_refuses_numbers_that_are_too_small(name: str, least: int, make_bundle: MakeBundle, data: Dataset) -> None:
    with pytest.raises(InvalidInputError, match=f"{name} is {least - 1}; expected {least} or more"):
        benchmark(make_bundle(), data, **{name: least - 1})  # type: ignore[arg-type]


def test_refuses_an_existing_folder_before_any_work(
    stand_in: StandIn, make_bundle: MakeBundle, data: Dataset, tmp_path: Path
) -> None:
    stand_in(log=tmp_path / "log")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "mine.txt").write_text("mine")
    with pytest.raises(AlreadyExistsError, match="--force"):
        benchmark(make_bundle(), data, out=tmp_path / "report")
    with pytest.raises(InvalidInputError, match=r"holds no report\.json"):
        benchmark(tmp_path / "bundle", data, out=tmp_path / "report", force=True)
    assert not (tmp_path / "log").exists()


def test_real_variants(tiny_bundle: Path, tmp_path: Path) -> None:
    seen: dict[str, tuple[int, int]] = {}
    names = ("tflite-float32", "tflite-dynamic", "tflite-int8", "onnx-int8")
    report = benchmark(
        tiny_bundle,
        out=tmp_path / "report",
        variants=names,
        runs=10,
        launches=2,
        robustness=20,
        progress=lambda what, done, total, note: seen.update({what: (done, total)}),
    )
    found = _measured(report)
    assert set(found) == set(names)
    assert _references(report) == ["tflite-float32"]
    training = read_bundle(tiny_bundle).manifest.source.training or {}
    test = load_dataset(training["dataset"]["source"]).test
    for name, measurement in found.items():
        with load(tiny_bundle, variant=name) as model:
            top1 = model.predict(test.images).argmax(axis=1)
        # Another batch size may round a float sum otherwise, which can turn an image whose two best classes tie.
        assert abs(_accuracy(measurement).correct - int((top1 == test.labels).sum())) <= 1
        assert [len(launch) for launch in measurement.latency.samples_ns] == [5, 5]
        assert 0 < measurement.latency.percentiles.p50_ns <= measurement.latency.percentiles.p99_ns
        assert measurement.answers is not None
        assert [entry.accuracy.images for entry in measurement.answers.robustness] == [20] * 4
        assert measurement.memory.peak_bytes > report.devices[0].base_memory_bytes
    assert all(done == total for done, total in seen.values())
    phases = {"machine", "altered copies", "latency", "stages", "throughput", "layers"}
    assert {*phases, *(f"accuracy of {report.bundles[0].name} {name}" for name in names)} <= set(seen)
    assert read_report(tmp_path / "report") == report
    assert np.all([row.size_bytes == (tiny_bundle / row.file).stat().st_size for row in report.rows])
