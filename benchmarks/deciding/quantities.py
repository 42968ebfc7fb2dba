"""Quantities as people write and read them: "5 ms", "200 kB", "3 M" instructions, "99 %"."""

import math
import re
from dataclasses import dataclass

from liteport.errors import InvalidInputError

_NUMBER = re.compile(r"(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*(?P<unit>[^\W0-9_]*|%)")


@dataclass(frozen=True)
class Kind:
    """What is counted, and in which units.

    Attributes:
        name: In words.
        units: What one of each unit is in the unit that reports have; the empty unit, where it is allowed, stands for
            a plain number.
        example: How one is written.
        suffix: What follows a figure that has no unit to choose.
    """

    name: str
    units: dict[str, float]
    example: str
    suffix: str = ""

    def parse(self, text: str, where: str) -> float:
        """Returns what a text such as "5ms" means, in the unit that reports have.

        Units are taken by the letter: a "KB" may be 1,000 or 1,024 bytes, and an "m" a thousandth or a million.

        Args:
            text: A number and a unit.
            where: What it is given for, such as "--max-size", for messages.

        Raises:
            InvalidInputError: If it is no number, or the unit is not one of this kind.
        """
        plain = text.strip().replace("\u03bc", "\u00b5")  # the Greek letter, for the micro sign that looks like it
        match = _NUMBER.fullmatch(plain)
        if not match or match["unit"] not in self.units:
            named = ", ".join(unit for unit in self.units if unit)
            units = f"one of the units {named}" + (" or none" if "" in self.units else "") if named else "no unit"
            raise InvalidInputError(f"{where} is {text!r}; expected {self.name}: a number with {units}: {self.example}")
        value = float(match["number"]) * self.units[match["unit"]]
        if not math.isfinite(value):
            raise InvalidInputError(f"{where} is {text!r}; expected a finite number, such as {self.example}")
        return value

    def format(self, value: float, digits: int = 3) -> str:
        """Returns a value in the largest decimal unit that it has one of, with that many digits or more.

        A kind without units has one digit less than `digits` behind its point.
        """
        if not set(self.units) - {"", "%"}:
            return f"{value:.{digits - 1}f}{self.suffix}"
        decimal = [(scale, unit) for unit, scale in self.units.items() if unit in _DECIMAL]
        scale, unit = max((entry for entry in decimal if entry[0] <= abs(value)), default=min(decimal))
        number = value / scale
        exact = scale == 1 and number == int(number)
        before_point = len(str(int(abs(number))))
        return f"{number:,.{0 if exact else max(0, digits - before_point)}f} {unit}".rstrip()

    def format_apart(self, *values: float) -> tuple[str, ...]:
        """Returns values and, last, what they are held against, with the digits it takes to tell those that differ."""
        texts = [tuple(self.format(value, digits) for value in values) for digits in range(3, 17)]
        differing = [value != values[-1] for value in values]
        return next((found for found in texts if [text != found[-1] for text in found] == differing), texts[0])


_DECIMAL = {"", "ns", "µs", "ms", "s", "B", "kB", "MB", "GB", "k", "M", "G"}

TIME = Kind("a time", {"ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9}, "5ms")
SIZE = Kind(
    "a size",
    {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "": 1.0},
    "200kB",
)
COUNT = Kind("a count", {"k": 1e3, "M": 1e6, "G": 1e9, "": 1}, "3M")
PERCENT = Kind("percent", {"%": 1, "": 1}, "99", " %")
POINTS = Kind("percentage points", {"": 1}, "0.1", " points")
RATIO = Kind("a ratio", {"": 1}, "1.05")
