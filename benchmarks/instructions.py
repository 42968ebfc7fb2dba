"""Puts what emulated boards count into a report."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from liteport.terminal import ProgressCallback

from .devices.counting import count_instructions
from .inputs import Subject
from .results import InstructionCount, Report

IMAGES = 32


def with_instructions(
    report: Report, subjects: Sequence[Subject], boards: Sequence[str], progress: ProgressCallback
) -> Report:
    """Counts the instructions of one inference of every variant on every board.

    Args:
        report: What was measured here.
        subjects: The bundles that it was measured of.
        boards: Names of boards.
        progress: Called as work proceeds.

    Raises:
        InvalidInputError: If a board is unknown, or this machine cannot emulate it.
        MissingDependencyError: If a program is missing that emulation takes.
        BackendError: If the emulated systems cannot be set up.
    """
    found: dict[tuple[str, str], tuple[InstructionCount, ...]] = {}
    for subject in subjects:
        assert subject.data is not None, "of a bundle it is always known"
        images = subject.data.test.images
        chosen = np.sort(np.random.default_rng(0).permutation(len(images))[:IMAGES])
        files = {candidate.name: candidate.file for candidate in subject.candidates}
        counts = count_instructions(files, images[chosen], boards, progress=progress)
        found |= {(subject.name, name): values for name, values in counts.items()}
    rows = (replace(row, instructions=found.get((row.bundle, row.variant), ())) for row in report.rows)
    return replace(report, rows=tuple(rows))
