"""`liteport compare`."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from liteport.terminal import print_table, progress

if TYPE_CHECKING:
    from .results import Comparison

FAILED = 1


def _option(metavar: str, meaning: str) -> Any:
    return typer.Option(metavar=metavar, help=meaning, show_default=False)


def compare(
    designs: Annotated[
        str, _option("NAME,...", "Designs, as liteport train --design takes them; ratios are to the first.")
    ],
    seeds: Annotated[int, typer.Option(help="How many seeds each is trained with: 3 stands for 0, 1 and 2.")] = 3,
    data: Annotated[str, typer.Option(metavar="SOURCE", help="Data set, as liteport train takes it.")] = "mnist",
    epochs: Annotated[
        int | None, _option("N", "Epochs of each training, where those of the recipe are not wanted.")
    ] = None,
    recipe: Annotated[str | None, _option("NAME", "Recipe, as liteport train takes it.")] = None,
    variants: Annotated[
        str, typer.Option(metavar="ID,...", help="What is exported; latency and size are those of the first int8 one.")
    ] = "tflite-float32,tflite-int8",
    jobs: Annotated[int, typer.Option(help="Trials at a time, on this machine or on each node of a cluster.")] = 1,
    ray: Annotated[
        str | None,
        _option("ADDRESS", "Run the trials on a Ray cluster: auto, HOST:PORT or ray://HOST:PORT; they are timed here."),
    ] = None,
    duration: Annotated[
        float, typer.Option(metavar="SECONDS", help="Time for latencies, all designs together.")
    ] = 30.0,
    out: Annotated[
        Path, typer.Option(help="Folder for all that is made; what is finished there is not run again.")
    ] = Path("compare"),
    force: Annotated[
        bool, typer.Option("--force", help="Start anew: remove what another comparison left there.")
    ] = False,
) -> None:
    """Compare designs: train each with several seeds, export, and benchmark all side by side."""
    from .comparing import compare as compare_designs

    with progress() as show:
        comparison = compare_designs(
            _names(designs),
            seeds=seeds,
            data=data,
            out=out,
            epochs=epochs,
            recipe=recipe,
            variants=_names(variants),
            jobs=jobs,
            ray=ray,
            duration=duration,
            force=force,
            progress=show,
        )
    _print(comparison, out)
    if comparison.failures:
        typer.echo("next: the same command again, which runs only what is not finished")
        raise typer.Exit(FAILED)
    place = f" --bundle {quote(comparison.choice.design)}" if comparison.choice and len(comparison.designs) > 1 else ""
    typer.echo(f"next: liteport choose {out / 'report'}{place} --max-drop 0.1 --prefer latency")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _print(comparison: "Comparison", out: Path) -> None:
    from .columns import columns
    from .words import failures, headline, remarks
    from .writing import files

    shown = columns(comparison)
    if shown:
        rows = [(entry.design, *(column.cell(entry) for column in shown)) for entry in comparison.designs]
        print_table("", ("design", *(column.heading for column in shown)), rows)
    for line in (*failures(comparison), *remarks(comparison), *comparison.notes, headline(comparison)):
        typer.echo(line)
    typer.echo(f"wrote {', '.join(str(out / name) for name in files(comparison))}")
