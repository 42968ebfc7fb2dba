"""`liteport inspect`: what a bundle or a model file holds, and how far a quantized file is from its float original."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer

from liteport.errors import InvalidInputError
from liteport.runtime import read_bundle
from liteport.terminal import ProgressCallback, muted, progress

from .diagnosis import Evidence, diagnose
from .inspection_tables import print_comparison, print_facts, print_manifest


def inspect(
    path: Annotated[
        Path, typer.Argument(help="A bundle, or a .tflite, .onnx, .param or .mnn.", metavar="BUNDLE_OR_FILE")
    ],
    variant: Annotated[
        str | None, typer.Option(metavar="ID", help="The bundle's variant whose file is shown.", show_default=False)
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="ID_OR_FILE",
            help="A quantized variant of the same bundle, or a file, to compare layer by layer. A bundle is taken as "
            "its float32 variant of the same engine, if --variant does not name another.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Data set whose validation split --compare uses. By default the one the model was trained on.",
            show_default=False,
        ),
    ] = None,
    count: Annotated[int, typer.Option(help="How many images --compare uses.", min=1)] = 200,
    tensors: Annotated[bool, typer.Option("--tensors", help="List every tensor of the file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a bundle or a model file holds, or why a quantized variant is less accurate or slower here."""
    if compare is not None:
        with progress() as show:
            evidence = gather(path, variant, compare, data, count, show)
        print(_json(_document(evidence))) if as_json else print_comparison(evidence)
        return
    if data is not None:
        raise InvalidInputError("--data is for --compare; name the variant or file to compare with")
    if path.is_dir() and variant is None:
        bundle = read_bundle(path)
        bundle.check()  # a damaged file is told here, not later on the device
        print(bundle.manifest.to_json(), end="") if as_json else print_manifest(bundle.manifest)
        return
    from .file_facts import read_facts
    from .sides import read_side

    side = read_side(path, variant)
    facts = read_facts(side.content, side.suffix)
    print(_json({"file": str(path), **_fields(facts)})) if as_json else print_facts(side.name, facts, tensors=tensors)


def gather(
    path: Path, variant: str | None, compare: str, data: str | None, count: int, show: ProgressCallback
) -> Evidence:
    """Compares two files and times them; see `inspect` for the arguments.

    Raises:
        NotFoundError: If a file or the data does not exist.
        InvalidInputError: If a name is unknown, the files are not of one engine or model, or the data does not fit.
        IntegrityError: If a bundle or a file is damaged.
        BackendError: If the engine fails.
    """
    from liteport.runtime.causes import rank_layers
    from liteport.runtime.comparison import compare_files
    from liteport.runtime.cpu import cpu_features, read_cpuinfo
    from liteport.runtime.noise import snr_db

    from ..accuracy import compare as compare_answers
    from .file_facts import read_facts
    from .pace import measure, profile_onnx
    from .sides import choose_questions, choose_sides

    reference, quantized = choose_sides(path, variant, compare)
    facts = read_facts(quantized.content, quantized.suffix)
    with reference.load() as exact, quantized.load() as noisy:
        asked = choose_questions(reference, quantized, (exact, noisy), data, count)
        with muted():
            comparison = compare_files(
                reference.content, quantized.content, quantized.suffix, {exact.input.name: asked.real}, progress=show
            )
        answers = [next(iter(model.run({model.input.name: asked.real}).values())) for model in (exact, noisy)]
        pace = measure(exact, noisy, asked.pixels[0] if asked.raw else asked.real[0])
        engines = exact.backend, noisy.backend
    one = {exact.input.name: asked.real[:1].astype(noisy.inputs[0].dtype)}
    return Evidence(
        reference=reference.name,
        quantized=quantized.name,
        data=f"{asked.data} (validation)",
        facts=facts,
        comparison=comparison,
        findings=rank_layers(comparison),
        accuracy=compare_answers(answers[1].argmax(axis=-1), answers[0].argmax(axis=-1), asked.labels),
        output_snr_db=snr_db(*answers),
        pace=pace,
        engines=engines,
        profile=profile_onnx(quantized.content, one) if quantized.suffix == ".onnx" else (),
        cpu_features=cpu_features(read_cpuinfo()),
    )


def _document(evidence: Evidence) -> dict[str, Any]:
    ranked = [
        {"layer": entry.layer.layer, "tensor": entry.layer.tensor, "noise": entry.noise, "cause": entry.cause}
        for entry in evidence.findings
    ]
    fields = {**_fields(evidence), "findings": ranked, "diagnosis": diagnose(evidence)}
    del fields["facts"]["tensors"]
    return fields


def _fields(value: Any) -> dict[str, Any]:
    """A dataclass's fields by name; what dataclasses.asdict would copy, mappings are kept."""
    fields: dict[str, Any] = dataclasses.asdict(value)
    return fields


def _json(document: Any) -> str:
    return json.dumps(_finite(document), indent=2, ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    """JSON has no infinity: a ratio without noise, or without signal, becomes null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
