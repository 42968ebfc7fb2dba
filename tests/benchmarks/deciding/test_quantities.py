import pytest

from liteport.benchmarks.deciding.quantities import COUNT, PERCENT, POINTS, RATIO, SIZE, TIME, Kind
from liteport.errors import InvalidInputError


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (TIME, "5ms", 5e6),
        (TIME, " 5 ms ", 5e6),
        (TIME, "800us", 8e5),
        (TIME, "800\u00b5s", 8e5),  # the micro sign
        (TIME, "800\u03bcs", 8e5),  # the Greek letter
        (TIME, ".5s", 5e8),
        (TIME, "90.ns", 90),
        (SIZE, "200kB", 200_000),
        (SIZE, "1.2MB", 1_200_000),
        (SIZE, "200KiB", 204_800),
        (SIZE, "1234", 1234),
        (SIZE, "1e6 B", 1e6),
        (COUNT, "3M", 3e6),
        (COUNT, "800k", 8e5),
        (COUNT, "12", 12),
        (PERCENT, "99.5 %", 99.5),
        (PERCENT, "99", 99),
        (POINTS, "0.1", 0.1),
        (RATIO, "1.05", 1.05),
    ],
)
def test_parses(kind: Kind, text: str, value: float) -> None:
    assert kind.parse(text, "--max") == pytest.approx(value, rel=1e-12)  # a product of two floats


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (TIME, "5", "expected a time: a number with one of the units ns, us, µs, ms, s: 5ms"),
        (TIME, "5minutes", "expected a time"),
        (TIME, "ms", "expected a time"),
        (TIME, "", "expected a time"),
        (TIME, "-5ms", "expected a time"),
        (TIME, "5,0ms", "expected a time"),
        (TIME, "\u0663ms", "expected a time"),  # an Arabic digit
        (TIME, "nan", "expected a time"),
        (SIZE, "200KB", "one of the units B, kB, MB, GB, KiB, MiB, GiB or none: 200kB"),
        (SIZE, "1e999", "expected a finite number"),
        (COUNT, "3m", "one of the units k, M, G or none: 3M"),
        (POINTS, "0.1%", "a number with no unit: 0.1"),
        (RATIO, "1.05x", "a number with no unit: 1.05"),
    ],
)
def test_what_is_no_quantity_is_told(kind: Kind, text: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=r"^--max is ") as caught:
        kind.parse(text, "--max")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (TIME, 0, "0 ns"),
        (TIME, 999, "999 ns"),
        (TIME, 1234, "1.23 µs"),
        (TIME, 61_700, "61.7 µs"),
        (TIME, 328_000, "328 µs"),
        (TIME, 2.3e9, "2.30 s"),
        (TIME, 3.6e12, "3,600 s"),
        (SIZE, 1, "1 B"),
        (SIZE, 1 << 20, "1.05 MB"),
        (COUNT, 12, "12"),
        (COUNT, 4_200_000, "4.20 M"),
        (PERCENT, 98.94, "98.94 %"),
        (POINTS, -0.125, "-0.12 points"),
        (RATIO, 1.05, "1.05"),
    ],
)
def test_formats(kind: Kind, value: float, text: str) -> None:
    assert kind.format(value) == text


def test_formats_apart_what_differs() -> None:
    assert SIZE.format_apart(1_207_000, 1_205_000) == ("1.207 MB", "1.205 MB")
    assert RATIO.format_apart(1.05, 1.0501, 1.05) == ("1.0500", "1.0501", "1.0500")
    assert TIME.format_apart(5e6, 5e6) == ("5.00 ms", "5.00 ms")
