"""Ctrl-C that stops a training between two batches."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from liteport.terminal import ProgressCallback


@contextmanager
def heeding_ctrl_c(progress: ProgressCallback) -> Iterator[ProgressCallback]:
    """Has Ctrl-C stop the work inside the block at its next report of progress, and a second one at once.

    Python raises a KeyboardInterrupt wherever it happens to be: in a destructor or a native callback, of which
    TensorFlow has many, it is dropped, and in the middle of TensorFlow's own bookkeeping it becomes another error.

    Args:
        progress: What the work reports to.

    Yields:
        What it shall report to instead.

    Raises:
        KeyboardInterrupt: If Ctrl-C was pressed.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield progress  # somebody else's program has its own way to be stopped
        return
    pressed = False

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            signal.default_int_handler(number, frame)
        pressed = True

    def report(what: str, done: int, total: int, note: str) -> None:
        if pressed:
            raise KeyboardInterrupt
        progress(what, done, total, note)

    signal.signal(signal.SIGINT, remember)
    try:
        yield report
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if pressed:  # after the last report: what calls shall stop too
        raise KeyboardInterrupt
