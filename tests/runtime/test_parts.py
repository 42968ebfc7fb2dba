import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liteport.errors import InvalidInputError
from liteport.runtime import TensorSpec
from liteport.runtime.parts import Part, side_by_side, split, whole_number

OUTPUT = (TensorSpec("y", "float32", (None, 2)),)


@given(
    count=st.integers(0, 300),
    item=st.sampled_from([2, 784, 150_528]),
    fixed=st.none() | st.integers(1, 40),
    workers=st.integers(1, 8),
)
def test_every_item_is_run_and_kept_once_and_in_order(count: int, item: int, fixed: int | None, workers: int) -> None:
    batch = np.broadcast_to(np.arange(1, count + 1)[:, np.newaxis], (count, item))
    parts = split(batch, fixed, workers)
    taken = [part.taken(batch)[:, :2] for part in parts]
    kept = [part.kept([values], OUTPUT)[0] for part, values in zip(parts, taken, strict=True)]
    assert np.concatenate([*kept, np.zeros((0, 2))])[:, 0].tolist() == list(range(1, count + 1))
    assert len({len(values) for values in taken}) <= 1  # the engine is prepared for one size
    if fixed is not None:
        assert all(len(values) == fixed for values in taken)
    elif item == 150_528:  # 224 x 224 x 3: one image at a time, whatever there is
        assert all(len(values) == 1 for values in taken)


def test_work_is_divided_evenly() -> None:
    for count, workers, sizes in ((64, 2, [32, 32]), (33, 2, [17, 17]), (40, 3, [14, 14, 14]), (3, 8, [1, 1, 1])):
        assert [part.size for part in split(np.zeros((count, 784)), None, workers)] == sizes
    assert sum(part.size for part in split(np.zeros((10_000, 784)), None, 2)) <= 10_016  # 16 of them twice


def test_a_result_that_is_not_one_entry_an_item_is_told() -> None:
    whole, some = Part(0, 3, 3, 0, whole=True, fixed=False), Part(0, 3, 3, 0, whole=False, fixed=False)
    total = [np.zeros(())]
    assert whole.kept(total, OUTPUT) is total  # nothing was cut: the file's own rules
    with pytest.raises(InvalidInputError, match=r"output 'y' has shape \(\) for 3 items, .*; pass at most 3"):
        some.kept(total, OUTPUT)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_order(workers: int) -> None:
    parts = split(np.zeros((1000, 784)), None, 1)
    used = set()

    def run(part: Part, worker: int) -> int:
        used.add((worker, threading.get_ident()))
        return part.start

    assert side_by_side(run, parts, workers) == [part.start for part in parts]
    assert len(used) == len({worker for worker, _ in used}) <= workers  # a worker stays on one thread


def test_one_failure_ends_all() -> None:
    parts = split(np.zeros((3200, 784)), None, 2)
    started = []

    def run(part: Part, worker: int) -> None:
        started.append(part.start)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        side_by_side(run, parts, 2)
    assert len(started) <= 2 < len(parts)


@pytest.mark.parametrize("count", [0, -1, 257, 1.5, "2", None, 10**30])
def test_counts_are_sensible_whole_numbers(count: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"^workers is .*, expected a whole number from 1 to 256$"):
        whole_number("workers", count)
    assert whole_number("workers", np.int64(2)) == 2
