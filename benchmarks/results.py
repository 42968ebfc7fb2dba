"""What a benchmark finds, as values. Times are nanoseconds, sizes bytes, shares numbers from 0 to 1, intervals 95 %.

`Report.to_json` writes them, `reading.read_report` reads them back; both go by these annotations alone.
"""

import dataclasses
import json
import math
import re
from dataclasses import dataclass
from typing import Any

from liteport.errors import InvalidInputError

from .accuracy import Accuracy
from .conditions import Conditions
from .environment import Environment
from .latency import Interval, Percentiles

SCHEMA_VERSION = 2
MOST_TURN_RUNS = 10
MANY_ROUNDS = 20  # of a launch: rather than longer turns, as only turns of one round are compared


@dataclass(frozen=True)
class Settings:
    """How it was measured.

    Attributes:
        threads: Threads of each engine.
        batch: Images of one timed inference.
        throughput_batch: Images of a batch, where images per second are measured.
        duration_s: Seconds in which latencies were taken; None where `runs` said when to end.
        runs: Timed inferences of each variant; None where `duration_s` said when to end.
        launches: How many processes, one after the other, each variant was timed in.
        seed: Of the order of turns, of sampled images and of altered copies.
        core: The core that all latencies were taken on; None where processes were not pinned.
        robustness: Test images of which altered copies were made; 0 where that was left out.
        accuracy_time_s: Seconds of computing after which a variant's accuracy comes from a sample of the test split,
            and its robustness likewise.
    """

    threads: int = 1
    batch: int = 1
    throughput_batch: int = 32
    duration_s: float | None = None
    runs: int | None = None
    launches: int = 1
    seed: int = 0
    core: int | None = None
    robustness: int = 0
    accuracy_time_s: float = 120.0

    def __post_init__(self) -> None:
        least = {"threads": 1, "batch": 1, "throughput_batch": 1, "runs": 1, "launches": 1, "seed": 0, "robustness": 0}
        for name, limit in least.items():
            value = getattr(self, name)
            if value is not None and value < limit:
                raise InvalidInputError(f"{name} is {value}; expected {limit} or more")
        if not self.accuracy_time_s > 0:
            raise InvalidInputError(f"accuracy_time is {self.accuracy_time_s:g} s; expected more than 0")
        if self.duration_s is not None and not 0 < self.duration_s <= 86_400:
            raise InvalidInputError(f"duration is {self.duration_s:g} s; expected more than 0 and at most 86,400")

    @property
    def turn_runs(self) -> int | None:
        """Timed inferences of a turn; None where a turn's time decides, as without `runs`."""
        return None if self.runs is None else max(1, min(MOST_TURN_RUNS, self.runs // (MANY_ROUNDS * self.launches)))

    @property
    def rounds(self) -> int:
        """Rounds of a launch, at least: so that there are `runs` inferences in all, and two rounds to be compared."""
        wanted = math.ceil((self.runs or 0) / (self.launches * (self.turn_runs or 1)))
        return max(wanted, 2 if self.launches == 1 else 1)


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
    """One inference in steady state.

    Attributes:
        percentiles: Over all launches.
        minimum_ns: The shortest.
        variation: Coefficient of variation: standard deviation over mean.
        ratio: Times the reference's latency, the median over paired rounds.
        ratio_interval: Of the ratio; 1 to 1 for the reference itself.
        warm_up_runs: Inferences before the first timed one, in all launches together.
        steady: Whether each warm-up ended since the latency no longer changed (and not since its time was up).
        involuntary_switches: How often the system took the processor away while timing; None where it does not tell.
        samples_ns: Every timed inference: by launch, by round, in order.
    """

    percentiles: Percentiles
    minimum_ns: int
    variation: float
    ratio: float
    ratio_interval: Interval
    warm_up_runs: int
    steady: bool
    involuntary_switches: int | None
    samples_ns: tuple[tuple[tuple[int, ...], ...], ...]


@dataclass(frozen=True)
class Stages:
    """Where time goes besides the steady inference.

    Attributes:
        load_ns: The call of `load`, with the import of the engine and the check of the file's SHA-256; one a launch.
        first_ns: The first inference after it; one a launch.
        preprocess_ns: Median of turning raw pixels into the file's input; None where it cannot be told apart.
        invoke_ns: Median of the engine's own work; likewise.
        postprocess_ns: Median of turning the file's output into probabilities; likewise.
    """

    load_ns: tuple[int, ...]
    first_ns: tuple[int, ...]
    preprocess_ns: float | None
    invoke_ns: float | None
    postprocess_ns: float | None


@dataclass(frozen=True)
class Throughput:
    """Many images, on some of the cores.

    Attributes:
        threads: Threads of each engine.
        workers: Engines side by side.
        batch: Images of a batch, which each worker gets one of.
        images_per_second: By the median of all calls.
        calls_ns: Every timed call, of `workers` times `batch` images.
    """

    threads: int
    workers: int
    batch: int
    images_per_second: float
    calls_ns: tuple[int, ...]


@dataclass(frozen=True)
class Memory:
    """What a variant needs of memory.

    Attributes:
        peak_bytes: Most memory resident in a process that loads the variant and takes single images, as the
            operating system accounts it.
        activation_bytes: Least memory that holds all tensors alive at once, for a batch of one, by the file's order
            of operations: what no memory plan can go below; None where sizes are not known.
    """

    peak_bytes: int
    activation_bytes: int | None


@dataclass(frozen=True)
class Robustness:
    """Answers to altered copies of test images.

    Attributes:
        alteration: What was done to them, such as "rotated".
        strength: How much, in words, such as "up to ±15°".
        accuracy: Beside the reference's answers to the same copies.
    """

    alteration: str
    strength: str
    accuracy: Accuracy


@dataclass(frozen=True)
class Disagreement:
    """A test image that a variant and its reference see differently.

    Attributes:
        image: Its index in the test split.
        label: The right class.
        reference: The reference's class.
        answer: The variant's class.
    """

    image: int
    label: int
    reference: int
    answer: int


@dataclass(frozen=True)
class Answers:
    """What a variant answers to images with labels.

    Attributes:
        accuracy: On the test split, or on a sample of it where `accuracy.images` is less than the bundle's `images`.
        calibration_error: Expected calibration error of its confidence; None where its answers are no probabilities.
        recall: Share of each class's images answered rightly, by class; None for a class without images.
        recall_difference: Recall less the reference's on the same images, likewise.
        robustness: On altered copies.
        disagreements: Where it does not agree with the reference; at most 100, drawn by the seed.
    """

    accuracy: Accuracy
    calibration_error: float | None
    recall: tuple[float | None, ...]
    recall_difference: tuple[float | None, ...]
    robustness: tuple[Robustness, ...]
    disagreements: tuple[Disagreement, ...]


@dataclass(frozen=True)
class Agreement:
    """How near a file's outputs are to the reference's, on input that has no labels.

    Attributes:
        items: How many were asked.
        source: What was asked: "random" or a file's name.
        top1_agreement: Share with the same largest value in the last dimension; None where no output has one.
        max_abs_difference: Largest difference of any value.
        snr_db: Signal-to-noise ratio, 10 log10 of the reference's power over the difference's; None where they are
            equal or the reference is zero.
    """

    items: int
    source: str
    top1_agreement: float | None
    max_abs_difference: float
    snr_db: float | None


@dataclass(frozen=True)
class Limit:
    """How near a variant comes to what the machine could do.

    Attributes:
        floor_ns: The least time by the roofline: the sum over layers of the longer of computing and reading.
        share: The floor over the median latency.
        bound: "compute" or "memory": what most of the floor goes into.
        reason: A sentence on why it stays below 20 %; None where it does not.
    """

    floor_ns: float
    share: float
    bound: str
    reason: str | None


@dataclass(frozen=True)
class Measurement:
    """All that was measured of one variant.

    Attributes:
        engine: The engine that ran it.
        latency: In steady state.
        stages: Before, and inside of one inference.
        throughput: By threads and workers.
        memory: What it needs.
        answers: On images with labels; None where there are none.
        agreement: On other input; None where there are labels.
        limit: Beside the roofline; None where that is unknown.
    """

    engine: Engine
    latency: Latency
    stages: Stages
    throughput: tuple[Throughput, ...]
    memory: Memory
    answers: Answers | None
    agreement: Agreement | None
    limit: Limit | None


@dataclass(frozen=True)
class LayerCost:
    """What one operation needs, for a batch of one.

    Attributes:
        name: The layer's name.
        kind: The operation.
        compute: Type that it multiplies in, such as "float32" or "int8"; empty where it multiplies nothing.
        macs: Multiply-accumulates.
        constant_bytes: Bytes of its constants.
        activation_bytes: Bytes it reads and writes besides.
    """

    name: str
    kind: str
    compute: str
    macs: int
    constant_bytes: int
    activation_bytes: int


@dataclass(frozen=True)
class LayerError:
    """The error that quantization leaves after one layer.

    Attributes:
        name: The layer's name.
        snr_db: Signal-to-noise ratio against the float file of the same engine; None where there is no noise.
    """

    name: str
    snr_db: float | None


@dataclass(frozen=True)
class InstructionCount:
    """One inference on an emulated processor.

    Attributes:
        board: Such as "pi4".
        cpu: Such as "cortex-a72".
        engine: What ran it there; None where it did not run.
        instructions: Executed for one inference of one image by one thread, the median; None where it did not run.
        spread: Largest less smallest count over the median; None likewise.
        images: How many images were asked there and here.
        top1_agreement: Share with the same top class as on this machine; None likewise.
        max_abs_difference: Largest difference of a probability from this machine's; None likewise.
        failure: Why it did not run; None where it did.
    """

    board: str
    cpu: str
    engine: Engine | None
    instructions: int | None
    spread: float | None
    images: int
    top1_agreement: float | None
    max_abs_difference: float | None
    failure: str | None


@dataclass(frozen=True)
class Row:
    """One variant of one bundle on one device: measured, or the reason why not.

    Attributes:
        device: The device's name.
        bundle: The bundle's name.
        variant: The variant's id, or a lone file's name.
        scheme: In words; empty where a file does not say.
        file: The file's name.
        sha256: Of the file.
        size_bytes: Of the file.
        compressed_bytes: Of the file in gzip's format at level 9, as a download or a package would hold it.
        layers: Each operation's cost; empty where it is not known.
        layer_errors: By layer; empty where it was not compared.
        instructions: By emulated board.
        measurement: What was measured; None where nothing could be.
        failure: Why not; None where it was measured.
    """

    device: str
    bundle: str
    variant: str
    scheme: str
    file: str
    sha256: str
    size_bytes: int
    compressed_bytes: int
    layers: tuple[LayerCost, ...]
    layer_errors: tuple[LayerError, ...]
    instructions: tuple[InstructionCount, ...]
    measurement: Measurement | None
    failure: str | None

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference of one image; 0 where they are not known."""
        return sum(layer.macs for layer in self.layers)


@dataclass(frozen=True)
class BundleInfo:
    """A bundle under test, or lone files that are compared with each other.

    Attributes:
        name: Its name in this report.
        path: Its folder, as given; for lone files, their paths in one text.
        data: The data set's source, or what else lone files were asked.
        data_digest: The data set's SHA-256; None where there is none.
        images: Images of its test split; 0 where there are no labels.
        class_names: By class; empty likewise.
        notes: What was done to lone files' inputs so that all are asked the same, a sentence each.
    """

    name: str
    path: str
    data: str
    data_digest: str | None
    images: int
    class_names: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Control:
    """The A/A control: the reference once more, timed as if it were another variant, so that its ratio should be 1.

    Attributes:
        bundle: The bundle's name.
        variant: Its reference, the variant that its others are compared with.
        ratio: Of the second to the first; None where the second could not be timed.
        interval: Of the ratio; None likewise.
        bound: Half the interval's width up to which the machine counts as quiet.
    """

    bundle: str
    variant: str
    ratio: float | None
    interval: Interval | None
    bound: float

    @property
    def quiet(self) -> bool:
        """Whether the interval covers 1 and is narrow enough."""
        if self.interval is None:
            return False
        return self.interval.low <= 1 <= self.interval.high and self.interval.half_width <= self.bound


@dataclass(frozen=True)
class Peak:
    """The highest rate of a large matrix product.

    Attributes:
        compute: "float32" or "int8".
        engine: What computed it, the fastest of those tried.
        macs_per_second: Multiply-accumulates per second.
    """

    compute: str
    engine: str
    macs_per_second: float


@dataclass(frozen=True)
class Bandwidth:
    """How fast memory is read.

    Attributes:
        working_set_bytes: Size of what is read again and again.
        bytes_per_second: The highest rate seen.
    """

    working_set_bytes: int
    bytes_per_second: float


@dataclass(frozen=True)
class Roofline:
    """What a machine can do at most, with the threads of the settings.

    Attributes:
        peaks: Of computing, by type.
        bandwidths: Of reading, by size, rising.
    """

    peaks: tuple[Peak, ...]
    bandwidths: tuple[Bandwidth, ...]


@dataclass(frozen=True)
class Device:
    """A machine, and how it was measured there.

    Attributes:
        name: In this report.
        created: When measuring ended, ISO 8601, UTC.
        settings: How it was measured.
        environment: The machine and its software.
        base_memory_bytes: Peak resident memory of Python with numpy and liteport.runtime, with no variant loaded.
        before: The machine's state when latencies began to be taken.
        after: And when they had been.
        controls: The A/A control of each bundle, which also says what the bundle's reference is.
        roofline: Its limits; None where they were not measured.
    """

    name: str
    created: str
    settings: Settings
    environment: Environment
    base_memory_bytes: int
    before: Conditions
    after: Conditions
    controls: tuple[Control, ...]
    roofline: Roofline | None


@dataclass(frozen=True)
class Picture:
    """A test image that variants disagree on, small enough to be shown.

    Attributes:
        data_digest: The data set's SHA-256.
        image: Its index in the test split.
        png: As a PNG in base64.
    """

    data_digest: str
    image: int
    png: str


@dataclass(frozen=True)
class Report:
    """A whole benchmark, of one device or merged from several.

    Attributes:
        created: When it was made, ISO 8601, UTC.
        devices: Where it was measured.
        bundles: What was benchmarked.
        rows: One a device and variant, in the order of the bundles.
        pictures: Images that variants disagree on.
    """

    created: str
    devices: tuple[Device, ...]
    bundles: tuple[BundleInfo, ...]
    rows: tuple[Row, ...]
    pictures: tuple[Picture, ...]

    def reference(self, device: str, bundle: str) -> str | None:
        """Returns the id of the variant that a bundle's others are compared with; None where none was measured."""
        controls = (control for entry in self.devices if entry.name == device for control in entry.controls)
        return next((control.variant for control in controls if control.bundle == bundle), None)

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as JSON's types, with `schema_version`."""
        return {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self)}

    def to_json(self) -> str:
        """Returns the report as a JSON document; lists of plain numbers stand on one line each."""
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        return re.sub(r"\[\n[\d\s,]+\]", lambda numbers: re.sub(r"\s+", "", numbers[0]), text) + "\n"
