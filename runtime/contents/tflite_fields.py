"""The places of a table's fields: what FlatBuffers' own verifier checks, which interpreters before 2.17 do not ask."""

from .flatbuffer import Table

# By the letters of tflite_layouts: how many bytes a number, or a vector's items, take.
_NUMBERS = {"b": 1, "m": 1, "a": 1, "i": 4, "g": 4, "p": 4, "d": 4, "q": 8}
_VECTORS = {"B": 1, "H": 2, "I": 4, "G": 4, "T": 4, "Q": 8}


def check_fields(table: Table, layout: str) -> None:
    """Checks that a table's fields lie within the file, each where its kind may lie, and that its texts end.

    Args:
        table: The table; tables that it refers to are left to the caller.
        layout: What its slots hold, in the letters of `tflite_layouts`.

    Raises:
        IntegrityError: If a field does not.
    """
    source = table.source
    source.spend(len(layout))
    if table.position % 4:
        raise source.damaged(f"the table at byte {table.position} is not aligned")
    for slot, code in enumerate(layout):
        where = table.field(slot)
        if where is None or code == "-":
            continue
        if code in _NUMBERS:
            size = _NUMBERS[code]
            if where % size or where + size > len(source.content):
                raise source.damaged(f"the number at byte {where} is not aligned or not within it")
        elif code in _VECTORS:
            table.array(slot, _VECTORS[code])
        elif code == "s":
            end = table.span(slot)[1]
            if end >= len(source.content) or source.content[end]:
                raise source.damaged(f"the text that ends at byte {end} has no end")
