"""A process that a comparison starts: a `liteport` command, the check of what is wished for, or Ray's driver."""

import os
import signal
import sys
import threading
import time

from liteport.errors import LiteportError

CHECK, DRIVE = "check-comparison", "drive-ray"
_BETWEEN_LOOKS = 1.0  # seconds


def main(parent: int) -> None:
    """Runs what the arguments say, for as long as the process that started this one lives.

    Args:
        parent: That process's id.
    """
    end_with(parent)
    name, *arguments = sys.argv[1:]
    if name == CHECK:
        from .check import check

        try:
            check(*arguments)
        except LiteportError as error:
            sys.exit(f"error: {error}")
    elif name == DRIVE:
        from .ray_driver import drive

        drive()
    else:
        from liteport.runtime.cli import main as liteport

        liteport()


def end_with(parent: int) -> None:
    """Has this process, and all others of its group, killed once its parent is gone, however that ended."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_BETWEEN_LOOKS)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
