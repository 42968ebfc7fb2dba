import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from liteport.errors import BackendError, InvalidInputError
from liteport.runtime.backends import Backend, choose_engine
from liteport.runtime.lanes import Lanes


@pytest.fixture(params=["tflite-int8.tflite", "onnx-int8.onnx"])
def backend(request: pytest.FixtureRequest, tiny_bundle: Path) -> Backend:
    path = tiny_bundle / request.param
    return choose_engine(path.suffix).load(path.read_bytes(), threads=1)


@pytest.fixture
def lanes(backend: Backend) -> Iterator[Lanes]:
    made = Lanes(backend)
    yield made
    made.close()


def noise(backend: Backend, items: int, seed: int = 0) -> NDArray[np.generic]:
    values = np.random.default_rng(seed).integers(0, 100, (items, 28, 28, 1))
    return values.astype(backend.inputs[0].dtype)


def test_single_items_and_batches_have_a_lane_each(lanes: Lanes) -> None:
    assert lanes.lane(1) is lanes.lane(1)
    assert lanes.lane(5) is lanes.lane(7)
    assert len({id(lane) for lane in (lanes.lane(1), lanes.lane(5), lanes.lane(1, worker=1))}) == 3


def test_memory_gives_what_a_run_gives(lanes: Lanes, backend: Backend) -> None:
    for items in (1, 3):
        lane, array = lanes.lane(items), noise(backend, items)
        (expected,) = lane.run([array])
        found = lane.memory((array.shape,))
        assert found is not None  # no size is read while these files run
        memory = found[0]
        memory.inputs[0][...] = array
        memory.invoke()
        np.testing.assert_array_equal(memory.outputs[0], expected)


def test_other_shapes_are_noticed(lanes: Lanes, backend: Backend) -> None:
    lane, shapes = lanes.lane(2), ((2, 28, 28, 1),)
    before = lane.memory(shapes)
    assert before is not None
    assert lane.memory(shapes) == before
    lane.run([noise(backend, 2)])
    assert lane.preparation is before[1]  # the same shapes: the memory is where it was
    lane.run([noise(backend, 4)])
    assert lane.preparation is not before[1]
    lane.memory(shapes)
    assert lane.preparation is not before[1]


def test_a_failed_run_leaves_nothing_to_rely_on(lanes: Lanes, backend: Backend) -> None:
    lane = lanes.lane(2)
    (expected,) = lane.run([noise(backend, 2)])
    before = lane.preparation
    with pytest.raises(BackendError):
        lane.run([np.zeros((2, 5, 5, 1), backend.inputs[0].dtype)])
    assert lane.preparation is not before
    np.testing.assert_array_equal(lane.run([noise(backend, 2)])[0], expected)


def test_closing_waits_for_the_engine_and_ends_all_lanes(lanes: Lanes, backend: Backend) -> None:
    single, batch = lanes.lane(1), lanes.lane(2)
    array = noise(backend, 2)
    batch.run([array])
    closing = threading.Thread(target=lanes.close)
    with batch.lock:
        closing.start()
        closing.join(0.05)
        assert closing.is_alive()
    closing.join()
    lanes.close()  # a second time
    for call in (lambda: lanes.lane(1), lambda: single.run([array[:1]]), lambda: batch.run([array]), lanes.check_open):
        with pytest.raises(InvalidInputError, match="the model is closed; load it again"):
            call()
