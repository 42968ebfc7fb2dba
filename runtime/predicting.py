"""`liteport predict`: many images, one after the other."""

import dataclasses
import functools
import json
import os
import stat
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from liteport.errors import InvalidInputError, LiteportError, require
from liteport.terminal import muted, no_progress, print_table, progress

from .images import NOT_PIXELS, Invert, image_size
from .loading import load
from .model import Model, Prediction

_STANDARD_INPUT = "-"
_MANY = 20  # images, from which on a bar is worth its place

# A name, and what is known of it: nothing yet, the answer, or what is wrong.
_Entry = tuple[str, LiteportError | None]
_Answer = tuple[str, list[Prediction] | LiteportError]


class InvertChoice(str, Enum):
    """The values of `--invert`."""

    AUTO = "auto"
    YES = "yes"
    NO = "no"


_INVERT: dict[InvertChoice, Invert] = {InvertChoice.AUTO: "auto", InvertChoice.YES: True, InvertChoice.NO: False}


def predict(
    model: Annotated[
        Path, typer.Argument(help="A bundle, or a .tflite, .onnx, .param or .mnn.", metavar="BUNDLE_OR_FILE")
    ],
    images: Annotated[
        list[str],
        typer.Argument(help="Image files, folders of them, or - for one on standard input.", metavar="IMAGE"),
    ],
    variant: Annotated[str | None, typer.Option(help="The bundle's variant; by default its first.")] = None,
    top_k: Annotated[int, typer.Option(help="How many classes to name.", min=1)] = 3,
    threads: Annotated[int, typer.Option(help="Threads of one inference.", min=1)] = 1,
    invert: Annotated[
        InvertChoice,
        typer.Option(
            help="For a model of light digits on dark, as MNIST's: turn dark ink on light paper into that, size and "
            "place included. auto: where the image's border is light."
        ),
    ] = InvertChoice.NO,
    as_json: Annotated[
        bool,
        typer.Option("--json", help='Print one JSON object a line and image: its "predictions", or its "error".'),
    ] = False,
) -> None:
    """Name the likeliest classes of images.

    Of a folder, all images in it are read, also in folders below, in the order of their names; hidden ones are not.
    Images that cannot be read are told on standard error, the others go on, and the exit code is then 1.
    """
    if images.count(_STANDARD_INPUT) > 1:
        raise typer.BadParameter("- is given twice, but standard input holds one image")
    image_module = require("PIL.Image", "image")
    rows: list[_Answer] = []
    with muted():
        loaded = load(model, variant, threads=threads)
    with loaded, warnings.catch_warnings():
        warnings.simplefilter("ignore", image_module.DecompressionBombWarning)  # such images are refused in any case
        image_size(loaded.input.shape, _INVERT[invert])  # or an error, once instead of for each image
        ask = functools.partial(_ask, loaded, top_k, _INVERT[invert])
        # The bar takes sys.stdout for its own, which is standard error; lines must go past it.
        tell = functools.partial(_print_line, sys.stdout) if as_json else rows.append
        try:
            failed = _ask_all(list(_found(images, image_module)), ask, tell, bar=not (as_json and sys.stdout.isatty()))
        finally:  # what was answered before Ctrl-C is shown as well
            _print_rows(loaded, rows)
    if failed:
        raise typer.Exit(1)


def _found(given: Sequence[str], image_module: Any) -> Iterator[_Entry]:
    """The files that are meant, in order, and the folders that have none."""
    suffixes = {
        suffix
        for suffix, name in image_module.registered_extensions().items()
        if name in image_module.OPEN and name not in NOT_PIXELS
    }
    for name in given:
        if name in ("", _STANDARD_INPUT) or _kind(name) != stat.S_IFDIR:
            yield name, None
            continue
        entries = sorted(_inside(name, suffixes), key=lambda entry: Path(entry[0]).parts)
        yield from entries or [
            (name, InvalidInputError(f"{name!r} holds no images; expected files such as .png or .jpg"))
        ]


def _inside(folder: str, suffixes: set[str]) -> Iterator[_Entry]:
    """The images in a folder and those below, and the folders that cannot be read; no order."""
    closed: list[OSError] = []
    for where, folders, files in os.walk(folder, onerror=closed.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for file in files:
            path = Path(where, file)
            # What cannot be looked at is for `open_image` to tell of; a pipe or a device would be waited for.
            if path.suffix.lower() in suffixes and not file.startswith(".") and _kind(path) in (stat.S_IFREG, 0):
                yield str(path), None
    for error in closed:
        yield str(error.filename), InvalidInputError(f"{error.filename!r} cannot be read: {error.strerror}")


def _kind(path: str | Path) -> int:
    """The kind of file, as `stat` names it; 0 if that cannot be known."""
    try:
        return stat.S_IFMT(Path(path).stat().st_mode)
    except OSError:
        return 0


def _ask_all(
    entries: Sequence[_Entry], ask: Callable[[str], list[Prediction]], tell: Callable[[_Answer], None], *, bar: bool
) -> bool:
    """Asks the model of one image after the other, and tells each answer at once; returns whether any failed."""
    failed = False
    shown = bar and len(entries) >= _MANY and sys.stderr.isatty()
    with progress() if shown else nullcontext(no_progress) as show:
        for done, (name, error) in enumerate(entries, 1):
            answer: list[Prediction] | LiteportError
            try:
                answer = error or ask(name)
            except LiteportError as refused:
                answer = refused
            if isinstance(answer, LiteportError):
                failed = True
                print(f"error: {_one_line(answer)}", file=sys.stderr, flush=True)
            tell((name, answer))
            show("images", done, len(entries), "")
    return failed


def _ask(model: Model, top_k: int, invert: Invert, name: str) -> list[Prediction]:
    source = sys.stdin.buffer.read() if name == _STANDARD_INPUT else name
    return model.classify(source, top_k, invert=invert)


def _one_line(error: LiteportError) -> str:
    return " ".join(str(error).split())


def _print_line(file: TextIO, answer: _Answer) -> None:
    """Prints one JSON object, all in ASCII; bytes of a name that are no UTF-8 are lone surrogates (PEP 383)."""
    name, found = answer
    content: dict[str, Any] = {"image": name}
    if isinstance(found, LiteportError):
        content["error"] = _one_line(found)
    else:
        content["predictions"] = [dataclasses.asdict(entry) for entry in found]
    print(json.dumps(content), file=file, flush=True)


def _print_rows(model: Model, answers: Sequence[_Answer]) -> None:
    rows = [(name, found) for name, found in answers if not isinstance(found, LiteportError)]
    if not rows:
        return
    columns = ["image"]
    for rank in range(1, len(rows[0][1]) + 1):
        columns += ["class" if rank == 1 else f"{rank}.", "probability"]
    cells = (
        [_shown(name), *(cell for entry in found for cell in (_shown(entry.label), f"{entry.probability:.4f}"))]
        for name, found in rows
    )
    print_table(f"{model.variant or 'model file'} on {model.backend}", columns, cells)


def _shown(text: str) -> str:
    """A text as a terminal may have it: control characters and what its encoding lacks are written as escapes."""
    printable = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
    encoding = sys.stdout.encoding or "utf-8"
    return printable.encode(encoding, "backslashreplace").decode(encoding)
