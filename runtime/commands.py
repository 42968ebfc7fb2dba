"""`liteport predict` and `doctor`."""

import dataclasses
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from liteport.errors import LiteportError
from liteport.terminal import muted, print_table

from .backends import ENGINES, installed, installed_version
from .cpu import cpu_features, read_cpuinfo, this_cpu
from .loading import load
from .model import Model, Prediction

# Beside the engines: what each extra brings, and the package that shows whether it is there.
_EXTRAS = {
    "image": "Pillow",
    "train": "tensorflow",
    "export": "tf2onnx",
    "micro": "tflite-micro",
    "benchmarks": "psutil",
}


def predict(
    model: Annotated[Path, typer.Argument(help="A bundle, or a .tflite or .onnx file.", metavar="BUNDLE_OR_FILE")],
    images: Annotated[list[Path], typer.Argument(help="Image files.", metavar="IMAGE...")],
    variant: Annotated[str | None, typer.Option(help="The bundle's variant; by default its first.")] = None,
    top_k: Annotated[int, typer.Option(help="How many classes to name.", min=1)] = 3,
    threads: Annotated[int, typer.Option(help="Threads of one inference.", min=1)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line and image.")] = False,
) -> None:
    """Name the likeliest classes of images. Images that cannot be read are told, and the exit code is then 1."""
    failed = False
    answers: list[tuple[Path, list[Prediction]]] = []
    with muted():
        loaded = load(model, variant, threads=threads)
    with loaded:
        for image in images:
            try:
                answers.append((image, loaded.classify(image, top_k)))
            except LiteportError as error:
                failed = True
                print(f"error: {error}", file=sys.stderr)
    if as_json:
        for image, predictions in answers:
            print(
                json.dumps({"image": str(image), "predictions": [dataclasses.asdict(entry) for entry in predictions]})
            )
    elif answers:
        _print_answers(loaded, answers)
    if failed:
        raise typer.Exit(1)


def _print_answers(model: Model, answers: list[tuple[Path, list[Prediction]]]) -> None:
    columns = ["image"]
    for rank in range(1, len(answers[0][1]) + 1):
        columns += ["class" if rank == 1 else f"{rank}.", "probability"]
    rows = [
        [str(image), *(cell for entry in predictions for cell in (entry.label, f"{entry.probability:.4f}"))]
        for image, predictions in answers
    ]
    print_table(f"{model.variant or 'model file'} on {model.backend}", columns, rows)


def doctor() -> None:
    """Show versions, the engines found, the CPU's features, and what to install for what is missing."""
    print(f"liteport {version('liteport')}, Python {platform.python_version()}, {platform.platform()}")
    print(f"CPU: {this_cpu()} ({platform.machine()})")
    print(f"features: {' '.join(cpu_features(read_cpuinfo())) or 'not told by this system'}")
    rows = []
    missing = []
    for engine in ENGINES:
        found = version(engine.package) if installed(engine) else None
        rows.append([f"running {engine.suffix} files", engine.package, found or "not installed"])
        served = any(other.suffix == engine.suffix and installed(other) for other in ENGINES)
        if not served and engine.install not in missing:
            missing.append(engine.install)
    for extra, package in _EXTRAS.items():
        found = installed_version(package)
        rows.append([f"the extra [{extra}]", package, found or "not installed"])
        if found is None:
            missing.append(f'pip install "liteport[{extra}]"')
    print_table("", ("for", "package", "version"), rows, left=3)
    print("to install what is missing:\n" + "\n".join(f"  {line}" for line in missing) if missing else "all is there")
