"""The process that talks to a Ray cluster.

Ray writes to the terminal whatever its settings, waits for minutes where nobody answers, and keeps a connection for
the whole process. So it has a process of its own, which can be ended. It reads a task from standard input and answers
with a line of JSON for each event: connected, each trial that is back in its folder, or the error that ends it.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from liteport.errors import DeviceError, InvalidInputError, LiteportError, require
from liteport.files import move_into_place
from liteport.runtime.schema import parse

from .parcels import pack, unpack
from .ray_node import Order, check_node, run_on_node
from .setup import Setup, Spec
from .trial import Failure, write_record

RETRIES = 3
"""How often a trial is begun again whose node died or ran out of memory."""


@dataclass(frozen=True)
class Task:
    """What the driver is to do.

    Attributes:
        address: Ray's: "auto", "HOST:PORT" or "ray://HOST:PORT".
        jobs: Trials at a time on each node.
        setup: Of the comparison.
        specs: The trials to run.
        folder: Gets a folder for each.
        input_shape: (H, W, C) of an image.
        classes: The number of classes.
    """

    address: str
    jobs: int
    setup: Setup
    specs: tuple[Spec, ...]
    folder: str
    input_shape: tuple[int, ...]
    classes: int

    def to_json(self) -> str:
        """Returns the task as one line."""
        return json.dumps(asdict(self))


def drive() -> None:
    """Does the task on standard input. What Ray prints goes where standard error leads."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(**event: object) -> None:
        print(json.dumps(event), file=answers, flush=True)

    try:
        task = parse(Task, json.loads(sys.stdin.readline()), "the task")
        for event in _events(task):
            tell(**event)
    except LiteportError as error:
        tell(error=type(error).__name__, reason=" ".join(str(error).split()))


def _events(task: Task) -> Iterator[dict[str, object]]:
    ray = require("ray", "ray")
    threads, nodes = _connect(ray, task)
    yield {"connected": f"{nodes} nodes, {threads} CPUs a trial"}
    order = Order(task.setup, threads, version("liteport"))
    designs = list(dict.fromkeys(spec.design for spec in task.specs))
    height, width, channels = task.input_shape
    on_node = {"num_cpus": threads, "max_retries": RETRIES, "scheduling_strategy": "SPREAD"}
    checking = ray.remote(**on_node)(check_node).remote(order, designs, (height, width, channels), task.classes)
    try:
        fault = ray.get(checking)
    except ray.exceptions.RayError as error:
        raise DeviceError(f"a node of the cluster cannot run trials: {_told(error)}") from error
    if fault is not None:
        raise InvalidInputError(fault)
    yield {"checked": True}
    source = Path(task.setup.data)
    data = ray.put(pack(source)) if source.is_absolute() else None
    run = ray.remote(**on_node)(run_on_node)
    running = {run.remote(order, spec, data): spec for spec in task.specs}
    while running:
        for done in ray.wait(list(running), num_returns=1)[0]:
            spec = running.pop(done)
            _keep(ray, done, spec, Path(task.folder) / spec.name)
            yield {"done": spec.name}


def _connect(ray: Any, task: Task) -> tuple[int, int]:
    """Joins the cluster; returns the CPUs that each trial gets, and the number of nodes that have as many."""
    try:
        ray.init(task.address, log_to_driver=False, logging_level="ERROR")
        cpus = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        if task.address == "auto" and "Could not find any running Ray instance" in str(error):
            raise DeviceError("no Ray cluster runs on this machine; start one, or give its address") from error
        raise DeviceError(f"no Ray cluster at {task.address}: {_told(error)}") from error
    able = [count for count in cpus if count > 0]
    if not able:
        raise DeviceError(f"none of the {len(cpus)} nodes of the cluster at {task.address} has CPUs for trials")
    return max(1, min(able) // task.jobs), len(able)


def _keep(ray: Any, done: Any, spec: Spec, folder: Path) -> None:
    """Puts what a trial left into its folder; where it left nothing, the reason."""
    with tempfile.TemporaryDirectory(prefix=f".{spec.name}-", dir=folder.parent) as beside:
        try:
            made = unpack(ray.get(done), Path(beside))
        except ray.exceptions.RayError as error:
            made = Path(beside) / spec.name
            made.mkdir()
            write_record(Failure(spec.design, spec.seed, "cluster", _told(error), killed=True), made)
        move_into_place(made, folder)


def _told(error: BaseException) -> str:
    """Returns the line of an error of Ray's that says what happened: the last, of one raised on a node."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1] if type(error).__name__.startswith("RayTaskError") else lines[0]
