"""Converters' own errors, told as one of ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from liteport.errors import ConversionError

_LONGEST = 300


@contextmanager
def told_as_refusal(who: str, *kinds: type[Exception]) -> Iterator[None]:
    """Turns the errors by which a converter refuses a model into `ConversionError`.

    Converters print a screenful; the line that says "error:" is what matters, or else the first.

    Args:
        who: The converter's name.
        kinds: The exceptions that it is known to raise.
    """
    try:
        yield
    except kinds as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [repr(error)]
        reason = next((line for line in lines if "error:" in line.lower()), lines[0])
        raise ConversionError(f"{who} refuses the model: {reason[:_LONGEST]}") from error
