"""`liteport demo`: the whole path on MNIST, by the commands that a user would type."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from liteport.errors import AlreadyExistsError, require
from liteport.runtime.cli import run
from liteport.train import load_dataset

_DIGITS = 5


def demo(
    out: Annotated[Path, typer.Option(help="Folder for all that is made.")] = Path("demo"),
    epochs: Annotated[int | None, typer.Option(help="Epochs to train, where the default is not wanted.")] = None,
    web: Annotated[bool, typer.Option("--web", help="Write and serve the bundle as a page for browsers, too.")] = False,
    port: Annotated[int, typer.Option(help="Where --web listens; 0 for a free port.", min=0, max=65535)] = 8000,
    force: Annotated[bool, typer.Option("--force", help="Replace an older demo there.")] = False,
) -> None:
    """Train, export, predict and bench on MNIST, one after the other."""
    if out.exists() and any(out.iterdir()) and not force:
        raise AlreadyExistsError(f"{out} exists already; pass --force to replace the demo in it, or another --out")
    start = time.monotonic()
    images = _write_images(out / "images")
    replace = ["--force"] if force else []
    length = [] if epochs is None else ["--epochs", str(epochs)]
    page = ["web", str(out / "bundle"), "--out", str(out / "page")]
    for image in images:
        page += ["--example", str(image)]
    for arguments in (
        ["train", "--data", "mnist", "--recipe", "quick", "--out", str(out / "run"), *length, *replace],
        ["export", str(out / "run"), "--out", str(out / "bundle"), *replace],
        *([[*page, *replace]] if web else []),
        ["predict", str(out / "bundle"), *map(str, images), "--variant", "tflite-int8"],
        ["bench", str(out / "bundle"), "--out", str(out / "report"), *replace],
    ):
        _step(arguments)
    typer.echo(f"\nthe demo took {time.monotonic() - start:.0f} s; everything is in {out}")
    if web:
        _step([*page, "--force", "--serve", "--port", str(port)])


def _step(arguments: Sequence[str]) -> None:
    typer.echo(f"\n$ liteport {' '.join(arguments)}")
    if code := run(arguments):
        raise typer.Exit(code)


def _write_images(folder: Path) -> list[Path]:
    """Saves the first test images as files, such as a user would have them."""
    image_module = require("PIL.Image", "image")
    test = load_dataset("mnist").test
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(_DIGITS):
        paths.append(folder / f"{number}-is-{test.labels[number]}.png")
        image_module.fromarray(test.images[number][..., 0]).save(paths[-1])
    return paths
