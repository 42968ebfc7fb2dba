"""What pip made of the wheel's environment markers, and that the command works there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

LISTING = (
    "import json, platform; from importlib.metadata import distributions as d; "
    "print(json.dumps([platform.machine(), platform.python_version(), {x.name.lower(): x.version for x in d()}]))"
)
ENGINES = {"aarch64": ("ai-edge-litert", "tflite-runtime"), "armv7l": ("tflite-runtime", "ai-edge-litert")}


def test_pip_chose_the_engine_by_the_markers(machine: Any, tell: Any) -> None:
    found, python, packages = json.loads(machine.run("python", "-c", LISTING))
    chosen, other = ENGINES[machine.name]
    assert found == machine.name
    assert "liteport" in packages
    assert chosen in packages
    assert other not in packages
    assert not {"tensorflow", "keras"} & set(packages)
    old = int(packages["numpy"].split(".")[0]) < 2
    assert old == (machine.name == "armv7l")  # tflite-runtime was built for NumPy 1
    tell(f"{found}, Python {python}: pip chose {chosen} {packages[chosen]} and numpy {packages['numpy']}")


def test_the_command_names_the_digit(machine: Any, fixtures: Path, tmp_path: Path) -> None:
    with np.load(fixtures / "tiny.npz") as data:
        image, digit = data["x_test"][0], data["y_test"][0]
    Image.fromarray(image).save(tmp_path / "digit.png")
    bundle = fixtures / "bundle"
    output = machine.run("liteport", "predict", bundle, tmp_path / "digit.png", "--variant", "tflite-int8", "--json")
    assert json.loads(output[output.index("{") :])["predictions"][0]["label"] == str(digit)
