"""`liteport predict`, `inspect` and `doctor`."""

import dataclasses
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from liteport.errors import LiteportError
from liteport.files import sha256_of
from liteport.terminal import muted, print_table

from .backends import ENGINES, installed, installed_version
from .bundle import read_bundle
from .cpu import cpu_features, read_cpuinfo, this_cpu
from .loading import load
from .manifest import Manifest, TensorSpec
from .model import Model, Prediction

# Beside the engines: what each extra brings, and the package that shows whether it is there.
_EXTRAS = {
    "image": "Pillow",
    "train": "tensorflow",
    "export": "tf2onnx",
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


def inspect(
    path: Annotated[Path, typer.Argument(help="A bundle, or a .tflite or .onnx file.", metavar="BUNDLE_OR_FILE")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a bundle or a model file holds."""
    if path.is_dir():
        bundle = read_bundle(path)
        for variant in bundle.manifest.variants:
            bundle.read(variant.id)  # a damaged file is told here, not later on the device
        print(bundle.manifest.to_json(), end="") if as_json else _print_manifest(bundle.manifest)
        return
    with muted():
        model = load(path)
    with model:
        facts: dict[str, Any] = {
            "file": str(path),
            "sha256": sha256_of(path),
            "size_bytes": path.stat().st_size,
            "backend": str(model.backend),
            "inputs": [dataclasses.asdict(spec) for spec in model.inputs],
            "outputs": [dataclasses.asdict(spec) for spec in model.outputs],
        }
        if as_json:
            print(json.dumps(facts, indent=2))
            return
        rows = [
            [f"{kind} {spec.name}", spec.dtype, _shape(spec), _quantization(spec)]
            for kind, specs in (("input", model.inputs), ("output", model.outputs))
            for spec in specs
        ]
        title = f"{path}: {facts['size_bytes']:,} bytes, runs on {model.backend}"
        print_table(title, ("tensor", "dtype", "shape", "quantization"), rows, left=4)


def _print_manifest(manifest: Manifest) -> None:
    shape = "x".join(str(size) for size in manifest.input.shape[1:])
    classes = f"{manifest.output.shape[-1]} classes"
    print(f"{manifest.name}: {manifest.input.color} {shape} in, {classes} out ({manifest.output.activation})")
    print(f"exported {manifest.created} from {manifest.source.file or 'a live model'}")
    pixels = manifest.input.preprocessing
    print(f"model input = pixel x {pixels.scale} + {pixels.offset}")
    if manifest.output.labels:
        print(f"labels: {', '.join(manifest.output.labels[:10])}{', …' if len(manifest.output.labels) > 10 else ''}")
    if (data := manifest.calibration) is not None:
        print(f"calibrated on {data.count} images of {data.source} ({data.split}), seed {data.seed}")
    rows = []
    for variant in manifest.variants:
        spec, found = variant.inputs[0], variant.verification
        row = [variant.id, variant.scheme, f"{variant.size_bytes / 1000:,.1f}", spec.dtype, _quantization(spec)]
        if found is not None:
            accuracy = "" if found.accuracy is None else f"{found.accuracy:.2%}"
            row += [f"{found.max_abs_error:.2g}", f"{found.top1_agreement:.2%}", accuracy]
        rows.append(row)
    figures = ("size (kB)", "input", "quantization", "largest error", "top-1 agreement", "accuracy")
    print_table("", ("variant", "scheme", *figures), rows, left=2)


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


def _shape(spec: TensorSpec) -> str:
    return " x ".join("N" if size is None else str(size) for size in spec.shape)


def _quantization(spec: TensorSpec) -> str:
    return "" if spec.scale is None else f"scale {spec.scale:.6g}, zero point {spec.zero_point}"
