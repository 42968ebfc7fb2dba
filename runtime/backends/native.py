"""What native engines want that take paths instead of bytes, and write on standard output instead of raising."""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STANDARD_OUTPUT = 1
_MOST_SAID = 4096  # bytes that are looked at
_one_at_a_time = threading.Lock()  # else one thread would put back what another has put in place


@contextmanager
def as_file(content: bytes) -> Iterator[str]:
    """Gives content a path; where the system can, that of a file in memory alone."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("liteport"), "wb") as file:
            file.write(content)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
        return
    with tempfile.TemporaryDirectory(prefix="liteport-") as folder:
        (path := Path(folder) / "model").write_bytes(content)
        yield str(path)


@contextmanager
def overheard(lines: list[str] | None = None) -> Iterator[None]:
    """Keeps what native code prints off standard output, which is for the program's own.

    Args:
        lines: Takes what was printed.
    """
    with _one_at_a_time, tempfile.TemporaryFile() as sink:
        try:
            out = os.dup(_STANDARD_OUTPUT)
        except OSError:  # there is none that could be written on
            yield
            return
        if sys.stdout is not None:
            sys.stdout.flush()
        os.dup2(sink.fileno(), _STANDARD_OUTPUT)
        try:
            yield
        finally:
            os.dup2(out, _STANDARD_OUTPUT)
            os.close(out)
            if lines is not None:
                sink.seek(0)
                said = sink.read(_MOST_SAID).decode(errors="replace")
                lines += [" ".join(line.split()) for line in said.splitlines() if line.strip()]
