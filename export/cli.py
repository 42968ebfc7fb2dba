"""`liteport export`."""

from dataclasses import replace
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from liteport.errors import InvalidInputError, NotFoundError
from liteport.runtime import Manifest, Variant
from liteport.runtime.summary import notes
from liteport.terminal import print_table, progress


class Method(str, Enum):
    """Calibration methods, for the command line's own check and help."""

    minmax = "minmax"
    percentile = "percentile"
    entropy = "entropy"


class Target(str, Enum):
    """Kinds of processors."""

    x86 = "x86"
    arm = "arm"


def export(
    model: Annotated[
        str,
        typer.Argument(help="A .keras or .h5 file, a SavedModel folder, or the folder that `liteport train` wrote."),
    ],
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="A variant id such as tflite-int8, or all; may be given several times."),
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            help="Data for the integer formats: a data set such as mnist, an .npz or .npy file, or a folder of "
            "images; a run's own data set by default. A quantization-aware model's ranges are learned; tflite-int16x8 "
            "alone is calibrated."
        ),
    ] = None,
    calibration_count: Annotated[int, typer.Option(help="Samples to calibrate on, drawn from the train split.")] = 500,
    calibration_method: Annotated[
        Method, typer.Option(help="How ONNX variants take ranges from them; TFLite's converter has minmax alone.")
    ] = Method.minmax,
    check_calibration: Annotated[
        bool, typer.Option(help="Calibrate on each half of the data as well, and tell how far the results differ.")
    ] = True,
    verify: Annotated[
        bool, typer.Option(help="Compare each variant with Keras; without, the manifest shows that none was.")
    ] = True,
    verify_data: Annotated[
        str | None, typer.Option(help="What to compare on, as --calibration; by default what that holds out.")
    ] = None,
    verify_count: Annotated[int, typer.Option(help="Held-out samples to compare each variant with Keras on.")] = 1000,
    max_drop: Annotated[
        float | None,
        typer.Option(
            help="Let int8 variants keep their most sensitive layers in float, as few as it takes for accuracy to drop "
            "by at most so many points.",
            min=0,
        ),
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="Text file with one class name a line.")] = None,
    scale: Annotated[
        str | None, typer.Option(help="Model input = pixel × scale + offset; a number or fraction such as 1/255.")
    ] = None,
    offset: Annotated[str | None, typer.Option(help="See --scale.")] = None,
    batch: Annotated[int | None, typer.Option(help="A fixed batch size; by default the model's own.", min=1)] = None,
    opset: Annotated[int | None, typer.Option(help="Version of ONNX's operator set.")] = None,
    target: Annotated[Target, typer.Option(help="What kind of processor onnx-int8 is meant for.")] = Target.x86,
    vnni: Annotated[
        bool, typer.Option(help="Whether that processor has VNNI, as x86 servers since 2019; without, 7-bit weights.")
    ] = True,
    custom_objects: Annotated[
        list[str] | None,
        typer.Option(help="A layer or function that is not Keras's own, as module:name; may be given several times."),
    ] = None,
    safe_mode: Annotated[
        bool, typer.Option(help="Refuse model files that bring code of their own (Lambda layers).")
    ] = True,
    try_tflite_runtime: Annotated[
        bool, typer.Option(help="Try TFLite files in tflite-runtime 2.14 as well, in an environment in your cache.")
    ] = True,
    mobile: Annotated[
        bool, typer.Option(help="Add the official TFLite Metadata, which Android's and MediaPipe's libraries read.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Which samples are drawn.")] = 0,
    out: Annotated[Path, typer.Option(help="The bundle's folder.")] = Path("bundle"),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
) -> None:
    """Export a Keras model to TensorFlow Lite and ONNX variants, each verified against it."""
    from .exporter import export as export_bundle
    from .onnx import OnnxOptions
    from .running import LEARNED

    if verify_data is not None and not verify:
        raise InvalidInputError("--verify-data and --no-verify exclude each other")
    preprocessing = None
    if scale is not None or offset is not None:
        preprocessing = {
            "scale": _number("1" if scale is None else scale),
            "offset": _number("0" if offset is None else offset),
        }
    onnx = OnnxOptions(calibration_method=calibration_method.value, target=target.value, vnni=vnni)
    with progress() as show:
        bundle = export_bundle(
            model,
            out,
            formats=formats or "all",
            calibration=calibration,
            labels=None if labels is None else _read_labels(labels),
            preprocessing=preprocessing,
            verify=verify_data if verify else False,
            seed=seed,
            force=force,
            calibration_count=calibration_count,
            verify_count=verify_count,
            check_calibration=check_calibration,
            max_drop=max_drop,
            batch=batch,
            onnx=onnx if opset is None else replace(onnx, opset=opset),
            custom_objects=custom_objects,
            safe_mode=safe_mode,
            try_tflite_runtime=try_tflite_runtime,
            mobile=mobile,
            progress=show,
        )
    _print_table(bundle.manifest)
    if learned := [variant.id for variant in bundle.manifest.variants if variant.scheme.endswith(LEARNED)]:
        typer.echo(f"ranges as learned in training, not calibrated: {', '.join(learned)}")
    for line in notes(bundle.manifest):
        typer.echo(line)
    typer.echo(f"wrote {out}{_size_note(bundle.manifest)}")
    typer.echo(f"next: liteport bench {out}")


def _number(text: str) -> float:
    try:
        over, slash, under = text.partition("/")
        return float(Fraction(over) / Fraction(under if slash else 1))
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise InvalidInputError(f"{text!r} is no number; expected one such as 0.5 or 1/255") from error


def _read_labels(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # Windows's editors begin a text with a mark
    except FileNotFoundError as error:
        raise NotFoundError(f"{path} does not exist; expected a text file with one class name a line") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} is no UTF-8 text; expected one class name a line") from error
    while lines and not lines[-1].strip():
        del lines[-1]
    return [line.strip() for line in lines]


def _size_note(manifest: Manifest) -> str:
    total = sum(variant.total_bytes for variant in manifest.variants)
    return f": {len(manifest.variants)} variants, {total / 1e6:.1f} MB"


def _print_table(manifest: Manifest) -> None:
    first = manifest.variants[0].verification
    title = f"{manifest.name}: held against Keras on {first.samples} samples ({first.data})" if first else manifest.name
    columns = (
        "variant",
        "size (kB)",
        "largest error",
        "mean error",
        "top-1 agreement",
        "accuracy",
        "accuracy of Keras",
        "won / lost",
        "p",
        "samples",
    )
    print_table(title, columns, [_row(variant) for variant in manifest.variants])


def _row(variant: Variant) -> list[str]:
    row = [variant.id, f"{variant.total_bytes / 1000:,.1f}"]
    if (found := variant.verification) is None:
        return [*row, "not verified"]
    row += [f"{found.max_abs_error:.2g}", f"{found.mean_abs_error:.2g}", f"{found.top1_agreement:.2%}"]
    row += [_percent(found.accuracy), _percent(found.reference_accuracy)]
    row += ["" if found.won is None else f"{found.won} / {found.lost}"]
    return [*row, "" if found.mcnemar_p is None else f"{found.mcnemar_p:.2g}", str(found.samples)]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"
