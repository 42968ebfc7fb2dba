"""Which operations a TFLite delegate leaves to the engine's built-in kernels."""

import importlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from liteport.errors import BackendError
from liteport.runtime.backends import choose_engine
from liteport.runtime.backends.base import one_line

_DELEGATE = "DELEGATE"


def left_to_built_in_kernels(content: bytes) -> dict[str, int]:
    """Loads a TFLite file as running it does, and finds what its delegate does not take over.

    Args:
        content: The file.

    Returns:
        How many operations of each kind, the most frequent first; nothing where there is no delegate at all, or the
        engine does not tell.

    Raises:
        MissingDependencyError: If no TFLite engine is installed.
        BackendError: If the engine refuses the file.
    """
    module = importlib.import_module(choose_engine(".tflite").module)
    try:
        interpreter = module.Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise BackendError(f"{module.__name__} refuses this model: {one_line(error)}") from error
    # The interpreter lists what was delegated as well as the delegate; there is no public call for either.
    listed: list[dict[str, Any]] = getattr(interpreter, "_get_ops_details", list)()
    delegates = [op for op in listed if op["op_name"] == _DELEGATE]
    others = [op for op in listed if op["op_name"] != _DELEGATE]
    inside = _taken_over(delegates, others)
    left = Counter(str(op["op_name"]) for op in others if op["index"] not in inside)
    return dict(left.most_common()) if delegates else {}


def _taken_over(delegates: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> set[int]:
    """Returns the operations between each delegate's inputs and its outputs, by their index."""
    makers = {int(output): op for op in others for output in op["outputs"]}
    inside: set[int] = set()
    for delegate in delegates:
        given = set(map(int, delegate["inputs"]))
        pending = [int(output) for output in delegate["outputs"]]
        while pending:
            tensor = pending.pop()
            op = makers.get(tensor)
            if tensor not in given and op is not None and op["index"] not in inside:
                inside.add(op["index"])
                pending += map(int, op["inputs"])
    return inside
