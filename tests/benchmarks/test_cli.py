import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_report import made_report

from liteport.benchmarks import process
from liteport.benchmarks.limits import onnx_probe, tflite_probe
from liteport.benchmarks.reading import read_report
from liteport.benchmarks.results import Device, Report, Row
from liteport.errors import AlreadyExistsError, IntegrityError, InvalidInputError, LiteportError, NotFoundError
from liteport.runtime.cli import main, run
from liteport.train import Dataset

SetPlan = Callable[..., None]
MakeBundle = Callable[..., Path]
Output = pytest.CaptureFixture[str]
QUICK = ("--runs", "2", "--launches", "1", "--robustness", "0")


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the plots, which take longer than all the rest and have tests of their own."""
    monkeypatch.setattr("liteport.benchmarks.reports.writing.draw_all", lambda report: [])


@pytest.fixture
def bundle(make_bundle: MakeBundle, data: Dataset, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bundle, whose variants only the stand-in can run, and the data set "ten" that fits it."""
    monkeypatch.setattr("liteport.benchmarks.inputs.load_for_model", lambda source, _: {"ten": data}[source])
    return str(make_bundle())


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Has everything measured by a stand-in, which keeps what it was asked and answers with the made-up report."""
    asked: list[dict[str, Any]] = []

    def benchmark(bundles: list[Path], data: str | None, *, progress: object, **settings: Any) -> Report:
        asked.append({"bundles": bundles, "data": data, **settings})
        return made_report()

    monkeypatch.setattr("liteport.benchmarks.suite.benchmark", benchmark)
    return asked


@pytest.fixture
def reports(tmp_path: Path) -> tuple[str, str]:
    """Two reports of one bundle, of a laptop and of a phone."""
    report = made_report()
    device: Device = replace(report.devices[0], name="phone")
    rows: tuple[Row, ...] = tuple(replace(row, device="phone") for row in report.rows)
    (tmp_path / "laptop.json").write_text(report.to_json(), encoding="utf-8")
    other = replace(report, devices=(device,), rows=rows)
    (tmp_path / "phone.json").write_text(other.to_json(), encoding="utf-8")
    return str(tmp_path / "laptop.json"), str(tmp_path / "phone.json")


def test_measures_writes_and_says_what_to_do_next(
    bundle: str, stand_in: SetPlan, tmp_path: Path, capsys: Output
) -> None:
    stand_in({"onnx-float32": {"ns": 500}, "tflite-int8": {"latency": "crash"}})
    out, copy = tmp_path / "report", tmp_path / "copy.json"
    assert run(["bench", bundle, "--data", "ten", *QUICK, "--out", str(out), "--json", str(copy)]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].startswith("Of 3 variants, onnx-float32 is the fastest: 0.50 µs an inference, 0.500 times")
    assert "tflite-int8: not measured: latency: the worker was ended by SIGSEGV" in printed.out
    assert "±: half the width of a 95 % interval" in lines
    assert lines[-2].startswith(f"wrote {copy}, {out}/report.json, {out}/report.html, ")
    assert lines[-1] == f"next: liteport choose {out} --max-drop 0.1 --prefer latency"
    assert "machine: peak rates" in printed.err
    assert "outputs" not in printed.err  # a phase in which nothing is to be done
    assert copy.read_bytes() == (out / "report.json").read_bytes()
    assert [row.failure is None for row in read_report(out).rows] == [True, False, True]
    assert {path.name for path in tmp_path.iterdir()} == {"bundle", "report", "copy.json"}
    assert run(lines[-1].removeprefix("next: liteport ").split()) == 0


def test_options_reach_the_benchmark(measured: list[dict[str, Any]], tmp_path: Path) -> None:
    options = {
        "threads": 2,
        "batch": 4,
        "duration": 1.5,
        "launches": 3,
        "robustness": 7,
        "accuracy_time": 9.0,
        "seed": 5,
        "input_file": Path("x.npy"),
        "variants": ["a", "b"],
        "emulate": ["pi4", "pi5"],
    }
    flags = {"input_file": "--input", "variants": "--variant"}
    given = ["bench", "one", "two.onnx", "--data", "ten", "--out", str(tmp_path / "report")]
    for name, value in options.items():
        if name == "emulate":
            given += ["--emulate", "pi4, pi5"]
        else:
            values = value if isinstance(value, list) else [value]
            given += [part for one in values for part in (flags.get(name, f"--{name.replace('_', '-')}"), str(one))]
    assert run(given) == 0
    expected = {"bundles": [Path("one"), Path("two.onnx")], "data": "ten", "runs": None, **options}
    assert measured == [expected]


def test_lone_files_are_timed_on_all_of_a_given_input(
    tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The probe of the machine, which takes most of the time, has tests of its own.
    machine = (30_000_000, made_report().devices[0].roofline)
    monkeypatch.setattr("liteport.benchmarks.suite._measure_machine", lambda *_: machine)
    weights = np.random.default_rng(0).random((10, 16), np.float32)
    files = [tmp_path / "a.tflite", tmp_path / "b.onnx"]
    # Both as they come: they take exactly two rows of sixteen values.
    files[0].write_bytes(tflite_probe.product_file(weights, 2))
    files[1].write_bytes(onnx_probe.product_file(weights.T, 2))
    np.save(tmp_path / "x.npy", np.ones((2, 16), np.float32))
    given, out = ["bench", *map(str, files), "--runs", "1"], tmp_path / "report"
    assert run([*given, "--input", str(tmp_path / "x.npy"), "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert printed.out.endswith(f"next: liteport choose {out} --prefer latency\n")  # no drop, as there are no labels
    assert not {"layers", "throughput", "altered copies"} & {line.partition(":")[0] for line in printed.err.split("\n")}
    report = read_report(out)
    settings = report.devices[0].settings
    assert (settings.batch, settings.robustness) == (2, 0)
    assert (report.bundles[0].name, report.bundles[0].data, report.bundles[0].images) == ("files", "x.npy", 0)
    for row in report.rows:
        assert row.measurement is not None, row.failure
        assert row.measurement.answers is None
        assert row.measurement.agreement is not None
        assert row.measurement.agreement.items == 2
        # Sums of sixteen products in another order.
        assert row.measurement.agreement.max_abs_difference < 1e-5
    with pytest.raises(InvalidInputError, match=r"batch is 3; .* has 2 items, all of which one inference takes"):
        run([*given, "--input", str(tmp_path / "x.npy"), "--batch", "3", "--out", str(tmp_path / "other")])


def test_gates(measured: list[dict[str, Any]], make_bundle: MakeBundle, tmp_path: Path, capsys: Output) -> None:
    out, bundle = tmp_path / "report", str(make_bundle())
    gates = ("latency_ratio>1.05", "tflite-int8:size>1MB", "tflite-float32:size>1MB", "accuracy_drop>0.3")
    given = ["bench", bundle, "--out", str(out), *(part for gate in gates for part in ("--fail-on", gate))]
    assert run(given) == 3
    printed = capsys.readouterr()
    failed = [line for line in printed.err.splitlines() if line.startswith("gate failed: ")]
    assert len(failed) == 4  # the variant that crashed cannot be judged by the two gates that are about all
    assert "gate failed: tflite-int8: size>1MB not met: size is 1.20 MB" in failed
    assert "gate failed: tflite-float32: size>1MB not met: size is 4.80 MB" in failed
    met = [line for line in printed.out.splitlines() if line.startswith("gate: ")]
    assert [line.split(":")[1].strip() for line in met] == ["tflite-int8", "tflite-int8"]
    assert read_report(out) == made_report()  # kept, to see why
    assert run(["bench", bundle, "--out", str(out), "--force", "--fail-on", "tflite-int8:size>2MB"]) == 0


def test_gates_beside_a_baseline(
    measured: list[dict[str, Any]], make_bundle: MakeBundle, reports: tuple[str, str], tmp_path: Path, capsys: Output
) -> None:
    given = ["bench", str(make_bundle()), "--out", str(tmp_path / "report"), "--baseline", reports[0]]
    assert run([*given, "--fail-on", "tflite-int8:latency_ratio>1.05"]) == 0
    assert "gate: tflite-int8: latency_ratio>1.05 met: latency_ratio is 1.00" in capsys.readouterr().out


def test_merges_reports(reports: tuple[str, str], tmp_path: Path, capsys: Output) -> None:
    out = tmp_path / "merged"
    assert run(["bench", *reports, "--merge", "--out", str(out), "--fail-on", "instructions>1G"]) == 3
    merged = read_report(out)
    assert [device.name for device in merged.devices] == ["laptop", "phone"]
    assert [bundle.name for bundle in merged.bundles] == ["digits"]
    printed = capsys.readouterr()
    assert "phone: of 3 variants, tflite-int8 is the fastest" in printed.out
    assert f"next: liteport choose {out} --device laptop --max-drop 0.1 --prefer latency\n" in printed.out
    assert printed.err.count("gate failed") == 2  # on each device the variant that crashed


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        (["--variant", "tflite-int9"], InvalidInputError, "did you mean 'tflite-int8'"),
        (["--data", "nine"], KeyError, "nine"),
        (["--runs", "0"], InvalidInputError, "runs is 0"),
        (["--runs", "5", "--duration", "5"], InvalidInputError, "duration and runs are given"),
        (["--duration", "nan"], InvalidInputError, "duration is nan s"),
        (["--accuracy-time", "0"], InvalidInputError, "accuracy_time is 0 s"),
        (["--robustness", "-1"], InvalidInputError, "robustness is -1"),
        (["--input", "x.npy"], InvalidInputError, "the input x.npy is for lone files"),
        (["--json", "/nowhere/x.json"], NotFoundError, "/nowhere does not exist"),
        (["--json", "/"], InvalidInputError, "is a folder"),
        (["--json", __file__], AlreadyExistsError, "--force"),
        (["--emulate", "pi9"], InvalidInputError, "unknown board 'pi9'"),
        (["--fail-on", "nonsense"], InvalidInputError, "the gate is 'nonsense'; expected"),
        (["--fail-on", "tflite-int9:size>1MB"], InvalidInputError, "did you mean 'tflite-int8'"),
        (["--fail-on", "latency_ratioo>1"], InvalidInputError, "did you mean 'latency_ratio'"),
        (["--fail-on", "instructions>3M"], InvalidInputError, "have them counted: --emulate pi4"),
        (["--baseline", "laptop.json"], InvalidInputError, "no gate to judge by"),
        (["--baseline", "nowhere", "--fail-on", "size>1MB"], NotFoundError, "nowhere does not exist"),
        (["--baseline", __file__, "--fail-on", "size>1MB"], IntegrityError, "is no valid JSON"),
        (["--merge", "--host", "pi"], InvalidInputError, "--merge and --host are given; expected one"),
        (["--merge", "--threads", "2"], InvalidInputError, "--threads has no use with --merge"),
        (["--host", "pi", "--emulate", "pi4"], InvalidInputError, "--emulate has no use with --host"),
        (["--adb", "--fail-on", "size>1MB"], InvalidInputError, "--fail-on has no use with --adb"),
        (["--ssh-option", "Port=22"], InvalidInputError, "--ssh-option is for --host; leave it out"),
        (["--benchmark-binary", "x"], InvalidInputError, "--benchmark-binary is for --adb; leave it out"),
    ],
)
def test_bad_input_is_refused_before_any_work(
    more: list[str], error: type[Exception], message: str, bundle: str, stand_in: SetPlan, tmp_path: Path
) -> None:
    stand_in(log=tmp_path / "log")
    data = [] if more[0] in ("--data", "--merge") else ["--data", "ten"]
    with pytest.raises(error, match=message):
        run(["bench", bundle, *([] if "--adb" in more else data), "--out", str(tmp_path / "report"), *more])
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_refuses_what_is_neither_a_bundle_nor_a_file_that_it_can_run(bundle: str, tmp_path: Path) -> None:
    file = str(Path(bundle, "tflite-int8.tflite"))
    out = ["--out", str(tmp_path / "report")]
    refused: list[tuple[list[str], type[LiteportError], str]] = [
        (["nowhere"], NotFoundError, "nowhere does not exist"),
        ([str(tmp_path)], InvalidInputError, r"is no bundle: it holds no manifest\.json"),
        ([bundle, bundle], InvalidInputError, "a path was given twice"),
        ([file, "--variant", "tflite-int8"], InvalidInputError, "is of a bundle; lone files have none"),
        ([file, "--emulate", "pi4"], InvalidInputError, "is a lone file; instructions are counted of a bundle's"),
        ([file, "--input", "x.npy", "--data", "ten"], InvalidInputError, "both an input and a data set"),
        ([file, "nowhere.onnx"], NotFoundError, r"nowhere\.onnx does not exist"),
        ([bundle], InvalidInputError, "does not tell what it was trained on; name the data: --data"),
    ]
    for given, error, message in refused:
        with pytest.raises(error, match=message):
            run(["bench", *given, *out])
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_refuses_to_merge_what_are_not_several_reports(reports: tuple[str, str], bundle: str, tmp_path: Path) -> None:
    refused: list[tuple[list[str], type[LiteportError], str]] = [
        ([reports[0]], InvalidInputError, "--merge got 1 report; expected two or more"),
        ([reports[0], reports[0]], InvalidInputError, "once more; give it once"),
        ([reports[0], bundle], NotFoundError, r"holds no report\.json"),
        ([reports[0], str(tmp_path / "cut.json")], IntegrityError, "is no valid JSON"),
    ]
    (tmp_path / "cut.json").write_text(Path(reports[1]).read_text(encoding="utf-8")[:-9], encoding="utf-8")
    for given, error, message in refused:
        with pytest.raises(error, match=message):
            run(["bench", "--merge", *given, "--out", str(tmp_path / "merged")])
    assert not (tmp_path / "merged").exists()


def test_wrong_usage_ends_with_2(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    for given in (["bench"], ["bench", "b", "--threads", "many"], ["bench", "b", "--frobnicate"]):
        monkeypatch.setattr(sys, "argv", ["liteport", *given])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_ctrl_c_while_latencies_are_taken_leaves_nothing(
    make_bundle: MakeBundle, stand_in: SetPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, temporary, out = tmp_path / "log", tmp_path / "tmp", tmp_path / "report"
    temporary.mkdir()
    images, labels = np.zeros((20, 4, 4), np.uint8), np.arange(20) % 10
    np.savez(tmp_path / "data.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    stand_in({"tflite-int8": {"warm_up": "hang"}}, log=log)
    program = (
        "import signal; from liteport.benchmarks import process; from liteport.runtime.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell without job control has it ignored
        f"process.COMMAND = {process.COMMAND!r}\n"
        "main()"
    )
    monkeypatch.setenv("TMPDIR", str(temporary))
    given = ["bench", str(make_bundle(["tflite-int8"])), "--data", str(tmp_path / "data.npz"), "--out", str(out)]
    given += [*QUICK, "--seed", "3"]  # by which the A/A control comes first: it must be ended like the variants
    # A session of its own: the signal is for the benchmark alone, so that it must end its workers itself.
    running = subprocess.Popen(
        [sys.executable, "-c", program, *given], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while running.poll() is None and not (log.exists() and "warm_up" in log.read_text()):
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=30)  # a worker would hang for 60 s
    assert running.returncode == 130
    assert errors.splitlines()[-1] == "interrupted; what was unfinished is not kept"
    assert not list(temporary.iterdir())
    assert not out.exists()
    with pytest.raises(ProcessLookupError):  # no process of its group is left
        os.killpg(running.pid, 0)


def test_import_is_cheap_and_needs_no_tensorflow() -> None:
    program = (
        "import sys, liteport.benchmarks; assert 'numpy' not in sys.modules\n"
        "import liteport.benchmarks.suite; print(*{name.split('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"tensorflow", "keras", "matplotlib", "scipy", "onnxruntime"} & set(loaded)
