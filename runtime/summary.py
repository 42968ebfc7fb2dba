"""What a manifest says beside its table of variants, in sentences."""

from collections.abc import Iterator

from .card import InputInfo, OutputInfo
from .layer_names import parts
from .manifest import Manifest
from .records import CalibrationInfo, Selection


def edges(manifest: Manifest) -> list[str]:
    """Returns a line for each input and output of the model."""
    inputs, outputs = (manifest.input, *manifest.other_inputs), (manifest.output, *manifest.other_outputs)
    return [*map(_input, inputs), *map(_output, outputs)]


def notes(manifest: Manifest) -> list[str]:
    """Returns lines on calibration, layers kept in float, runtimes that fail, and formats that were left out."""
    lines = [] if manifest.calibration is None else list(_calibration(manifest.calibration))
    for variant in manifest.variants:
        if variant.selection is not None:
            lines.append(f"{variant.id}: {_selection(variant.selection)}")
    trials = [trial for variant in manifest.variants for trial in variant.runtimes if not trial.ran]
    for trial in dict.fromkeys(trials):
        concerned = ", ".join(variant.id for variant in manifest.variants if trial in variant.runtimes)
        outcome = "not tried in" if trial.ran is None else "not run by"
        lines.append(f"{outcome} {trial.name} {trial.version}: {concerned} ({trial.note})")
    return lines + [f"left out: {refused.id}: {refused.reason}" for refused in manifest.refused]


def _input(info: InputInfo) -> str:
    pixels = info.preprocessing
    change = "" if (pixels.scale, pixels.offset) == (1.0, 0.0) else f" = pixel x {pixels.scale} + {pixels.offset}"
    color = "" if info.color == "other" else f"{info.color} "
    return f"input {info.name}: {color}{_shape(info.shape)} {info.dtype}{change}"


def _output(info: OutputInfo) -> str:
    labels = info.labels or ()
    shown = f"; {', '.join(labels[:10])}{', …' if len(labels) > 10 else ''}" if labels else ""
    activation = "" if info.activation == "other" else f" ({info.activation})"
    return f"output {info.name}: {_shape(info.shape)}{activation}{shown}"


def _shape(shape: tuple[int | None, ...]) -> str:
    return " x ".join("N" if size is None else str(size) for size in shape)


def _calibration(data: CalibrationInfo) -> Iterator[str]:
    yield f"calibrated on {data.count} samples of {data.source} ({data.split}), seed {data.seed}, {data.method}"
    if (found := data.stability) is not None:
        outputs = found.mean_output_difference
        yield (
            f"calibration on one half of them against the other ({found.variant}): ranges differ by "
            f"{found.median_range_difference:.1%} (median), {found.max_range_difference:.1%} "
            f"(most: {parts(found.tensor)[0]})"
        ) + ("" if outputs is None else f"; outputs by {outputs:.2g} on average")


def _selection(found: Selection) -> str:
    data = f"({found.samples} samples, {found.data})"
    if not found.float_layers:
        return f"every layer is quantized; accuracy drops by {found.drop:.2f} points {data}"
    names = ", ".join(f"{layer.layer} ({layer.cause})" for layer in found.float_layers)
    return f"kept in float: {names}; accuracy drops by {found.drop:.2f} points instead of {found.full_drop:.2f} {data}"
