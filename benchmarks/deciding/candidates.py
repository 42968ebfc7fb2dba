"""What variants are chosen for, and by: one device or emulated board, one bundle, and the figures that count there."""

from collections.abc import Sequence
from dataclasses import dataclass

from liteport.errors import InvalidInputError, unknown_name

from ..devices.boards import BOARDS
from ..results import BundleInfo, Device, InstructionCount, Report, Row
from .quantities import COUNT, POINTS, SIZE, TIME, Kind


@dataclass(frozen=True)
class Figures:
    """What a variant is judged by.

    Attributes:
        accuracy: Share of images answered rightly; None where there are no labels.
        drop_points: The reference's accuracy less this one's, in percentage points, on the same images; None
            likewise.
        latency_ns: The percentile that was asked for; None on an emulated board.
        instructions: For one inference on an emulated board; None elsewhere.
        size_bytes: Of the file.
        memory_bytes: Peak resident memory; None on an emulated board.
    """

    accuracy: float | None
    drop_points: float | None
    latency_ns: float | None
    instructions: int | None
    size_bytes: int
    memory_bytes: int | None


@dataclass(frozen=True)
class Aspect:
    """Something that variants are compared by; lower is better.

    Attributes:
        field: Of `Figures`.
        title: What it is called.
        kind: Its units.
        best: What the variant with the lowest has.
    """

    field: str
    title: str
    kind: Kind
    best: str

    def of(self, figures: Figures) -> float | None:
        """Returns the figure; None where it is not known."""
        value: float | None = getattr(figures, self.field)
        return value


@dataclass(frozen=True)
class Place:
    """What variants are chosen for.

    Attributes:
        device: Where they were measured.
        board: The emulated board that is chosen for; None for the device itself.
        bundle: The variants' bundle.
        rows: One a variant.
    """

    device: Device
    board: str | None
    bundle: BundleInfo
    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        """The board's name, or else the device's."""
        return self.board or self.device.name

    @property
    def reference(self) -> str | None:
        """The id of the variant that the others were compared with; None where none was measured."""
        controls = (control for control in self.device.controls if control.bundle == self.bundle.name)
        return next((control.variant for control in controls), None)

    def count(self, row: Row) -> InstructionCount | None:
        """Returns a variant's count for the board; None where there is none."""
        return next((count for count in row.instructions if count.board == self.board), None)

    def failure(self, row: Row) -> str | None:
        """Returns why a variant cannot be judged here; None where it can."""
        if row.measurement is None:
            return f"not measured: {row.failure}"
        if self.board is None:
            return None
        count = self.count(row)
        if count is None:
            return f"its instructions were not counted for {self.board}"
        return None if count.failure is None else f"did not run on {self.board}: {count.failure}"

    def figures(self, row: Row, percentile: str) -> Figures:
        """Returns the figures of a variant without failure.

        Args:
            row: The variant.
            percentile: "p50", "p90" or "p99".
        """
        assert row.measurement is not None, "it has no failure"
        count, answers = self.count(row), row.measurement.answers
        return Figures(
            accuracy=answers.accuracy.accuracy if answers else None,
            drop_points=0.0 - answers.accuracy.difference_points if answers else None,
            latency_ns=getattr(row.measurement.latency.percentiles, f"{percentile}_ns") if count is None else None,
            instructions=count.instructions if count else None,
            size_bytes=row.size_bytes,
            memory_bytes=row.measurement.memory.peak_bytes if count is None else None,
        )

    def aspects(self, percentile: str) -> dict[str, Aspect]:
        """Returns what is known here to compare variants by, in the order in which it decides among equals."""
        cost = {
            "latency": Aspect("latency_ns", percentile, TIME, f"lowest {percentile}"),
            "size": Aspect("size_bytes", "size", SIZE, "smallest file"),
            "memory": Aspect("memory_bytes", "memory", SIZE, "lowest peak memory"),
        }
        if self.board is not None:
            counted = Aspect("instructions", "instructions", COUNT, f"fewest instructions on {self.board}")
            cost = {"instructions": counted, "size": cost["size"]}
        labelled = any(row.measurement and row.measurement.answers for row in self.rows)
        return {**cost, "accuracy": Aspect("drop_points", "drop", POINTS, "smallest drop")} if labelled else cost


def find_place(report: Report, device: str | None, bundle: str | None, *, counted: bool) -> Place:
    """Finds what is to be chosen for.

    Args:
        report: What was measured.
        device: The name of a device or an emulated board; None where one device was measured.
        bundle: A bundle's name; None where the device has one.
        counted: Whether a name that a device and a board share stands for the board.

    Raises:
        InvalidInputError: If a name is unknown, or is missing where there are several.
    """
    devices = {entry.name: entry for entry in report.devices}
    boards: dict[str, str] = {}  # and the first device that counted for it: counts are the same on all
    for row in report.rows:
        for count in row.instructions:
            boards.setdefault(count.board, row.device)
    board = device if device in boards and (counted or device not in devices) else None
    if board is None and device in BOARDS and device not in devices:
        raise InvalidInputError(
            f"the report has no instructions counted for {device}; count them: liteport bench BUNDLE --emulate {device}"
        )
    where = _pick("device", device, [*devices], also=[*boards]) if board is None else boards[board]
    rows = [row for row in report.rows if row.device == where]
    name = _pick("bundle", bundle, list(dict.fromkeys(row.bundle for row in rows)))
    info = next(entry for entry in report.bundles if entry.name == name)
    return Place(devices[where], board, info, tuple(row for row in rows if row.bundle == name))


def _pick(kind: str, name: str | None, known: list[str], also: Sequence[str] = ()) -> str:
    if name is None and len(known) == 1:
        return known[0]
    if name is None:
        raise InvalidInputError(f"the report has {len(known)} {kind}s; name one: --{kind} {' or '.join(known)}")
    if name not in known:
        raise unknown_name(kind, name, [*known, *also])
    return name
