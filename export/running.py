"""Runs what was converted on an export's samples, by the engine that users will run it with."""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.runtime import Model
from liteport.runtime.backends import Backend, choose_engine
from liteport.runtime.card import ModelCard
from liteport.terminal import muted

from .formats import Format
from .given_data import Samples
from .job import Job

LEARNED = "; ranges learned in training"
"""What ends the scheme of a variant whose ranges are those of quantization-aware training."""

# Enough for a thousand images in every format of a small model; reference kernels take seconds an image of a large one.
_SECONDS = 30
_FIRST_CHUNK, _LARGEST_CHUNK = 8, 128


def card_of(job: Job, row: Format) -> ModelCard:
    """Returns what a variant's users must know of it."""
    scheme = row.scheme if job.traced_for(row).learned is None else f"{row.scheme}{LEARNED}"
    return ModelCard(job.source.name, row.id, scheme, job.inputs, job.outputs)


def loaded(content: bytes, row: Format) -> Backend:
    """Loads a file on all cores, in silence."""
    with muted():
        return choose_engine(row.suffix).load(content, threads=os.cpu_count() or 1)


def runner(job: Job, row: Format) -> Callable[[bytes], Mapping[str, NDArray[Any]]]:
    """Returns what gives a file's outputs for the verification data, which must be there."""
    reference = job.reference_for(row)
    assert reference is not None
    inputs = reference.samples.first(row.verify_at_most).inputs

    def run(content: bytes) -> Mapping[str, NDArray[Any]]:
        with Model(loaded(content, row), card_of(job, row)) as model:
            return model.run(inputs)

    return run


def answers(model: Model, samples: Samples) -> dict[str, NDArray[Any]]:
    """Asks a model, some samples at a time, until it has answered all or used up its time; at least a few."""
    parts: list[dict[str, NDArray[Any]]] = []
    start, end, size = 0, time.monotonic() + _SECONDS, _FIRST_CHUNK
    while start < len(samples) and (not parts or time.monotonic() < end):
        indices = np.arange(start, min(start + size, len(samples)))
        parts.append(model.run(samples.take(indices).inputs))
        start, size = start + size, min(size * 2, _LARGEST_CHUNK)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
