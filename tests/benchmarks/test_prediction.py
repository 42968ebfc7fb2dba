import pytest

from liteport.benchmarks.prediction import sample_sizes

SIZES = {"test": 10_000, "shifted": 1000, "rotated": 1000}


@pytest.mark.parametrize(
    ("ns_per_image", "expected"),
    [
        (1e6, (10_000, 1000)),  # 30 s are enough for the test split, and 15 s for each of the copies
        (3e6, (10_000, 1000)),
        (4e6, (4000, 1000)),  # 7,500 would fit, of which a power of two times 500 is taken
        (4.1e6, (4000, 1000)),  # a time that is never quite the same
        (16e6, (1000, 500)),
        (1e9, (500, 500)),  # at least
    ],
)
def test_sample_sizes(ns_per_image: float, expected: tuple[int, int]) -> None:
    found = sample_sizes(SIZES, ns_per_image, seconds=60)
    assert found == {"test": expected[0], "shifted": expected[1], "rotated": expected[1]}


def test_a_small_set_is_asked_whole() -> None:
    assert sample_sizes({"test": 300}, 1e9, seconds=1) == {"test": 300}
    assert sample_sizes({"test": 600}, 1e9, seconds=1) == {"test": 500}
