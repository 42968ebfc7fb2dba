"""What long work shows: a bar on a terminal, plain lines elsewhere, and no chatter of other libraries."""

import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType

from liteport.errors import require

ProgressCallback = Callable[[str, int, int, str], None]
"""Called with what is being done, how many of its steps are done, how many it has, and a note (may be empty)."""


def no_progress(what: str, done: int, total: int, note: str) -> None:
    """The `ProgressCallback` that shows nothing."""


@contextmanager
def progress() -> Iterator[ProgressCallback]:
    """Gives a callback that shows progress on standard error.

    On a terminal each `what` has a live bar; elsewhere one line is printed when it is done.
    """
    if sys.stderr.isatty():
        with _bars() as show:
            yield show
    else:
        yield _plain_line


def _plain_line(what: str, done: int, total: int, note: str) -> None:
    if done >= total:
        print(f"{what}: {note or 'done'}", file=sys.stderr, flush=True)


@contextmanager
def _bars() -> Iterator[ProgressCallback]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int, note: str) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total, note=note)
            bars.update(tasks[what], completed=done, total=total, note=note)

        yield show


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> None:
    """Prints a table on standard output; where no terminal sets a width, as wide as it needs.

    Args:
        title: Stands above it.
        columns: The headings.
        rows: One text a column; missing ones at the end stay empty.
        left: How many columns, from the first, are aligned to the left; figures are to the right.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for number, heading in enumerate(columns):
        table.add_column(heading, justify="left" if number < left else "right")
    for row in rows:
        table.add_row(*row)
    # No markup: file names and labels may hold square brackets.
    console = Console(width=None if sys.stdout.isatty() else 100_000, markup=False, highlight=False, emoji=False)
    if not sys.stdout.isatty():
        console.width = console.measure(table).maximum
    if title:
        print(title)  # above rather than in the table, whose width would break it
    console.print(table)


@contextmanager
def muted() -> Iterator[None]:
    """Keeps other libraries' warnings, and what their native code writes, off the terminal.

    TensorFlow's converter writes to the file descriptors themselves, past Python's `sys.stderr`. In a notebook it is
    the other way round: TensorFlow logs what it otherwise keeps to itself, and `sys.stderr` is no file descriptor.
    With LITEPORT_DEBUG set nothing is hidden.
    """
    if os.environ.get("LITEPORT_DEBUG"):
        yield
        return
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    logged_above = logging.root.manager.disable
    logging.disable(max(logged_above, logging.WARNING))
    try:
        with tempfile.TemporaryFile() as sink, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            os.dup2(sink.fileno(), 1)
            os.dup2(sink.fileno(), 2)
            yield
    finally:
        logging.disable(logged_above)
        _restore(*saved)


def _restore(out: int, err: int) -> None:
    """Puts standard output and standard error back, whatever Ctrl-C interrupts: it would else stay untold."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        try:
            os.dup2(out, 1)
        finally:
            try:
                os.dup2(err, 2)
            finally:
                os.close(out)
                os.close(err)


def quiet_import(module: str, extra: str) -> ModuleType:
    """Imports TensorFlow, or a package that brings it, without its start-up messages.

    Args:
        module: The module's dotted name.
        extra: The liteport extra that installs it.

    Raises:
        MissingDependencyError: If the package is not installed; the message has the line that installs it.
    """
    if not os.environ.get("LITEPORT_DEBUG"):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with muted():
        return require(module, extra)
