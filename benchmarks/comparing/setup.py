"""What a comparison trains, and the settings that all of its trials share, checked before any long work."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from liteport.errors import InvalidInputError
from liteport.files import replacing
from liteport.runtime.schema import loads, parse
from liteport.train import Dataset
from liteport.train.config import TrainConfig, recipe

SETUP_FILE = "setup.json"
FLOAT32, INT8 = "tflite-float32", "tflite-int8"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.]+")


@dataclass(frozen=True)
class Setup:
    """What all trials of a comparison have in common; trials of different setups are not compared.

    Attributes:
        data: What `load_dataset` takes: a name, or an absolute path.
        data_digest: Of the data set, as split by seed 0.
        epochs: Of each training; None for the recipe's.
        recipe: Its name; None for the default.
        variants: Ids of the variants that are exported.
    """

    data: str
    data_digest: str
    epochs: int | None
    recipe: str | None
    variants: tuple[str, ...]

    @property
    def deployed(self) -> str:
        """The variant whose size and latency count: the first int8 one, or the last where there is none."""
        return next((name for name in self.variants if name.endswith("-int8")), self.variants[-1])


@dataclass(frozen=True)
class Spec:
    """One trial to run.

    Attributes:
        design: A name that `liteport train --design` takes.
        seed: Of weights, split, order, augmentation and dropout.
    """

    design: str
    seed: int

    @property
    def name(self) -> str:
        """Of the trial's folder."""
        return f"{_UNSAFE.sub('-', self.design)}-seed-{self.seed}"

    def __str__(self) -> str:
        return f"{self.design}, seed {self.seed}"


def make_specs(designs: Sequence[str], seeds: int) -> tuple[Spec, ...]:
    """Returns the trials, all designs of a seed before the next seed: cut short, each design has as many.

    Raises:
        InvalidInputError: If there is no design or no seed, or a design is there twice.
    """
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
        raise InvalidInputError(f"seeds: expected a whole number from 1, found {seeds}")
    if not designs or not all(designs):
        raise InvalidInputError("designs: expected one or more names, such as baseline,tiny")
    specs = tuple(Spec(design, seed) for seed in range(seeds) for design in designs)
    if len({spec.name for spec in specs}) < len(specs):
        raise InvalidInputError(f"designs: expected each once, found {', '.join(designs)}")
    return specs


def make_setup(dataset: Dataset, epochs: int | None, recipe_name: str | None, variants: Sequence[str]) -> Setup:
    """Checks the settings and returns them.

    Raises:
        InvalidInputError: If the recipe is unknown, `epochs` is out of its range, or variants are none or repeated.
    """
    if recipe_name is not None:
        recipe(recipe_name)
    if epochs is not None:
        TrainConfig(epochs=epochs)
    if not variants or not all(variants) or len(set(variants)) < len(variants):
        raise InvalidInputError(f"variants: expected one or more ids, each once, found {', '.join(variants) or 'none'}")
    if "all" in variants:
        raise InvalidInputError(f"variants: expected the ids of those to compare, such as {FLOAT32},{INT8}, found all")
    return Setup(dataset.source, dataset.digest, epochs, recipe_name, tuple(variants))


def record_setup(setup: Setup, folder: Path, *, begun: bool) -> None:
    """Writes the setup into a comparison's folder, or checks that it is the one recorded there.

    Args:
        setup: What is wished for now.
        folder: The comparison's.
        begun: Whether trials are there, of the setup that is recorded.

    Raises:
        IntegrityError: If the record is damaged.
        InvalidInputError: If it is another setup; the message says in what.
    """
    path = folder / SETUP_FILE
    if begun and path.is_file():
        _check_same(parse(Setup, loads(path.read_bytes(), str(path)), str(path)), setup, folder)
        return
    with replacing(path) as beside:
        beside.write_text(json.dumps(asdict(setup), indent=2) + "\n", encoding="utf-8")


def _check_same(recorded: Setup, wanted: Setup, folder: Path) -> None:
    for field in fields(Setup):
        old, new = getattr(recorded, field.name), getattr(wanted, field.name)
        if old != new:
            raise InvalidInputError(
                f"{folder} holds trials with {field.name} {_shown(old)}, not {_shown(new)}; "
                "name another --out, or start anew with --force"
            )


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "by default" if value is None else str(value)[:60]
