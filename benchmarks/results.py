"""What a benchmark finds, as values. Times are nanoseconds, sizes bytes, and shares numbers from 0 to 1."""

import dataclasses
import json
import re
from dataclasses import dataclass
from typing import Any

from liteport.errors import InvalidInputError

from .accuracy import Accuracy
from .environment import Environment
from .latency import Percentiles

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Settings:
    """How it was measured.

    Attributes:
        threads: Threads of each engine.
        rounds: Rounds in which the variants took turns.
        runs: Timed inferences of one image in each turn.
        batch: Images of a batch, where images per second are measured.
        seed: Of the random order in which the variants take turns.
        core: The core that all latencies were taken on; None where processes were not pinned.
    """

    threads: int
    rounds: int
    runs: int
    batch: int
    seed: int
    core: int | None

    def __post_init__(self) -> None:
        for name, least in {"threads": 1, "rounds": 1, "runs": 1, "batch": 1, "seed": 0}.items():
            if (value := getattr(self, name)) < least:
                raise InvalidInputError(f"{name} is {value}; expected {least} or more")


@dataclass(frozen=True)
class Engine:
    """What ran a variant.

    Attributes:
        name: The package.
        version: Its version.
        provider: What does the work inside it: a TFLite delegate or an ONNX Runtime execution provider.
    """

    name: str
    version: str
    provider: str


@dataclass(frozen=True)
class Latency:
    """One inference of one image in steady state.

    Attributes:
        percentiles: Over all rounds.
        ratio: Times the reference's latency, the median over paired rounds.
        warm_up_runs: Inferences before the first timed one.
        steady: Whether the warm-up ended since the latency no longer changed (and not since its time was up).
        samples_ns: Every timed inference, a tuple a round.
    """

    percentiles: Percentiles
    ratio: float
    warm_up_runs: int
    steady: bool
    samples_ns: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Measurement:
    """All that was measured of one variant.

    Attributes:
        engine: The engine that ran it.
        accuracy: On the whole test split.
        load_ns: The call of `load`, with the import of the engine and the check of the file's SHA-256.
        first_ns: The first inference after it.
        latency: One image in steady state.
        images_per_second: In batches.
        batches_ns: Every timed batch.
        peak_memory_bytes: Most memory resident in a process that loads the variant and classifies single images.
    """

    engine: Engine
    accuracy: Accuracy
    load_ns: int
    first_ns: int
    latency: Latency
    images_per_second: float
    batches_ns: tuple[int, ...]
    peak_memory_bytes: int


@dataclass(frozen=True)
class Row:
    """One variant of one bundle: measured, or the reason why not."""

    bundle: str
    variant: str
    scheme: str
    file: str
    sha256: str
    size_bytes: int
    measurement: Measurement | None
    failure: str | None


@dataclass(frozen=True)
class BundleInfo:
    """A bundle under test.

    Attributes:
        name: Its name in this report.
        path: Its folder, as given.
        reference: The variant that its others are compared with; None where none could be measured.
        data: The data set's source.
        data_digest: The data set's SHA-256.
        images: Images of its test split.
    """

    name: str
    path: str
    reference: str | None
    data: str
    data_digest: str
    images: int


@dataclass(frozen=True)
class Report:
    """A whole benchmark: what was measured, how, and on which machine.

    Attributes:
        created: When it ended, ISO 8601, UTC.
        settings: How it was measured.
        environment: The machine and its software.
        base_memory_bytes: Peak resident memory of Python with numpy and liteport.runtime, with no variant loaded.
        bundles: What was benchmarked.
        rows: One a variant, in the order of the bundles.
    """

    created: str
    settings: Settings
    environment: Environment
    base_memory_bytes: int
    bundles: tuple[BundleInfo, ...]
    rows: tuple[Row, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as JSON's types, with `schema_version`."""
        return {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self)}

    def to_json(self) -> str:
        """Returns the report as a JSON document; lists of plain numbers stand on one line each."""
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
        return re.sub(r"\[\n[\d\s,]+\]", lambda numbers: re.sub(r"\s+", "", numbers[0]), text) + "\n"
