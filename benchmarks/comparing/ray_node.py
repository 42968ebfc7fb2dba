"""What runs on a node of a Ray cluster: a task, which gets and returns bytes."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from .check import find_fault
from .children import Children
from .parcels import pack, unpack
from .setup import Setup, Spec
from .trial import LOG_FILE, run_trial


@dataclass(frozen=True)
class Order:
    """What a node needs to know beside the data.

    Attributes:
        setup: Of the comparison.
        threads: Threads that a trial computes with.
        version: Of the liteport that orders; the node's is to be the same.
    """

    setup: Setup
    threads: int
    version: str


def check_node(order: Order, designs: list[str], input_shape: tuple[int, int, int], classes: int) -> str | None:
    """Returns why trials cannot run on this node; None where they can."""
    from importlib.metadata import version

    if (found := version("liteport")) != order.version:
        return f"a node has liteport {found}, this machine {order.version}; install the same on all"
    with tempfile.TemporaryDirectory(prefix="liteport-check-") as scratch:
        children = Children(order.threads)
        return find_fault(designs, input_shape, classes, order.setup, children, Path(scratch) / LOG_FILE)


def run_on_node(order: Order, spec: Spec, data: bytes | None) -> bytes:
    """Runs a trial and returns its folder, packed; how it ended is recorded in there.

    Args:
        order: How to run it.
        spec: What to train.
        data: The data set's file or folder, packed; None where every node can get it by its name.
    """
    with tempfile.TemporaryDirectory(prefix="liteport-trial-") as scratch:
        source = order.setup.data if data is None else str(unpack(data, Path(scratch) / "data"))
        folder = Path(scratch) / "trials" / spec.name
        run_trial(spec, order.setup, folder, source, Children(order.threads), lambda _: None)
        return pack(folder)
