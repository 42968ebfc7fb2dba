"""What gates judge: each variant of a report, beside itself in a baseline or beside the report's reference."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..latency import Interval
from ..results import BundleInfo, Device, InstructionCount, Measurement, Report, Row


@dataclass(frozen=True)
class Figure:
    """What is judged.

    Attributes:
        value: In the metric's unit.
        interval: Where it may be; None for what is exact or was measured once.
        note: What else to know of it; may be empty.
    """

    value: float
    interval: Interval | None
    note: str = ""


class NoFigureError(Exception):
    """There is no figure to judge; the message says why.

    Attributes:
        new: Whether that is only since nothing earlier is there to compare a good figure with.
    """

    def __init__(self, reason: str, *, new: bool = False) -> None:
        super().__init__(reason)
        self.new = new


@dataclass(frozen=True)
class Side:
    """One variant in one report.

    Attributes:
        device: Where.
        bundle: Of which bundle.
        row: The variant's row.
        reference: The row of the bundle's reference there; None where none was measured.
        is_baseline: Whether the report is the baseline.
    """

    device: Device
    bundle: BundleInfo
    row: Row
    reference: Row | None
    is_baseline: bool

    @property
    def measurement(self) -> Measurement:
        """What was measured.

        Raises:
            NoFigureError: If nothing was.
        """
        if self.row.measurement is None:
            where = " in the baseline" if self.is_baseline else ""
            raise NoFigureError(f"it was not measured{where}: {self.row.failure}", new=self.is_baseline)
        return self.row.measurement

    @property
    def is_reference(self) -> bool:
        """Whether it is what the others of the report are compared with."""
        return self.reference is not None and self.row.variant == self.reference.variant

    def count(self, board: str | None) -> InstructionCount | None:
        """Returns its count for an emulated board; None where there is none."""
        return next((count for count in self.row.instructions if count.board == board), None)


@dataclass(frozen=True)
class Case:
    """One variant on one device, to be judged.

    Attributes:
        subject: What it is called in a verdict.
        variant: Its id.
        now: In the report; None where only the baseline has it.
        before: In the baseline; None where it is not there, or there is none.
        has_baseline: Whether there is one.
        board: The emulated board whose instructions are judged; None where none are.
    """

    subject: str
    variant: str
    now: Side | None
    before: Side | None
    has_baseline: bool
    board: str | None = None

    @property
    def current(self) -> Side:
        """The variant in the report.

        Raises:
            NoFigureError: If it is gone.
        """
        if self.now is None:
            raise NoFigureError("the baseline has it and the report has not")
        return self.now

    @property
    def other(self) -> Side:
        """What the variant is compared with: itself in the baseline, or the reference where there is none.

        Raises:
            NoFigureError: If that is not there.
        """
        if self.before is not None:
            return self.before
        if self.has_baseline:
            raise NoFigureError("it is new, the baseline has no such variant", new=True)
        if self.current.reference is None:
            raise NoFigureError("no reference was measured")
        return replace(self.current, row=self.current.reference)

    def by_board(self) -> Iterator["Case"]:
        """Yields a case for each emulated board that either side has a count for; itself where there is none."""
        sides = [side for side in (self.now, self.before) if side is not None]
        boards = dict.fromkeys(count.board for side in sides for count in side.row.instructions)
        yield from (replace(self, board=board, subject=f"{self.subject} on {board}") for board in boards)
        if not boards:
            yield self


def find_cases(report: Report, baseline: Report | None) -> list[Case]:
    """Pairs the rows of a report with those of a baseline, and lists those that only the baseline has.

    Devices and bundles are the same where their names are, or where each report has only one: a build server has
    another name every day.
    """
    now = _sides(report, is_baseline=False)
    before = _sides(baseline, is_baseline=True) if baseline else {}
    if baseline:
        devices = _renamed([d.name for d in baseline.devices], [d.name for d in report.devices])
        bundles = _renamed([b.name for b in baseline.bundles], [b.name for b in report.bundles])
        before = {(devices[device], bundles[bundle], name): side for (device, bundle, name), side in before.items()}
    keys = list(dict.fromkeys([*now, *before]))
    several = [len({key[position] for key in keys}) > 1 for position in (0, 1)]
    return [Case(_subject(key, *several), key[2], now.get(key), before.get(key), baseline is not None) for key in keys]


def _sides(report: Report, *, is_baseline: bool) -> dict[tuple[str, str, str], Side]:
    devices = {device.name: device for device in report.devices}
    bundles = {bundle.name: bundle for bundle in report.bundles}
    rows = {(row.device, row.bundle, row.variant): row for row in report.rows}
    return {
        key: Side(
            devices[row.device],
            bundles[row.bundle],
            row,
            rows.get((row.device, row.bundle, report.reference(row.device, row.bundle) or "")),
            is_baseline,
        )
        for key, row in rows.items()
    }


def _renamed(names: Sequence[str], wanted: Sequence[str]) -> dict[str, str]:
    """Returns what the baseline's names are in the report."""
    return {names[0]: wanted[0]} if len(names) == len(wanted) == 1 else {name: name for name in names}


def _subject(key: tuple[str, str, str], devices: bool, bundles: bool) -> str:
    device, bundle, variant = key
    return f"{variant}{f' of {bundle}' if bundles else ''}{f' on {device}' if devices else ''}"
