"""The built wheel in an empty environment, as a device has it: no TensorFlow, no ONNX Runtime."""

import json
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from liteport.runtime import load
from liteport.train import load_dataset

ROOT = Path(__file__).resolve().parent.parent
PIP = ["-m", "pip", "-q", "--disable-pip-version-check"]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy, so that the checkout's own build folder is left alone."""
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "demo", "tests")
    shutil.copytree(ROOT, folder / "source", ignore=ignored)
    call = [sys.executable, *PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, folder / "source"]
    subprocess.run(call, check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def device(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment that has the wheel and its extra for images."""
    folder = tmp_path_factory.mktemp("device")
    venv.create(folder, with_pip=False)
    install = ["--python", folder, "install", "--no-compile", "-c", ROOT / "constraints.txt", f"{wheel}[image]"]
    subprocess.run([sys.executable, *PIP, *install], check=True)
    return folder / "bin"


def liteport(device: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([device / "liteport", *map(str, arguments)], capture_output=True, text=True, check=False)


def test_the_wheel_is_small_and_has_one_top_level_name(wheel: Path) -> None:
    entries = zipfile.ZipFile(wheel).infolist()
    names = [entry.filename for entry in entries]
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"liteport"}
    assert "liteport/__init__.py" not in names  # a namespace package
    assert {f"liteport/{package}/py.typed" for package in ("train", "export", "runtime", "benchmarks")} <= set(names)
    assert not [name for name in names if name.endswith(".npz")]
    beside_code = ("reports/page.css", "reports/page.js", "devices/instructions.c")
    assert {f"liteport/benchmarks/{name}" for name in beside_code} <= set(names)
    for folder in ("export/web/static", "export/web/licenses"):
        assert {f"liteport/{folder}/{path.name}" for path in (ROOT / folder).iterdir()} <= set(names)
    # What a device uses: the runtime and the modules that all packages share. The rest of the wheel is as large again,
    # and numpy and an engine, which it brings, are a hundred times that.
    tools = ("liteport/train/", "liteport/export/", "liteport/benchmarks/")
    assert sum(entry.compress_size for entry in entries if not entry.filename.startswith(tools)) < 200_000


def test_the_wheel_predicts_without_tensorflow(
    device: Path, tiny_bundle: Path, tiny_data: Path, tmp_path: Path
) -> None:
    absent = "import importlib.util as u; print([m for m in ('tensorflow', 'keras', 'onnxruntime') if u.find_spec(m)])"
    found = subprocess.run([device / "python", "-c", absent], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
    image = load_dataset(tiny_data).test.images[0]
    Image.fromarray(image[..., 0]).save(tmp_path / "digit.png")
    done = liteport(device, "predict", tiny_bundle, tmp_path / "digit.png", "--variant", "tflite-int8", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    with load(tiny_bundle, "tflite-int8") as model:
        expected = model.classify(image)
    answers = json.loads(done.stdout)["predictions"]
    assert [(entry["label"], entry["probability"]) for entry in answers] == [
        (entry.label, entry.probability) for entry in expected
    ]


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (["predict", "BUNDLE", "IMAGE", "--variant", "onnx-int8"], "onnx"),
        (["train", "--data", "DATA", "--out", "OUT"], "train"),
        (["export", "BUNDLE", "--out", "OUT"], "export"),
        (["bench", "BUNDLE", "--data", "DATA", "--out", "OUT"], "benchmarks"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else value,
)
def test_what_is_missing_is_told_with_the_line_that_installs_it(
    device: Path, tiny_bundle: Path, tiny_data: Path, tmp_path: Path, command: list[str], extra: str
) -> None:
    paths = {"BUNDLE": tiny_bundle, "DATA": tiny_data, "IMAGE": tiny_data, "OUT": tmp_path / "out"}
    done = liteport(device, *(paths.get(word, word) for word in command))
    assert done.returncode == 1
    assert f'pip install "liteport[{extra}]"' in done.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_doctor_says_what_to_install(device: Path) -> None:
    done = liteport(device, "doctor")
    assert done.returncode == 0
    for extra in ("onnx", "train", "export", "benchmarks"):
        assert f'pip install "liteport[{extra}]"' in done.stdout
    assert 'pip install "liteport[image]"' not in done.stdout
