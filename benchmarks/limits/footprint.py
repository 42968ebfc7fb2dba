"""The least memory that a model's values need."""

from .values import ELEMENTWISE, Values


def activation_bytes(content: bytes, suffix: str) -> int | None:
    """Returns the least memory that holds all values alive at once, for one item, by the file's order of operations.

    What no memory plan can go below: each value is stored from the operation that makes it to the last that reads it,
    whole, but values that elementwise operations make of one another share their memory, and so do the result of such
    an operation and those of its inputs that nothing reads after it.

    Args:
        content: The file.
        suffix: ".tflite", ".onnx", ".param" or ".mnn".

    Returns:
        Bytes; None where the size of a value is not known.

    Raises:
        InvalidInputError: If it is another suffix.
        IntegrityError: If the file is damaged.
        MissingDependencyError: If the engine that runs such files is not installed.
        BackendError: If the engine refuses the file or fails.
    """
    return least_memory(Values(content, suffix))


def least_memory(values: Values) -> int | None:
    """Returns the same of values that are there already; see `activation_bytes`."""
    if not values.known():
        return None
    stored = values.stored
    inputs = {stored[index] for index in values.contents.inputs}
    first = dict.fromkeys(inputs, -1)
    last = dict.fromkeys(inputs, -1)
    for step, op in enumerate(values.ops):
        for index in values.live((*op.inputs, *op.outputs)):
            first.setdefault(stored[index], step)
            last[stored[index]] = step
    last.update((stored[index], len(values.ops)) for index in values.live(values.contents.outputs))
    alive = most = sum(map(values.size, inputs))
    alive -= sum(values.size(index) for index in inputs if last[index] < 0)  # inputs that nothing reads
    for step, op in enumerate(values.ops):
        read, written = ({stored[index] for index in values.live(indices)} for indices in (op.inputs, op.outputs))
        made = sum(values.size(index) for index in written if first[index] == step)
        alive += made
        freed = sum(values.size(index) for index in read - written if last[index] == step)
        # An elementwise result takes the place of what is read, where that is free afterwards.
        most = max(most, alive - (min(freed, made) if op.kind in ELEMENTWISE else 0))
        alive -= sum(values.size(index) for index in read | written if last[index] == step)
    return most
