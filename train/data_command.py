"""The command `liteport data`."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from liteport.errors import require
from liteport.files import check_new_folder, new_folder
from liteport.terminal import print_table, progress

from .balance import IMBALANCED, imbalance, remarks
from .data_report import DataReport, Place, describe_place, examine
from .datasets import Dataset, load_dataset, parse_image_size

REPORT = "data.json"
_FEW = 3


def data(
    source: Annotated[
        str,
        typer.Argument(
            help="mnist, fashion_mnist, an .npz file, a folder of IDX files, or one of images in folders by class."
        ),
    ],
    image_size: Annotated[
        str | None, typer.Option(help="Bring images to this size: 64, or 48x64 for 48 pixels high and 64 wide.")
    ] = None,
    skip_corrupt: Annotated[bool, typer.Option("--skip-corrupt", help="Leave out images that cannot be read.")] = False,
    seed: Annotated[int, typer.Option(help="Of the choice of validation images.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder to write.", show_default="data-NAME")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an older folder of this command's.")] = False,
) -> None:
    """Show what is in a data set: classes, sizes, pixels, and images that are there twice; write plots of it."""
    require("matplotlib", "train")
    size = None if image_size is None else parse_image_size(image_size)
    if out is not None:
        check_new_folder(out, force=force, marker=REPORT)  # before what may take long
    with progress() as show:
        dataset = load_dataset(source, seed=seed, image_size=size, skip_corrupt=skip_corrupt, progress=show)
        folder = out or Path(f"data-{dataset.name}")
        check_new_folder(folder, force=force, marker=REPORT)
        report = examine(dataset, show)
    content = _content(dataset, report)
    from .plots import save_data_plots

    with new_folder(folder, force=force, marker=REPORT) as beside:
        save_data_plots(dataset, beside)
        (beside / REPORT).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(content, indent=2))
    else:
        _print(dataset, report)
    typer.echo(f"wrote {folder}: labels.png, samples.png, {REPORT}", err=as_json)
    typer.echo(f"next: liteport train --data {shlex.quote(source)}{_options(size, skip_corrupt)}", err=as_json)


def _options(size: tuple[int, int] | None, skip_corrupt: bool) -> str:
    sized = "" if size is None else f" --image-size {size[0]}x{size[1]}"
    return sized + (" --skip-corrupt" if skip_corrupt else "")


def _print(dataset: Dataset, report: DataReport) -> None:
    counts = {name: _counts(dataset, name) for name in dataset.splits}
    rows = [
        [
            name,
            *(f"{count[label]:,}" for count in counts.values()),
            f"{sum(count[label] for count in counts.values()):,}",
        ]
        for label, name in enumerate(dataset.class_names)
    ]
    sums = [sum(count) for count in counts.values()]
    rows.append(["all", *(f"{total:,}" for total in sums), f"{sum(sums):,}"])
    print_table(f"{dataset.name}: images of each class", ["class", *counts, "all"], rows)
    for line in _lines(dataset, report):
        typer.echo(line)


def _lines(dataset: Dataset, report: DataReport) -> Iterator[str]:
    height, width, channels = dataset.input_shape
    where = "read from their files when they are needed" if dataset.streamed else "in memory"
    yield (
        f"{dataset.kind}: {height}×{width} pixels, {'gray' if channels == 1 else 'RGB'}, uint8; "
        f"{_bytes(dataset) / 1e6:,.1f} MB, {where}"
    )
    if dataset.sizes:
        most = sorted(dataset.sizes.items(), key=lambda entry: -entry[1])
        told = ", ".join(f"{size[0]}×{size[1]} ({count:,})" for size, count in most[:_FEW])
        more = f" and {len(most) - _FEW:,} more sizes" if len(most) > _FEW else ""
        yield f"the files' own sizes, height×width: {told}{more}"
    figures = (f"{mean:.1f} ± {spread:.1f}" for mean, spread in zip(report.mean, report.deviation, strict=True))
    yield f"pixels of train, mean ± standard deviation of 0 to 255: {', '.join(figures)}"
    if (balance := imbalance(dataset)).ratio <= IMBALANCED:  # else it is among the remarks
        yield balance.text
    for split in ("validation", "test"):
        if found := tuple(pair for pair in report.leaks if pair[0].split == split):
            yield (
                f"images of {split} that are in another split as well, which flatters a model: {len(found):,} of "
                f"{len(dataset.splits[split].labels):,}: {_pairs(dataset, found)}"
            )
    if report.contradictions:
        found = report.contradictions
        yield f"identical images with different labels: {len(found):,}: {_pairs(dataset, found)}"
    if not report.leaks and not report.contradictions:
        yield "no image of validation or test is in another split, none has two labels"
    if report.repeated:
        yield f"training images that repeat others: {report.repeated:,}"
    yield from remarks(dataset)


def _pairs(dataset: Dataset, pairs: tuple[tuple[Place, Place], ...]) -> str:
    told = (" = ".join(describe_place(dataset, place) for place in pair) for pair in pairs[:_FEW])
    return "; ".join(told) + ("; …" if len(pairs) > _FEW else "")


def _content(dataset: Dataset, report: DataReport) -> dict[str, Any]:
    balance = imbalance(dataset)
    return {
        "name": dataset.name,
        **dataset.recorded,
        "kind": dataset.kind,
        "input_shape": list(dataset.input_shape),
        "streamed": dataset.streamed,
        "bytes": _bytes(dataset),
        "class_names": list(dataset.class_names),
        "counts": {name: _counts(dataset, name) for name in dataset.splits},
        "sizes": [[*size, count] for size, count in dataset.sizes.items()],
        "mean": report.mean,
        "standard_deviation": report.deviation,
        "imbalance": {**balance._asdict(), "ratio": balance.ratio},
        "leaks": [[describe_place(dataset, place) for place in pair] for pair in report.leaks],
        "contradictions": [[describe_place(dataset, place) for place in pair] for pair in report.contradictions],
        "repeated": report.repeated,
        "skipped": list(dataset.skipped),
        "remarks": list(remarks(dataset)),
    }


def _counts(dataset: Dataset, split: str) -> list[int]:
    counts: list[int] = np.bincount(dataset.splits[split].labels, minlength=len(dataset.class_names)).tolist()
    return counts


def _bytes(dataset: Dataset) -> int:
    return sum(split.images.nbytes for split in dataset.splits.values())
