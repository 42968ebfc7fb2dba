"""Graphs that call graphs: engines follow such calls as deep as they go."""

from collections.abc import Sequence

from .limits import Source

_MOST_LEVELS = 64  # exporters of PyTorch write a function a module, and modules within modules


def check_calls(source: Source, calls: Sequence[Sequence[int]]) -> None:
    """Checks that no graph calls itself, be it through others, and that calls go no deeper than they may.

    Args:
        source: The file.
        calls: By graph, the indices of those that it calls.

    Raises:
        IntegrityError: If one does, or calls a graph that is not there.
    """
    if any(not 0 <= called < len(calls) for row in calls for called in row):
        raise source.damaged(f"it calls a graph that is none of its {len(calls)}")
    left = {graph: set(row) for graph, row in enumerate(calls)}
    for _ in range(_MOST_LEVELS):  # each round takes away those that call none of the rest
        ends = {graph for graph, row in left.items() if not row}
        left = {graph: row - ends for graph, row in left.items() if row}
        if not left:
            return
    raise source.damaged(f"its graphs call themselves, or go deeper than {_MOST_LEVELS} levels")
