"""Ctrl-C that is not lost."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from liteport.terminal import ProgressCallback


@contextmanager
def heeding_ctrl_c(progress: ProgressCallback) -> Iterator[ProgressCallback]:
    """Makes sure that Ctrl-C stops the work inside the block at its next report of progress, if not at once.

    Python drops the KeyboardInterrupt that comes up in a destructor or a native callback, of which TensorFlow has many.

    Args:
        progress: What the work reports to.

    Yields:
        What it shall report to instead, which raises a KeyboardInterrupt that was dropped once more.
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
        pressed = True
        signal.default_int_handler(number, frame)

    def report(what: str, done: int, total: int, note: str) -> None:
        if pressed:
            raise KeyboardInterrupt
        progress(what, done, total, note)

    signal.signal(signal.SIGINT, remember)
    try:
        yield report
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
