import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from liteport.errors import InvalidInputError
from liteport.runtime import BackendInfo, Model, TensorSpec, load, stages
from liteport.runtime.backends import Backend, Memory, Shapes
from liteport.runtime.stages import time_stages

BEFORE, ENGINE, AFTER = 7, 100, 3


class Clock:
    """Stands still but for what is told to take time."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


class Pixels:
    """An image that takes time to be read."""

    def __init__(self, clock: Clock, items: int = 1) -> None:
        self._clock, self._items = clock, items

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.float32]:
        self._clock.now += BEFORE
        return np.ones((self._items, 2), np.float32)


class Doubling:
    """An engine that takes time to run."""

    info = BackendInfo("doubling", "1", "CPU")
    inputs = outputs = (TensorSpec("x", "float32", (None, 2)),)

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def run(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        self._clock.now += ENGINE
        return [2 * array for array in arrays]

    def memory(self, shapes: Shapes) -> Memory | None:
        return None

    def another(self) -> Backend:
        return Doubling(self._clock)

    def close(self) -> None:
        pass


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(stages, "perf_counter_ns", found)
    return found


@pytest.fixture
def model(clock: Clock) -> Model:
    """A model whose outputs take time to be decoded."""
    model = Model(Doubling(clock), None)

    def decode(values: NDArray[Any]) -> NDArray[Any]:
        clock.now += AFTER
        return values.copy()

    model._decoders = [decode]
    return model


def test_each_stage_has_its_own_time(model: Model, clock: Clock) -> None:
    for given in (Pixels(clock), {"x": Pixels(clock)}):
        found = time_stages(model, given, 4)
        assert found is not None
        assert found.preprocess_ns == (BEFORE,) * 4
        assert found.invoke_ns == (ENGINE,) * 4
        assert found.postprocess_ns == (AFTER,) * 4


def test_a_call_of_several_runs_has_no_stages(model: Model, clock: Clock) -> None:
    assert time_stages(model, Pixels(clock, items=40), 4) is None  # more than one part's most items, 32
    assert time_stages(model, Pixels(clock, items=0), 4) is None
    assert time_stages(model, Pixels(clock), 1) is not None


@pytest.mark.parametrize("variant", ["tflite-float32", "tflite-int8", "onnx-float32"])
def test_takes_the_shortcut_and_leaves_the_model_as_it_was(
    variant: str, tiny_bundle: Path, digits: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = []
    in_turn, prepare = stages._Timed.run, stages._Timed.memory
    monkeypatch.setattr(stages._Timed, "run", lambda self, arrays: ways.append("run") or in_turn(self, arrays))
    monkeypatch.setattr(stages._Timed, "memory", lambda self, shapes: ways.append("memory") or prepare(self, shapes))
    with load(tiny_bundle, variant) as model:
        want, several = model.predict(digits[:1]), model.predict(digits[:5])
        found = time_stages(model, digits[:1], 20)
        assert ways == ["run", "memory"]  # the first call runs the plain way and finds the shortcut, all others take it
        assert found is not None
        assert len(found.invoke_ns) == len(found.preprocess_ns) == len(found.postprocess_ns) == 20
        # The clock is monotonic, so no stage is negative; an inference takes longer than the clock's resolution.
        assert min(found.preprocess_ns + found.postprocess_ns) >= 0
        assert min(found.invoke_ns) > 0
        np.testing.assert_array_equal(model.predict(digits[:1]), want)
        np.testing.assert_array_equal(model.predict(digits[:5]), several)
        assert len(ways) == 2
    assert gc.isenabled()


def test_refuses_what_predict_refuses(model: Model) -> None:
    with pytest.raises(InvalidInputError, match="expected"):
        time_stages(model, np.ones((1, 3), np.float32), 2)
    np.testing.assert_array_equal(model.predict(np.ones((1, 2), np.float32)), [[2, 2]])


def test_a_failure_gives_the_engine_back(model: Model, clock: Clock) -> None:
    backend = model._lanes.lane(1)._backend
    answers = iter([1, 1, 1, 1, 1])

    def decode(values: NDArray[Any]) -> NDArray[Any]:
        return values.copy() * next(answers)

    model._decoders = [decode]
    with pytest.raises(StopIteration):
        time_stages(model, Pixels(clock), 9)
    assert model._lanes.lane(1)._backend is backend
    assert gc.isenabled()
