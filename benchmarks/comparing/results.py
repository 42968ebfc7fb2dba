"""What a comparison finds, as values. Times are seconds or nanoseconds as named, sizes bytes, shares from 0 to 1.

`Comparison.to_json` writes them, `read_comparison` reads them back; both go by these annotations alone.
"""

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path

from liteport.errors import IntegrityError
from liteport.runtime.schema import Limits, loads, parse

from ..latency import Interval
from .setup import Setup
from .trial import Failure, Trial

SCHEMA_VERSION = 1
COMPARISON_FILE = "compare.json"
_LIMITS = Limits(values=1 << 20, items=1 << 16)


@dataclass(frozen=True)
class Spread:
    """A figure of a design, over seeds.

    Attributes:
        mean: Over them.
        deviation: The standard deviation, divisor n - 1; None of one seed.
        seeds: Of which there is a value.
        values: One a seed.
    """

    mean: float
    deviation: float | None
    seeds: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Speed:
    """One inference of one image in steady state, on one seed's file: those of the other seeds have the same graph.

    Attributes:
        p50_ns: The median.
        p50_interval: Of it, 95 %, from how processes and rounds differ.
        ratio: Times the first design's latency, the median over paired rounds; None where that was not measured.
        ratio_interval: Of the ratio, 95 %; 1 to 1 for the first design itself.
    """

    p50_ns: float
    p50_interval: Interval
    ratio: float | None
    ratio_interval: Interval | None


@dataclass(frozen=True)
class VariantFigures:
    """A variant of a design.

    Attributes:
        variant: Its id.
        size_bytes: Of the file that was timed; all seeds' differ in their weights alone.
        compressed_bytes: Of it in gzip's format at level 9.
        macs: Multiply-accumulates of one inference; None where they are not known.
        speed: None where it could not be timed.
        accuracy: On the test split; None where no seed's could be measured.
    """

    variant: str
    size_bytes: int
    compressed_bytes: int
    macs: int | None
    speed: Speed | None
    accuracy: Spread | None


@dataclass(frozen=True)
class DesignFigures:
    """A design.

    Attributes:
        design: Its name.
        parameters: Of the model.
        timed_seed: Whose files were timed.
        validation_accuracy: Of the float32 model, on each seed's own validation split.
        train_seconds: Spent on the epochs.
        variants: In the setup's order.
    """

    design: str
    parameters: int
    timed_seed: int
    validation_accuracy: Spread
    train_seconds: Spread
    variants: tuple[VariantFigures, ...]

    def variant(self, name: str) -> VariantFigures:
        """Returns the figures of a variant."""
        return next(entry for entry in self.variants if entry.variant == name)


@dataclass(frozen=True)
class Choice:
    """The design to take, chosen without a look at the test split.

    Attributes:
        design: Its name.
        reason: Why, a sentence.
    """

    design: str
    reason: str


@dataclass(frozen=True)
class Comparison:
    """A comparison of designs, whole or as far as it got.

    Attributes:
        created: When it was measured, ISO 8601, UTC.
        setup: What all trials share.
        designs: Those of which a trial is finished, in the order in which they were named.
        trials: Those that are finished, in the order in which they were to run.
        failures: The others.
        choice: None where no design could be measured.
        notes: What a reader must know of the measurement, a sentence each; first what the A/A controls say.
    """

    created: str
    setup: Setup
    designs: tuple[DesignFigures, ...]
    trials: tuple[Trial, ...]
    failures: tuple[Failure, ...]
    choice: Choice | None
    notes: tuple[str, ...]

    def to_json(self) -> str:
        """Returns the comparison as a JSON document, with `schema_version`; lists of numbers stand on one line each."""
        fields = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self)}
        text = json.dumps(fields, indent=1, ensure_ascii=False, allow_nan=False)
        return re.sub(r"\[\n[\d\s,.e-]+\]", lambda numbers: re.sub(r"\s+", "", numbers[0]), text) + "\n"


def read_comparison(folder: Path) -> Comparison | None:
    """Reads a comparison back from its folder; None where none was finished there.

    Raises:
        IntegrityError: If it is damaged, or of another schema version.
    """
    path = folder / COMPARISON_FILE
    if not path.is_file():
        return None
    fields = loads(path.read_bytes(), str(path), _LIMITS)
    version = fields.pop("schema_version", None) if isinstance(fields, dict) else None
    if version != SCHEMA_VERSION:
        raise IntegrityError(f"{path} has schema version {version!r}, expected {SCHEMA_VERSION}; remove it")
    return parse(Comparison, fields, str(path), _LIMITS)
