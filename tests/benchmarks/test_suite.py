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

import liteport.benchmarks
from liteport.benchmarks import Report, benchmark, process
from liteport.benchmarks.accuracy import Accuracy
from liteport.errors import AlreadyExistsError, BackendError, InvalidInputError
from liteport.runtime import load, read_bundle
from liteport.train import Dataset, load_dataset

StandIn = Callable[..., None]
MakeBundle = Callable[..., Path]


def _measured(report: Report) -> dict[str, liteport.benchmarks.Measurement]:
    return {row.variant: row.measurement for row in report.rows if row.measurement}


def test_figures_by_hand(stand_in: StandIn, make_bundle: MakeBundle, data: Dataset) -> None:
    stand_in(
        {
            "tflite-float32": {"ns": 4000, "column": 2},  # the image of a 3 is taken for a 9
            "tflite-int8": {"ns": 1000, "column": 1, "steady": False},  # a 3 and a 7 are taken for a 0
            "onnx-float32": {"ns": 8000, "column": 0, "peak_bytes": 64_000_000},  # all right
        }
    )
    report = benchmark(make_bundle(), data, rounds=3, runs=2, batch=4)
    found = _measured(report)
    assert [bundle.reference for bundle in report.bundles] == ["tflite-float32"]
    assert found["tflite-float32"].accuracy == Accuracy(10, 9, 0.9, 0, 0, 0.0, 1.0)
    assert found["tflite-int8"].accuracy == Accuracy(10, 8, 0.8, 1, 0, -10.0, 0.8)
    assert found["onnx-float32"].accuracy == Accuracy(10, 10, 1.0, 0, 1, 10.0, 0.9)
    assert [m.latency.ratio for m in found.values()] == [1.0, 0.25, 2.0]
    assert [m.latency.percentiles.p99_ns for m in found.values()] == [4000, 1000, 8000]
    assert [m.latency.steady for m in found.values()] == [True, False, True]
    assert found["tflite-int8"].latency.samples_ns == ((1000, 1000),) * 3
    assert found["tflite-int8"].images_per_second == 1e6  # 1 µs an image
    assert found["onnx-float32"].peak_memory_bytes == 64_000_000
    assert report.base_memory_bytes == 10_000_000


@pytest.mark.parametrize(
    ("variants", "reference"),
    [(("onnx-int8", "onnx-float32"), "onnx-float32"), (("onnx-int8", "tflite-int8"), "onnx-int8")],
)
def test_reference(
    variants: tuple[str, ...], reference: str, stand_in: StandIn, make_bundle: MakeBundle, data: Dataset
) -> None:
    report = benchmark(make_bundle(variants), data, rounds=1, runs=1)
    assert report.bundles[0].reference == reference
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
    report = benchmark(make_bundle(), data, rounds=2, runs=2, timeout=5 if way == "hang" else 60)
    failed = next(row for row in report.rows if row.variant == "tflite-float32")
    assert failed.measurement is None
    assert failed.failure is not None
    assert failed.failure.startswith(reason)
    assert set(_measured(report)) == {"tflite-int8", "onnx-float32"}
    assert report.bundles[0].reference == "onnx-float32"


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
        benchmark(bundle, data, rounds=8, runs=1, seed=seed)
        commands = [json.loads(line) for line in (tmp_path / log).read_text().splitlines()]
        memory = [i for i, (variant, command) in enumerate(commands) if command == "memory" and variant in names]
        first_batch = next(i for i, (_, command) in enumerate(commands) if command == "throughput")
        assert max(memory) < first_batch  # batches would raise the peak
        return [variant for variant, command in commands if command == "latency"][len(names) :]  # first inferences

    turns = order(0, "a")
    rounds = [turns[i : i + 3] for i in range(0, len(turns), 3)]
    assert len(rounds) == 8
    assert all(set(names_of_round) == names for names_of_round in rounds)
    assert len({tuple(names_of_round) for names_of_round in rounds}) > 1
    assert order(0, "b") == turns
    assert order(1, "c") != turns


def test_a_slow_variant_is_helped(
    stand_in: StandIn, make_bundle: MakeBundle, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("liteport.benchmarks.prediction.usable_cores", lambda: [0, 0])  # two slots on any machine
    stand_in({"tflite-int8": {"ns": 2_000_000_000, "column": 1, "seconds": 0.3}}, log=tmp_path / "log")
    report = benchmark(make_bundle(("tflite-int8",)), data, rounds=1, runs=1, batch=1)
    commands = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert commands.count(["tflite-int8", "load"]) == 2  # ten chunks of 0.3 s leave the helper time to begin
    assert commands.count(["tflite-int8", "predict"]) == 10  # each image once, whoever took it
    assert _measured(report)["tflite-int8"].accuracy.correct == 8


def test_several_bundles(stand_in: StandIn, make_bundle: MakeBundle, data: Dataset) -> None:
    stand_in({"tflite-int8": {"ns": 500}, "onnx-float32": {"ns": 2000}})
    a, b = make_bundle(("tflite-int8", "onnx-float32"), folder="a"), make_bundle(("tflite-int8",), folder="b")
    report = benchmark([a, b], data, rounds=2, runs=1)
    assert [bundle.reference for bundle in report.bundles] == ["onnx-float32", "tflite-int8"]
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
        "benchmark(sys.argv[1], sys.argv[2], out=sys.argv[3], rounds=1, runs=1)"
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


@pytest.mark.parametrize(("name", "least"), [("threads", 1), ("rounds", 1), ("runs", 1), ("batch", 1), ("seed", 0)])
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
    report = benchmark(
        tiny_bundle,
        out=tmp_path / "report",
        rounds=2,
        runs=5,
        progress=lambda what, done, total, note: seen.update({what: (done, total)}),
    )
    found = _measured(report)
    # all but the source code for microcontrollers, which no engine runs
    assert set(found) == {variant.id for variant in read_bundle(tiny_bundle).manifest.variants} - {"c-array"}
    assert report.bundles[0].reference == "tflite-float32"
    training = read_bundle(tiny_bundle).manifest.source.training or {}
    test = load_dataset(training["dataset"]["source"]).test
    for name, measurement in found.items():
        with load(tiny_bundle, variant=name) as model:
            top1 = model.predict(test.images).argmax(axis=1)
        # Another batch size may round a float sum otherwise, which can turn an image whose two best classes tie.
        assert abs(measurement.accuracy.correct - int((top1 == test.labels).sum())) <= 1
        assert [len(turn) for turn in measurement.latency.samples_ns] == [5, 5]
        assert 0 < measurement.latency.percentiles.p50_ns <= measurement.latency.percentiles.p99_ns
        assert measurement.peak_memory_bytes > report.base_memory_bytes
    assert all(done == total for done, total in seen.values())
    assert {"load", "latency", f"accuracy of {report.bundles[0].name} onnx-int8"} <= set(seen)
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == [
        "accuracy-latency.png",
        "report.json",
        "report.md",
    ]
    assert json.loads((tmp_path / "report" / "report.json").read_text()) == json.loads(report.to_json())
    assert np.all([row.size_bytes == (tiny_bundle / row.file).stat().st_size for row in report.rows])
