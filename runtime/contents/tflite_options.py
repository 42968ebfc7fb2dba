"""Whether a TFLite operation's options are those of its operator, and within what kernels can compute with."""

from collections.abc import Iterable, Mapping

from . import tflite_layouts as layouts
from .flatbuffer import Table
from .tflite_fields import check_fields

_UNIONS = ((3, 4, layouts.OPTIONS), (11, 12, layouts.MORE_OPTIONS))  # slots of the type and of the table
_LARGE_OFFSET, _LARGE_SIZE = 9, 10

_RANGES = {
    "p": (0, 1, 1 << 15),  # default, lowest, highest: no image is wider, and kernels multiply these by its width
    "d": (1, 1, 1 << 15),
    "m": (0, 0, 1),
    "a": (0, 0, 5),
}
_CODES = {"p": "i", "d": "i", "m": "b", "a": "b"}

_OF_OPERATOR: Mapping[str, tuple[int, int]] = {
    operator: (union, number)
    for union, (_, _, table) in enumerate(_UNIONS)
    for number, options in table.items()
    for operator in options.operators
}


def check_options(operation: Table, kind: str) -> tuple[int, ...]:
    """Checks an operation's options.

    Args:
        operation: The operation.
        kind: Its operator's name.

    Returns:
        The indices of the graphs that it calls.

    Raises:
        IntegrityError: If they are another operator's, missing or out of range.
    """
    calls: list[int] = []
    for union, (type_slot, slot, table) in enumerate(_UNIONS):
        number, options = operation.integer(type_slot, "B"), operation.table(slot)
        expected = _OF_OPERATOR.get(kind)
        if expected is not None and expected[0] == union:
            missing = options is None or number == 0
            if missing and not table[expected[1]].needed:
                continue
            if missing or number != expected[1]:
                raise operation.source.damaged(f"an operation {kind} has options of type {number}, not {expected[1]}")
        if options is not None and number in table:
            check_fields(options, table[number].layout)
            _check_numbers(options, table[number].layout, kind)
            calls += _calls(options, table[number].layout)
    offset, size = operation.integer(_LARGE_OFFSET, "Q"), operation.integer(_LARGE_SIZE, "Q")
    if offset > 1 and offset + size > len(operation.source.content):
        raise operation.source.damaged(f"the options at byte {offset} reach past its end")
    return tuple(calls)


def _check_numbers(options: Table, layout: str, kind: str) -> None:
    for slot, code in enumerate(layout):
        if code in _RANGES:
            default, lowest, highest = _RANGES[code]
            found = options.integer(slot, _CODES[code], default)
            if not lowest <= found <= highest:
                raise options.source.damaged(
                    f"an operation {kind} has the option {found}, expected {lowest} to {highest}"
                )


def _calls(options: Table, layout: str) -> Iterable[int]:
    for slot, code in enumerate(layout):
        if code == "g":
            yield options.integer(slot, "i")
        elif code == "G":
            yield from options.numbers(slot, "i")
