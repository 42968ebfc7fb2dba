import pytest

from liteport.benchmarks.steadiness import is_steady, median_of


@pytest.mark.parametrize(
    ("medians", "steady"),
    [
        ([], False),
        ([100, 100], False),
        ([100, 100, 100], True),
        ([300, 105, 100, 102], True),
        ([100, 100, 106], False),
        ([100, 100, 100, 94], False),
    ],
)
def test_steady(medians: list[float], steady: bool) -> None:
    assert is_steady(medians) is steady


def test_median_is_the_middle_or_between_the_two() -> None:
    assert median_of([3, 1, 2]) == 2
    assert median_of([4, 1, 2, 3]) == 2.5
