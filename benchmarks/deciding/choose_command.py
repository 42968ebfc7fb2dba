"""`liteport choose`."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from liteport.errors import InvalidInputError, NotFoundError
from liteport.terminal import print_table, progress

if TYPE_CHECKING:
    from ..results import Report
    from .choosing import Candidate, Choice
    from .constraints import Wishes

NOT_MET = 3
_DURATION_S = 10.0


def _option(metavar: str, meaning: str) -> Any:
    return typer.Option(metavar=metavar, help=meaning, show_default=False)


def choose(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="BUNDLE_OR_REPORT", help="A bundle, or a report's folder or JSON file.", show_default=False
        ),
    ],
    max_drop: Annotated[
        str | None, _option("POINTS", "Most accuracy to lose against the reference, in percentage points.")
    ] = None,
    max_latency: Annotated[str | None, _option("TIME", "Highest latency, such as 5ms or 800us.")] = None,
    max_size: Annotated[str | None, _option("SIZE", "Largest file, such as 200kB or 1.5MiB.")] = None,
    max_memory: Annotated[str | None, _option("SIZE", "Highest peak memory, such as 60MB.")] = None,
    max_instructions: Annotated[
        str | None, _option("COUNT", "Most instructions of an inference, such as 3M, on the board that --device names.")
    ] = None,
    device: Annotated[
        str | None, _option("NAME", "What to choose for: a device of the report, or an emulated board such as pi4.")
    ] = None,
    bundle: Annotated[str | None, _option("NAME", "The bundle to choose from, where a report has several.")] = None,
    prefer: Annotated[str, typer.Option(metavar="latency|size|memory|accuracy", help="What decides.")] = "latency",
    percentile: Annotated[str, typer.Option(metavar="p50|p90|p99", help="Which latency counts.")] = "p50",
    data: Annotated[
        str | None,
        _option("SOURCE", "Data set to measure a bundle on. By default the one the model was trained on."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Choose the variant to ship, and say what excludes the others. Exits with 3 where none is left."""
    from .choosing import choose_by
    from .constraints import Wishes

    wishes = Wishes(max_drop, max_latency, max_size, max_memory, max_instructions, device, bundle, prefer, percentile)
    report = _find_report(path, data, wishes)
    choice = choose_by(report, wishes)
    if as_json:
        fields = {**dataclasses.asdict(choice), "front": choice.front}
        print(json.dumps(fields, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _print(choice, report)
    if choice.variant is None:
        raise typer.Exit(NOT_MET)


def _find_report(path: Path, data: str | None, wishes: "Wishes") -> "Report":
    from liteport.runtime.manifest import MANIFEST_FILE

    from ..reading import REPORT_FILE, read_report

    if not path.exists():
        raise NotFoundError(f"{path} does not exist; expected a bundle, or a report's folder or JSON file")
    if (path / MANIFEST_FILE).is_file():
        return _measured(path, data, wishes)
    if path.is_dir() and not (path / REPORT_FILE).exists():
        raise InvalidInputError(
            f"{path} is no bundle and no report: it holds neither {MANIFEST_FILE} nor {REPORT_FILE}"
        )
    if path.is_file() and path.suffix != ".json":
        raise InvalidInputError(
            f"{path} is no bundle and no report; to choose among lone files: liteport bench FILE... --out report, then "
            "liteport choose report"
        )
    if data is not None:
        raise InvalidInputError(f"--data is for a bundle, which is measured first; {path} is a report")
    return read_report(path)


def _measured(path: Path, data: str | None, wishes: "Wishes") -> "Report":
    """Measures a bundle, without what is not needed to choose."""
    from ..devices.boards import find_board
    from ..suite import benchmark

    emulate = (find_board(wishes.device).name,) if wishes.device is not None else ()
    wishes.check_place(emulated=bool(emulate))  # rather than when all has been measured
    board = f"--emulate {emulate[0]} " if emulate else ""
    print(
        f"measuring, which takes a while; to keep the figures: liteport bench {path} {board}--out report, then "
        "liteport choose report",
        file=sys.stderr,
    )
    with progress() as show:
        return benchmark([path], data, duration=_DURATION_S, robustness=0, emulate=emulate, progress=show)


def _print(choice: "Choice", report: "Report") -> None:
    from .quantities import COUNT, PERCENT, POINTS, SIZE, TIME

    figures = [candidate.figures for candidate in choice.candidates]
    columns = []
    for title, field, kind, unit in (
        (choice.percentile, "latency_ns", TIME, 1),
        ("instructions", "instructions", COUNT, 1),
        ("size", "size_bytes", SIZE, 1),
        ("memory", "memory_bytes", SIZE, 1),
        ("accuracy", "accuracy", PERCENT, 100),
        ("drop", "drop_points", POINTS, 1),
    ):
        values: list[float | None] = [getattr(entry, field, None) for entry in figures]
        if any(value is not None for value in values):  # no latency on an emulated board, no accuracy without labels
            columns.append((title, ["-" if value is None else kind.format(unit * value) for value in values]))
    rows = [
        (
            entry.variant,
            _verdict(entry, choice),
            "yes" if entry.on_front else "",
            *(cells[number] for _, cells in columns),
        )
        for number, entry in enumerate(choice.candidates)
    ]
    print_table(
        f"{choice.bundle} on {choice.device}",
        ("variant", "choice", "front", *(title for title, _ in columns)),
        rows,
        left=3,
    )
    print("front: no other variant is at least as good in all of these and better in one")
    for note in choice.notes:
        print(f"note: {note}")
    print(choice.sentence)
    if choice.variant is not None:
        print(f"next: {_next(choice, report)}")


def _verdict(entry: "Candidate", choice: "Choice") -> str:
    if entry.variant == choice.variant:
        return "ship"
    return f"excluded: {entry.reason}" if entry.excluded else entry.reason


def _next(choice: "Choice", report: "Report") -> str:
    path = next(bundle.path for bundle in report.bundles if bundle.name == choice.bundle)
    files = [row.file for row in report.rows if (row.bundle, row.variant) == (choice.bundle, choice.variant)]
    if choice.variant in files:  # a lone file, which goes by its name
        given = (one for one in path.split(", ") if choice.variant in (one, Path(one).name))
        return f"liteport predict {next(given, choice.variant)} IMAGE"
    return f"liteport predict {path} IMAGE --variant {choice.variant}"
