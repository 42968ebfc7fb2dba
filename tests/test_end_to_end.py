"""The whole path by the commands that a user types, each in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from liteport.benchmarks import read_report
from liteport.train import load_dataset

VARIANTS = ("tflite-float32", "tflite-int8", "onnx-int8")  # all of them: `tiny_bundle`, and the tests of benchmarks


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workplace")


@pytest.fixture(scope="module")
def small_data(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_data` at half the resolution, at which the design has a tenth of the work."""
    path = tmp_path_factory.mktemp("small") / "small.npz"
    with np.load(tiny_data) as data:
        np.savez(path, **{name: data[name][:, ::2, ::2] if name.startswith("x") else data[name] for name in data})
    return path


def liteport(workplace: Path, *arguments: object) -> str:
    call = [sys.executable, "-m", "liteport.runtime", *map(str, arguments)]
    users = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(call, capture_output=True, text=True, cwd=workplace, env=users, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "I0000" not in done.stdout + done.stderr  # TensorFlow's chatter
    return done.stdout


def test_train_export_predict_bench(workplace: Path, small_data: Path) -> None:
    """One test, as each command needs what the one before has written and named."""
    printed = liteport(workplace, "train", "--data", small_data, "--epochs", 2, "--precision", "float32")
    assert "Conv2D" in printed  # the summary
    assert "next: liteport export " in printed
    record = json.loads((workplace / "run" / "training.json").read_text())
    assert record["status"] == "finished"
    # 17 steps an epoch on 1,100 images: far from what the design can do, far above the 10 % of guessing
    assert record["test"]["accuracy"] > 0.5

    formats = [word for name in VARIANTS for word in ("--format", name)]
    printed = liteport(workplace, "export", "run", *formats, "--calibration-count", 100, "--verify-count", 50)
    assert "wrote bundle: 3 variants" in printed

    digit = load_dataset(small_data).test.images[0, ..., 0]
    Image.fromarray(digit).save(workplace / "digit.png")
    printed = liteport(workplace, "predict", "bundle", "digit.png", "--variant", "tflite-int8", "--json")
    answer = json.loads(printed)
    assert answer["image"] == "digit.png"
    assert len(answer["predictions"]) == 3

    printed = liteport(workplace, "bench", "bundle", "--runs", 10, "--launches", 2, "--robustness", 50)
    assert all(name in printed for name in VARIANTS)
    assert {row.variant for row in read_report(workplace / "report").rows if row.measurement} == set(VARIANTS)
    assert (workplace / "report" / "report.md").read_text().count("tflite-int8") >= 1

    printed = liteport(workplace, "choose", "report", "--max-latency", "9s", "--prefer", "size")
    assert "-int8: " in printed.splitlines()[-2]  # "ship ONE: why": a quarter of float32's size

    assert "tflite-int8" in liteport(workplace, "inspect", "bundle")
    assert sorted(path.name for path in workplace.iterdir()) == ["bundle", "digit.png", "report", "run"]
