"""`liteport export`."""

from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from liteport.errors import InvalidInputError, NotFoundError
from liteport.runtime import Manifest
from liteport.terminal import print_table, progress


def export(
    model: Annotated[str, typer.Argument(help="A .keras or .h5 file, or the folder that `liteport train` wrote.")],
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="A variant id such as tflite-int8, or all; may be given several times."),
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(help="Data set for the integer formats, such as mnist or a .npz; a run's own by default."),
    ] = None,
    calibration_count: Annotated[int, typer.Option(help="Images to calibrate on, drawn from the train split.")] = 500,
    verify_count: Annotated[int, typer.Option(help="Held-out images to compare each variant with Keras on.")] = 1000,
    labels: Annotated[Path | None, typer.Option(help="Text file with one class name a line.")] = None,
    scale: Annotated[
        str | None, typer.Option(help="Model input = pixel × scale + offset; a number or fraction such as 1/255.")
    ] = None,
    offset: Annotated[str | None, typer.Option(help="See --scale.")] = None,
    seed: Annotated[int, typer.Option(help="Which images are drawn.")] = 0,
    out: Annotated[Path, typer.Option(help="The bundle's folder.")] = Path("bundle"),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
) -> None:
    """Export a Keras classifier to TensorFlow Lite and ONNX variants, each verified against it."""
    from .exporter import export as export_bundle

    preprocessing = None
    if scale is not None or offset is not None:
        preprocessing = {"scale": _number(scale or "1"), "offset": _number(offset or "0")}
    with progress() as show:
        bundle = export_bundle(
            model,
            out,
            formats=formats or "all",
            calibration=calibration,
            labels=None if labels is None else _read_labels(labels),
            preprocessing=preprocessing,
            seed=seed,
            force=force,
            calibration_count=calibration_count,
            verify_count=verify_count,
            progress=show,
        )
    _print_table(bundle.manifest)
    if (data := bundle.manifest.calibration) is not None:
        typer.echo(f"calibrated on {data.count} images of {data.source} ({data.split}), seed {data.seed}")
    typer.echo(f"wrote {out}{_size_note(bundle.manifest)}")
    typer.echo(f"next: liteport bench {out}")


def _number(text: str) -> float:
    try:
        return float(Fraction(text))
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise InvalidInputError(f"{text!r} is no number; expected one such as 0.5 or 1/255") from error


def _read_labels(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise NotFoundError(f"{path} does not exist; expected a text file with one class name a line") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} is no UTF-8 text; expected one class name a line") from error


def _size_note(manifest: Manifest) -> str:
    total = sum(variant.size_bytes for variant in manifest.variants)
    return f": {len(manifest.variants)} variants, {total / 1e6:.1f} MB"


def _print_table(manifest: Manifest) -> None:
    first = manifest.variants[0].verification
    title = f"{manifest.name}: held against Keras on {first.samples} images ({first.data})" if first else manifest.name
    rows = []
    for variant in manifest.variants:
        row = [variant.id, f"{variant.size_bytes / 1000:,.1f}"]
        if (found := variant.verification) is not None:
            row += [f"{found.max_abs_error:.2g}", f"{found.top1_agreement:.2%}"]
            row += [_percent(found.accuracy), _percent(found.reference_accuracy)]
        rows.append(row)
    columns = ("variant", "size (kB)", "largest error", "top-1 agreement", "accuracy", "accuracy of Keras")
    print_table(title, columns, rows)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"
