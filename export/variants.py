"""Makes the variants of one export: converts, embeds the model's card, describes what is there, and verifies it."""

import dataclasses
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.runtime import Model, Variant
from liteport.runtime.backends import Backend
from liteport.runtime.card import ModelCard
from liteport.runtime.manifest import SCHEMA_VERSION
from liteport.runtime.model_files import files_of, parted
from liteport.runtime.records import FileInfo, RuntimeTrial, Selection, Stability

from .calibration import halves
from .embedding import embed
from .formats import FORMATS, Format
from .job import Job
from .micro_interpreter import MicroBackend
from .microcontroller import c_array
from .mobile import add_tflite_metadata
from .running import answers, card_of, loaded, runner
from .selection import quantized_selectively
from .stability import stability
from .tflite_floats import require_integer
from .trials import Trials, requirement
from .verify import top_class, verify

# Which variant shows how stable calibration is: the first of these that is made, as it is the quickest.
_FOR_STABILITY = ("onnx-int8", "tflite-int8", "tflite-int8-float-io", "c-array", "tflite-int16x8")


@dataclass(frozen=True)
class Made:
    """A variant, with what goes into the bundle.

    Attributes:
        variant: What the manifest says of it.
        files: Their contents by name.
    """

    variant: Variant
    files: Mapping[str, bytes]


class Maker:
    """Makes variants one after the other, and has them tried in the older runtime meanwhile."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._feeds = None if job.calibration is None else job.feeds(job.calibration)
        self._trials = Trials(job) if job.wishes.try_tflite_runtime else None

    def make(self, row: Format) -> Made:
        """Makes one variant.

        Raises:
            ConversionError: If the model cannot be converted.
            BackendError: If the engine refuses the file.
            VerificationError: If its answers are too far from Keras's.
            MissingDependencyError: If a package that the format needs is not installed.
        """
        job = self._job
        content, selection = self._converted(row)
        card = card_of(job, row)
        if row.source_code:
            files, backend = _source_code(content, row, card)
        else:
            files, backend = self._model_file(content, row, card)
        first, *others = (FileInfo(name, hashlib.sha256(data).hexdigest(), len(data)) for name, data in files.items())
        engine = RuntimeTrial(backend.info.name, backend.info.version, ran=True, note=None)
        variant = Variant(
            id=row.id,
            file=first.file,
            sha256=first.sha256,
            size_bytes=first.size_bytes,
            scheme=card.scheme,
            inputs=backend.inputs,
            outputs=backend.outputs,
            runtime_requirement=requirement((engine,)),
            verification=None,
            runtimes=(engine,),
            selection=selection,
            more_files=tuple(others),
        )
        if self._trials and first.file.endswith(".tflite"):
            self._trials.start(row.id, files[first.file], backend)
        with Model(backend, card) as model:
            if (reference := job.reference_for(row)) is not None:
                outputs = answers(model, reference.samples.first(row.verify_at_most))
                variant = replace(variant, verification=verify(outputs, reference, row.tolerance))
                if row.source_code:
                    litert = runner(job, row)(content)
                    runtimes = (replace(engine, note=_beside_litert(outputs, litert)),)
                    variant = replace(variant, runtimes=runtimes, runtime_requirement=requirement(runtimes))
        return Made(variant, files)

    def tried(self, variant: Variant) -> Variant:
        """Adds to a variant what the older runtime made of it, and says in words what runs it."""
        if self._trials is None:
            return variant
        runtimes = (*variant.runtimes, *self._trials.results(variant.id))
        return replace(variant, runtimes=runtimes, runtime_requirement=requirement(runtimes))

    def stability(self, made: Collection[str]) -> Stability | None:
        """Compares what each half of the calibration data gives, for one of the variants that were made."""
        job = self._job
        row = next((FORMATS[name] for name in _FOR_STABILITY if name in made and job.calibrates(FORMATS[name])), None)
        if row is None or not job.wishes.check_calibration or job.calibration is None or len(job.calibration) < 2:
            return None
        first, second = (row.convert(job.traced, job.feeds(half), job.wishes.onnx) for half in halves(job.calibration))
        return stability(row.id, row.suffix, (first, second), runner(job, row) if job.reference else None)

    def _converted(self, row: Format) -> tuple[bytes, Selection | None]:
        job = self._job
        feeds = self._feeds if job.calibrates(row) else None
        if row.float_form is not None and job.wishes.max_drop is not None:
            return quantized_selectively(job, row, feeds, job.wishes.max_drop)
        content = row.convert(job.traced_for(row), feeds, job.wishes.onnx)
        if row.integer is not None:
            require_integer(content, edges=row.integer == "inside")
        return content, None

    def _model_file(self, content: bytes, row: Format, card: ModelCard) -> tuple[dict[str, bytes], Backend]:
        """Embeds in a file what its users must know."""
        described = embed(content, row.suffix, {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(card)})
        if row.suffix == ".tflite" and self._job.with_mobile_metadata:
            pixels = card.inputs[0].preprocessing
            described = add_tflite_metadata(
                described,
                name=card.name,
                description=f"{card.scheme}, exported by liteport",
                labels=card.outputs[0].labels,
                scale=pixels.scale,
                offset=pixels.offset,
            )
        names = files_of(Path(f"{row.id}{row.suffix}"))
        parts = parted(described, row.suffix)
        return {path.name: part for path, part in zip(names, parts, strict=True)}, loaded(described, row)

    def __enter__(self) -> "Maker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._trials:
            self._trials.close()


def _source_code(content: bytes, row: Format, card: ModelCard) -> tuple[dict[str, bytes], Backend]:
    sources = c_array(
        content,
        name=card.name,
        labels=card.outputs[0].labels,
        preprocessing=card.inputs[0].preprocessing,
        file=row.id,
    )
    files = {f"{row.id}.cc": sources.source.encode(), f"{row.id}.h": sources.header.encode()}
    return files, MicroBackend(content, sources.arena_bytes)


def _beside_litert(found: Mapping[str, NDArray[Any]], expected: Mapping[str, NDArray[Any]]) -> str:
    """Says how a microcontroller's reference kernels compare with LiteRT's on the same samples."""
    ours = next(iter(found.values()))
    theirs = next(iter(expected.values()))[: len(ours)]
    same = int((top_class(ours) == top_class(theirs)).sum())
    return f"same top class as LiteRT on {same} of {len(ours)}, largest difference {np.abs(ours - theirs).max():.2g}"
