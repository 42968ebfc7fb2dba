"""What is done on an Android device, as commands of adb: the same whether they are run or written down."""

import random
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from liteport.errors import InvalidInputError, NotFoundError, unknown_name
from liteport.files import sha256_of
from liteport.runtime import read_bundle

from .android_report import AndroidRow
from .benchmark_model import DOWNLOAD, memory_arguments, timing_arguments

FOLDER = "/data/local/tmp/liteport"
"""On the device: where adb may write and run programs without further rights."""

PROGRAM = f"{FOLDER}/benchmark_model"
AFTER = ("shell", f"rm -rf {FOLDER}")
"""Removes all that was copied."""


@dataclass(frozen=True)
class Model:
    """A file to be measured.

    Attributes:
        path: Here.
        row: What is known of it before.
        there: Its path on the device.
    """

    path: Path
    row: AndroidRow
    there: str

    def command(self, cores: Sequence[int], arguments: Sequence[str]) -> tuple[str, ...]:
        """Runs the program for it, on some cores only unless there are none named."""
        mask = sum(1 << core for core in cores)
        pinned = ("taskset", f"{mask:x}") if cores else ()
        return ("shell", shlex.join((*pinned, PROGRAM, f"--graph={self.there}", *arguments)))


@dataclass(frozen=True)
class Plan:
    """What is to be done, as arguments of adb.

    Attributes:
        models: What is measured.
        program: The path of `benchmark_model` here.
        threads: Threads of the engine.
        runs: Timed inferences of each run of the program, at least.
        rounds: Runs of the program for each model.
        seed: Of the order of turns.
        cores: The cores to run on; none leaves it to the device.
    """

    models: tuple[Model, ...]
    program: str
    threads: int
    runs: int
    rounds: int
    seed: int
    cores: tuple[int, ...] = ()

    def before(self) -> list[tuple[str, ...]]:
        """Copies what is needed."""
        pushed = [("push", str(model.path), model.there) for model in self.models]
        return [
            ("shell", f"mkdir -p {FOLDER}"),
            ("push", self.program, PROGRAM),
            ("shell", f"chmod 755 {PROGRAM}"),
            *pushed,
        ]

    def turns(self) -> list[list[tuple[int, tuple[str, ...]]]]:
        """Times each model once a round, in random order; each with its index."""
        order, rng, rounds = list(range(len(self.models))), random.Random(self.seed), []  # noqa: S311 - no secret
        arguments = timing_arguments(self.threads, self.runs)
        for _ in range(self.rounds):
            rng.shuffle(order)
            rounds.append([(index, self.models[index].command(self.cores, arguments)) for index in order])
        return rounds

    def memory(self) -> list[tuple[str, ...]]:
        """Watches the memory of each model."""
        return [model.command(self.cores, memory_arguments(self.threads)) for model in self.models]

    def script(self, adb: str) -> str:
        """Writes it all down for a shell."""
        lines = [
            "#!/bin/sh",
            "# What liteport does to measure on an Android device over adb.",
            f"# benchmark_model for 64-bit Arm: {DOWNLOAD}",
        ]
        if not self.cores:
            lines += [
                "# Which cores are fast is not known here. To run on some only, see cpuinfo_max_freq of each, and put",
                "# taskset with a mask before benchmark_model: taskset 80 stands for core 7 alone.",
            ]
        commands = [*self.before(), *(command for turn in self.turns() for _, command in turn), *self.memory()]
        return "\n".join([*lines, "set -e", *(shlex.join((adb, *command)) for command in (*commands, AFTER))]) + "\n"


def find_models(subjects: Sequence[str | Path], variants: Sequence[str] | None) -> tuple[Model, ...]:
    """Finds the .tflite files to measure, and checks those of bundles.

    Args:
        subjects: Bundles' folders, or lone .tflite files.
        variants: Ids of the bundles' variants; None for all that are .tflite files.

    Raises:
        NotFoundError: If a path does not exist.
        IntegrityError: If a bundle is damaged.
        InvalidInputError: If there is no .tflite file, or a name is unknown.
    """
    found = [entry for path in subjects for entry in _files_of(Path(path))]
    known = list(dict.fromkeys(row.variant for _, row in found if row.bundle))
    for name in variants or ():
        if name not in known:
            raise unknown_name("variant that Android can measure", name, known)
    chosen = [(path, row) for path, row in found if not (variants and row.bundle) or row.variant in variants]
    if not chosen:
        raise InvalidInputError(f"no .tflite file in {', '.join(map(str, subjects)) or 'nothing'}; export one")
    return tuple(Model(path, row, f"{FOLDER}/{number}.tflite") for number, (path, row) in enumerate(chosen))


def _files_of(path: Path) -> list[tuple[Path, AndroidRow]]:
    if path.is_dir():
        bundle = read_bundle(path)
        bundle.check()
        return [
            (path / entry.file, _row(bundle.manifest.name, entry.id, path / entry.file))
            for entry in bundle.manifest.variants
            if entry.file.endswith(".tflite")
        ]
    if not path.exists():
        raise NotFoundError(f"{path} does not exist; expected a bundle's folder or a .tflite file")
    if path.suffix != ".tflite":
        raise InvalidInputError(f"{path} is no .tflite file, and benchmark_model runs no other")
    return [(path, _row("", path.name, path))]


def _row(bundle: str, variant: str, path: Path) -> AndroidRow:
    return AndroidRow(bundle, variant, path.name, sha256_of(path), path.stat().st_size, (), None, None)
