"""Selective quantization of a variant: from the search in `selective` to the file and what the manifest says of it."""

import math
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from liteport.errors import InvalidInputError
from liteport.runtime.causes import rank_layers
from liteport.runtime.comparison import compare_files
from liteport.runtime.contents import read_contents
from liteport.runtime.records import FloatLayer, Selection

from .formats import FORMATS, Format
from .job import Job
from .running import runner
from .selective import Unit, select, units_of, values_of
from .verify import top_class

_RANKING_COUNT = 64


def quantized_selectively(
    job: Job, row: Format, feeds: Mapping[str, NDArray[Any]] | None, max_drop: float
) -> tuple[bytes, Selection]:
    """Quantizes all layers but those that cost too much accuracy.

    Args:
        job: The export.
        row: A format with a float form.
        feeds: Calibration data; None where ranges were learned.
        max_drop: The drop of accuracy that is let through, in points.

    Raises:
        InvalidInputError: If there are no labelled samples to measure the drop on.
        VerificationError: If even with all layers in float the drop is larger.
    """
    traced, reference = job.traced_for(row), job.reference_for(row)
    if reference is None or reference.samples.labels is None:
        raise InvalidInputError("max_drop needs labelled data to verify on: give a data set, or (images, labels)")
    assert row.float_form is not None
    assert row.session is not None
    samples, labels = reference.samples, reference.samples.labels
    name, expected = next(iter(reference.outputs.items()))
    accuracy, run = float((top_class(expected) == labels).mean()), runner(job, row)
    few = job.feeds(samples.first(_RANKING_COUNT))
    float_file = FORMATS[row.float_form].convert(traced, None, job.wishes.onnx)

    def drop_of(content: bytes) -> float:
        return 100 * (accuracy - float((top_class(run(content)[name]) == labels).mean()))

    def rank(content: bytes) -> list[Unit]:
        findings = rank_layers(compare_files(float_file, content, row.suffix, few))
        return units_of(findings, read_contents(float_file, row.suffix))

    found = select(row.session(traced, feeds, job.wishes.onnx).quantize, drop_of, rank, max_drop)
    content = row.convert(traced, feeds, job.wishes.onnx, values_of(found.kept))
    data = f"{samples.source} {samples.split}"
    kept = tuple(map(_float_layer, found.kept))
    return content, Selection(max_drop, found.full_drop, found.drop, data, len(labels), kept)


def _float_layer(unit: Unit) -> FloatLayer:
    layer = unit.finding.layer
    snr = layer.own_snr_db if math.isfinite(layer.own_snr_db) else None
    return FloatLayer(layer.layer, tuple(values_of([unit])), snr, unit.finding.cause)
