"""The whole path by the commands that a user types, each in a process of its own."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from liteport.export import FORMATS
from liteport.train import load_dataset


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workplace")


def liteport(workplace: Path, *arguments: object) -> str:
    call = [sys.executable, "-m", "liteport.runtime", *map(str, arguments)]
    done = subprocess.run(call, capture_output=True, text=True, cwd=workplace, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "I0000" not in done.stdout + done.stderr  # TensorFlow's chatter
    return done.stdout


def test_train_export_predict_bench(workplace: Path, tiny_data: Path) -> None:
    """One test, as each command needs what the one before has written and named."""
    printed = liteport(workplace, "train", "--data", tiny_data, "--epochs", 2, "--precision", "float32")
    assert "Conv2D" in printed  # the summary
    assert "next: liteport export " in printed
    record = json.loads((workplace / "run" / "training.json").read_text())
    assert record["status"] == "finished"
    # 17 steps an epoch on 1,100 images: far from what the design can do, far above the 10 % of guessing
    assert record["test"]["accuracy"] > 0.5

    printed = liteport(workplace, "export", "run", "--calibration-count", 100, "--verify-count", 50)
    assert re.search(r"wrote bundle: 11 variants", printed)

    digit = load_dataset(tiny_data).test.images[0, ..., 0]
    Image.fromarray(digit).save(workplace / "digit.png")
    printed = liteport(workplace, "predict", "bundle", "digit.png", "--variant", "tflite-int8", "--json")
    answer = json.loads(printed)
    assert answer["image"] == "digit.png"
    assert len(answer["predictions"]) == 3

    printed = liteport(workplace, "bench", "bundle", "--rounds", 2, "--runs", 5)
    assert all(variant.id in printed for variant in FORMATS.values() if not variant.source_code)
    report = json.loads((workplace / "report" / "report.json").read_text())
    assert report["schema_version"] == 1
    assert (workplace / "report" / "report.md").read_text().count("tflite-int8") >= 1

    assert "tflite-int8" in liteport(workplace, "inspect", "bundle")
    assert sorted(path.name for path in workplace.iterdir()) == ["bundle", "digit.png", "report", "run"]
