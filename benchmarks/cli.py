"""`liteport bench`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from liteport.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from liteport.files import replacing
from liteport.terminal import progress

if TYPE_CHECKING:
    from .results import Report, Row

WIDE = 200


def bench(
    bundles: Annotated[list[Path], typer.Argument(metavar="BUNDLE...", help="Bundle folders.", show_default=False)],
    data: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Data set whose test split is used: mnist, fashion_mnist or an .npz. "
            "By default the one the model was trained on.",
            show_default=False,
        ),
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Variant to measure; may be repeated. By default all.", show_default=False),
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads of each engine.")] = 1,
    rounds: Annotated[int, typer.Option(help="Rounds in which the variants take turns.")] = 20,
    runs: Annotated[int, typer.Option(help="Timed inferences of one image in each turn.")] = 50,
    batch: Annotated[int, typer.Option(help="Images of a batch, for images per second.")] = 32,
    seed: Annotated[int, typer.Option(help="Of the order of turns.")] = 0,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the report.")] = Path("report"),
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the JSON here too.", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an older report.")] = False,
) -> None:
    """Measure accuracy, latency, memory and size of every variant, each in a process of its own."""
    from .report import MARKDOWN_FILE, PLOT_FILE, REPORT_FILE
    from .suite import benchmark

    if json_file is not None:
        _check_new_file(json_file, force=force)
    with progress() as show:
        report = benchmark(
            bundles,
            data,
            out=out,
            variants=variant,
            threads=threads,
            rounds=rounds,
            runs=runs,
            batch=batch,
            seed=seed,
            force=force,
            progress=show,
        )
    if json_file is not None:
        with replacing(json_file) as beside:
            beside.write_text(report.to_json(), encoding="utf-8")
    _print(report)
    written = [out / name for name in (REPORT_FILE, MARKDOWN_FILE, PLOT_FILE)] + ([json_file] if json_file else [])
    print(f"wrote {', '.join(map(str, written))}")
    fastest = min((row for row in report.rows if row.measurement), key=_p50_ns)
    path = next(bundle.path for bundle in report.bundles if bundle.name == fastest.bundle)
    print(f"next: liteport predict {path} IMAGE --variant {fastest.variant}")


def _p50_ns(row: "Row") -> float:
    assert row.measurement is not None
    return row.measurement.latency.percentiles.p50_ns


def _check_new_file(path: Path, *, force: bool) -> None:
    """Finds out before the long work whether its result could be written."""
    if path.is_dir():
        raise InvalidInputError(f"{path} is a folder; expected the name of a file for --json")
    if not path.absolute().parent.is_dir():
        raise NotFoundError(f"{path.parent} does not exist; make the folder first, or name another file for --json")
    if path.exists() and not force:
        raise AlreadyExistsError(f"{path} exists already; pass --force to replace it, or another name")


def _print(report: "Report") -> None:
    from rich.console import Console

    from .tables import CHOICE, TIMING, describe, legend, remarks, rich_table

    # Elsewhere than on a terminal there is no width to keep to, and a table cut to a default one would lose figures.
    console = Console(width=None if sys.stdout.isatty() else WIDE, highlight=False, markup=False)
    for columns in (CHOICE, TIMING):
        console.print(rich_table(report, columns))
    for line in [*remarks(report), *describe(report), "", *dict.fromkeys(legend(CHOICE) + legend(TIMING))]:
        console.print(line, soft_wrap=True)
    console.print()
