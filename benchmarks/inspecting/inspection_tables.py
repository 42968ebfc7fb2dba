"""The tables of `liteport inspect`."""

from collections.abc import Mapping

from liteport.runtime import Manifest
from liteport.runtime.card import TensorSpec
from liteport.runtime.contents import Tensor
from liteport.runtime.summary import edges, notes
from liteport.terminal import print_table

from .diagnosis import CAUSES, Evidence, decibels, diagnose, title, worst_findings
from .file_facts import FileFacts

_UNKNOWN = "not stated"
_FLOAT_ROUNDING = 120  # dB: noise this small comes from the last bits of float32


def print_manifest(manifest: Manifest) -> None:
    """Prints what a bundle holds, a line for each variant."""
    print(f"{manifest.name}: exported {manifest.created} from {manifest.source.file or 'a live model'}")
    print("\n".join(edges(manifest)))
    rows = []
    for variant in manifest.variants:
        spec, found = variant.inputs[0], variant.verification
        row = [variant.id, variant.scheme, f"{variant.total_bytes / 1000:,.1f}", spec.dtype, _spec_quantization(spec)]
        if found is not None:
            accuracy = "" if found.accuracy is None else f"{found.accuracy:.2%}"
            row += [f"{found.max_abs_error:.2g}", f"{found.top1_agreement:.2%}", accuracy]
        rows.append(row)
    figures = ("size (kB)", "input", "quantization", "largest error", "top-1 agreement", "accuracy")
    print_table("", ("variant", "scheme", *figures), rows, left=2)
    for line in notes(manifest):
        print(line)


def print_facts(name: str, facts: FileFacts, *, tensors: bool) -> None:
    """Prints what is in a model file.

    Args:
        name: What stands above it.
        facts: What was read.
        tensors: Whether to list every tensor.
    """
    print(f"{name}: {facts.size_bytes:,} bytes, SHA-256 {facts.sha256}")
    if facts.format != "ncnn":  # which has no place for it
        print(f"made by {facts.producer or 'a program that does not say'}")
    if facts.format == "tflite":
        print(f"minimum runtime: TensorFlow Lite {facts.minimum_runtime or _UNKNOWN}")
    elif facts.format == "onnx":
        opsets = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in facts.opsets.items())
        print(f"opset {opsets}; IR version {facts.ir_version}")
    if facts.embedded is not None:
        said = {key: value for key, value in facts.embedded.items() if isinstance(value, str) and key != "sha256"}
        print(f"says of itself: {_counted(said)}; digest right")
    print(f"tensors: {_counted({dtype or _UNKNOWN: count for dtype, count in facts.dtypes.items()})}")
    print(f"constants: {_counted({dtype: f'{size:,} bytes' for dtype, size in facts.constant_bytes.items()})}")
    print(f"quantized: {facts.per_tensor} tensors with one scale, {facts.per_channel} with one a channel")
    print(
        f"conversions: {facts.quantize_ops} quantize, {facts.dequantize_ops} dequantize ({facts.qdq_pairs} Q/DQ "
        f"pairs); {facts.dequantized_constants} constants are dequantized"
    )
    print(f"left in float: {_float_ops(facts)}")
    rows = [
        [f"{kind} {tensor.name}", *_cells(tensor)]
        for kind, entries in (("input", facts.inputs), ("output", facts.outputs))
        for tensor in entries
    ]
    print_table("", ("tensor", "dtype", "shape", "quantization"), rows, left=4)
    counts = [[op.kind, "" if op.version is None else str(op.version), str(op.count)] for op in facts.ops]
    print_table("", ("operation", "version", "count"), counts)
    if tensors:
        listed = [[tensor.name, *_cells(tensor), f"{tensor.size_bytes:,}"] for tensor in facts.tensors]
        print_table("", ("tensor", "dtype", "shape", "quantization", "constant (bytes)"), listed, left=4)


def print_comparison(evidence: Evidence) -> None:
    """Prints a comparison layer by layer, the worst layers, and the diagnosis."""
    found, facts = evidence.comparison, evidence.facts
    print(
        f"{evidence.quantized} beside {evidence.reference} on {found.samples} images of {evidence.data}: "
        f"{found.matched} of {found.tensors} tensors matched by name"
    )
    rows = []
    for layer in found.layers:
        weights = layer.weights
        kind = "" if weights is None else weights.dtype
        if weights is not None and not kind.startswith("float"):
            kind += ", per channel" if weights.per_channel else ", per tensor"
        saturation = "float" if layer.saturation is None else f"{100 * layer.saturation:.3g}"
        own = "none" if layer.own_snr_db > _FLOAT_ROUNDING else decibels(layer.own_snr_db)
        ratios = [decibels(layer.snr_db), own, decibels(layer.grid_snr_db), saturation]
        errors = [f"{layer.max_abs_error:.3g}", f"{layer.mean_abs_error:.2g}"]
        rows.append([layer.layer, layer.op, *ratios, *errors, kind, decibels(weights.snr_db) if weights else ""])
    ratios = ["SNR (dB)", "own SNR (dB)", "range's SNR (dB)", "saturated (%)"]
    columns = ("layer", "operation", *ratios, "largest error", "mean error", "weights", "weights' SNR (dB)")
    print_table("", columns, rows, left=2)
    print(
        "SNR: signal-to-noise ratio; own: what it would be had the layer's inputs been exact (none: it adds no noise); "
        "range's: what rounding to the steps of its range leaves"
    )
    worst = worst_findings(evidence.findings)
    print(f"worst layers{':' if worst else ': none adds noise'}")
    for rank, finding in enumerate(worst, 1):
        print(f"  {rank}. {title(finding)}: {CAUSES[finding.cause](finding)}")
    print(f"left in float: {_float_ops(facts)}")
    print(f"Q/DQ pairs: {facts.qdq_pairs}; conversions of values: {facts.quantize_ops + facts.dequantize_ops}")
    print("\n".join(diagnose(evidence)))


def _float_ops(facts: FileFacts) -> str:
    if not facts.per_tensor + facts.per_channel:
        return "all, as nothing is quantized"
    named = [
        f"{op.kind} ({op.layer.strip('()')}){' with integer weights' if op.hybrid else ''}" for op in facts.float_ops
    ]
    return ", ".join(named) or "none"


def _cells(tensor: Tensor) -> list[str]:
    shape = " x ".join("N" if size is None else str(size) for size in tensor.shape) or "scalar"
    if not tensor.scales:
        quantization = ""
    elif len(tensor.scales) == 1:
        quantization = f"scale {tensor.scales[0]:.6g}, zero point {(*tensor.zero_points, 0)[0]}"
    else:
        low, high = min(tensor.scales), max(tensor.scales)
        quantization = f"{len(tensor.scales)} scales from {low:.3g} to {high:.3g} along dimension {tensor.axis}"
    return [tensor.dtype or _UNKNOWN, shape, quantization]


def _spec_quantization(spec: TensorSpec) -> str:
    return "" if spec.scale is None else f"scale {spec.scale:.6g}, zero point {spec.zero_point}"


def _counted(entries: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in entries.items()) or "none"
