import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from liteport.errors import InvalidInputError
from liteport.runtime import read_bundle
from liteport.runtime.cli import run


def liteport(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "liteport.runtime", *map(str, arguments)]
    return subprocess.run(call, capture_output=True, text=True, cwd=cwd, check=False)


def test_a_run_is_exported_with_a_table_and_the_next_command(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "b"
    assert run(["export", str(tiny_run), "--format", "tflite-int8", "--format", "onnx-int8", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "held against Keras on 100 samples" in printed  # all of the tiny data set's validation split
    assert "tflite-int8" in printed
    assert "calibrated on 500 samples of tiny (train), seed 0" in printed
    assert "calibration on one half of them against the other (onnx-int8): ranges differ by" in printed
    assert f"wrote {out}: 2 variants" in printed
    assert printed.endswith(f"next: liteport bench {out}\n")
    assert read_bundle(out).manifest.calibration is not None


def test_foreign_models_get_labels_and_preprocessing_by_options(
    tiny_run: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "theirs.keras"
    model.write_bytes((tiny_run / "model.keras").read_bytes())
    names = tmp_path / "names.txt"
    names.write_text("\n".join(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]) + "\n")
    arguments = ["--format", "tflite-int8", "--calibration", tiny_data, "--labels", names, "--scale", "1/255"]
    assert run(["export", *map(str, [model, *arguments, "--out", tmp_path / "b"])]) == 0
    capsys.readouterr()
    manifest = read_bundle(tmp_path / "b").manifest
    assert manifest.output.labels is not None
    assert manifest.output.labels[9] == "nine"
    assert manifest.input.preprocessing.scale == 1 / 255
    verification = manifest.variants[0].verification
    assert verification is not None
    assert verification.reference_accuracy is not None
    assert verification.reference_accuracy > 0.8  # it was trained: wrong preprocessing or labels would show here


def test_bad_input_is_one_line_with_exit_code_1_and_leaves_nothing(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "text.keras").write_text("no model")
    before = sorted(tmp_path.iterdir())
    done = liteport("export", "text.keras", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: text.keras is no Keras model")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "tflite-in8"], "did you mean 'tflite-int8'"),
        (["--calibration", "minst"], "did you mean 'mnist'"),
        (["--labels", "none.txt"], "none.txt does not exist"),
        (["--scale", "1/0"], "'1/0' is no number"),
        (["--scale", ""], "'' is no number"),
        (["--scale", "0"], "a scale that is not 0"),
        (["--out", "/proc/liteport"], "/proc/"),  # cannot be written to, not even by root
    ],
)
def test_every_unusable_option_is_told(
    tiny_run: Path, tmp_path: Path, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, OSError)) as raised:
        run(["export", str(tiny_run), *arguments])
    assert message in str(raised.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xef\xbb\xbf0\r\n1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7\r\n8\r\n nine \r\n\r\n", None),  # as Windows writes it
        (b"0\n\n2\n3\n4\n5\n6\n7\n8\n9\n", "label 1 is ''"),
        (b"\n", r"labels are \[\]; expected 10 names"),
        (b"\xff\xfe0\x00", "is no UTF-8 text"),
    ],
)
def test_files_of_labels(tiny_run: Path, tmp_path: Path, content: bytes, message: str | None) -> None:
    (tmp_path / "names.txt").write_bytes(content)
    arguments = ["--format", "tflite-float32", "--no-try-tflite-runtime", "--no-verify"]
    call = ["export", *map(str, [tiny_run, "--labels", tmp_path / "names.txt", *arguments, "--out", tmp_path / "b"])]
    if message:
        with pytest.raises(InvalidInputError, match=message):
            run(call)
        return
    assert run(call) == 0
    assert read_bundle(tmp_path / "b").manifest.output.labels == (*"012345678", "nine")


FULL_DISK = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing past the limit then fails as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.argv[1:] = sys.argv[2:]
from liteport.runtime.cli import main
main()
"""


def test_a_full_disk_is_one_line_and_leaves_the_old_bundle(tiny_bundle: Path, tiny_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "b"
    out.mkdir()
    for path in tiny_bundle.iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    arguments = ["30000", "export", tiny_run, "--format", "tflite-float32", "--out", out, "--force"]
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_quantization_aware_model_needs_no_data_and_learned_ranges_are_told(
    aware_models: dict[int, Any], tmp_path: Path
) -> None:
    aware_models[4].save(tmp_path / "aware.keras")
    formats = ["--format", "tflite-int8", "--format", "tflite-dynamic"]
    done = liteport("export", "aware.keras", *formats, "--no-verify", "--no-try-tflite-runtime", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "ranges as learned in training, not calibrated: tflite-int8\n" in done.stdout
    assert "calibrated on" not in done.stdout
