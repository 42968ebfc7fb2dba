"""Odd and wrong inputs: each gives the answer that the plain array gives, or the documented error, and nothing else."""

import copy
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from liteport.errors import InvalidInputError
from liteport.export.tflite_parts import take_apart
from liteport.runtime import Model, load

SHAPES = "(28, 28, 1) or (N, 28, 28, 1) or (28, 28) or (N, 28, 28)"  # what the messages list

# Each model is asked a few dozen times; hypothesis would warn of the fixtures that the examples share on purpose.
few = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module", params=["tflite-float32", "tflite-int8", "onnx-int8", "foreign"])
def model(
    request: pytest.FixtureRequest, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Model]:
    """Shared by all tests of a variant: what one wrong input spoils, the next test finds."""
    path = tiny_bundle
    if request.param == "foreign":
        path = tmp_path_factory.mktemp("foreign") / "model.tflite"
        path.write_bytes(take_apart((tiny_bundle / "tflite-float32.tflite").read_bytes()).model)
    with load(path, None if request.param == "foreign" else request.param) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def plain(model: Model, digits: NDArray[np.uint8]) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """The answer to a batch in its plainest form: a new contiguous array of float32 or uint8, all four dimensions."""

    def answer(batch: NDArray[Any]) -> NDArray[np.float32]:
        dtype = np.uint8 if batch.dtype == np.uint8 else np.float32
        return model.predict(np.array(batch, dtype, order="C").reshape(-1, 28, 28, 1))

    return answer


class Tensor:
    """What other libraries' tensors are to numpy."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self.values if dtype is None else self.values.astype(dtype)


class Photo(np.ndarray[Any, Any]):
    """A subclass that answers wrongly to what the runtime might ask it instead of numpy."""

    def astype(self, *args: Any, **kwargs: Any) -> Any:
        return np.zeros((1, 1))

    def __getitem__(self, key: Any) -> Any:
        return np.zeros((1, 1))


def every_second(array: NDArray[Any]) -> NDArray[Any]:
    wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), 255, array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


def backwards(array: NDArray[Any]) -> NDArray[Any]:
    turned = (slice(None, None, -1),) * array.ndim
    return np.ascontiguousarray(array[turned])[turned]


def unaligned(array: NDArray[Any]) -> NDArray[Any]:
    memory = np.zeros(array.nbytes + 1, np.uint8)
    memory[1:] = array.reshape(-1).view(np.uint8)
    return memory[1:].view(array.dtype).reshape(array.shape)


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array


FORMS: dict[str, Callable[[NDArray[Any]], Any]] = {
    "contiguous": np.array,
    "Fortran order": np.asfortranarray,
    "strided": every_second,
    "negative strides": backwards,
    "unaligned": unaligned,
    "read-only": read_only,
    "other byte order": lambda array: array.astype(array.dtype.newbyteorder()),
    "subclass": lambda array: array.view(Photo),
    "masked array without a mask": np.ma.masked_array,
    "list of arrays": list,
    "object with __array__": Tensor,
    "memoryview": lambda array: array.data if array.dtype.char in "Bfd" else array,
    "nested lists": lambda array: array.tolist() if array.dtype != np.uint8 else array,
}


@few
@given(
    st.sampled_from(sorted(FORMS)),
    st.sampled_from([np.uint8, np.float16, np.float32, np.float64, np.longdouble]),
    st.sampled_from([(28, 28), (28, 28, 1), (1, 28, 28), (3, 28, 28), (5, 28, 28, 1), (40, 28, 28)]),
)
def test_how_an_image_lies_in_memory_does_not_count(
    model: Model, plain: Any, digits: NDArray[np.uint8], form: str, dtype: Any, shape: tuple[int, ...]
) -> None:
    pixels = digits[:40].reshape(-1)[: int(np.prod(shape))].reshape(shape)
    values = pixels if dtype is np.uint8 else (pixels / 255).astype(dtype)
    given_array = FORMS[form](values.copy())
    if dtype is np.uint8 and model.card is None:
        with pytest.raises(InvalidInputError, match="raw pixels"):
            model.predict(given_array)
        return
    want = plain(values)
    # The same number of images through the same engine: every bit is the same.
    np.testing.assert_array_equal(model.predict(given_array), want)
    np.testing.assert_array_equal(model.run({"input": given_array})["output"], want)
    np.testing.assert_array_equal(np.asarray(FORMS[form](values.copy())), np.asarray(given_array))  # left as it was


@few
@given(hnp.scalar_dtypes() | hnp.array_dtypes(), st.sampled_from([(28, 28), (2, 28, 28, 1)]))
@example(np.dtype(object), (28, 28))
@example(np.dtype("V1"), (28, 28))
def test_other_dtypes_are_refused(model: Model, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    assume(dtype.kind != "f" and dtype != np.uint8)
    images = np.zeros(shape, dtype)
    with pytest.raises(InvalidInputError, match=r"have dtype .*; expected uint8 \(raw pixels\) or floating"):
        model.predict(images)
    with pytest.raises(InvalidInputError, match="have dtype"):
        model.run({"input": images})


sides = st.sampled_from([0, 1, 2, 3, 27, 28, 29, 784])


@few
@given(st.lists(sides, max_size=6).map(tuple) | hnp.array_shapes(max_dims=8), st.sampled_from([np.uint8, np.float32]))
@example((10**12, 27, 28), np.float32)  # would not fit in any memory
@example((28, 28, 0), np.uint8)
@example((1, 1, 28, 28), np.float32)
@example((28, 28, 3), np.uint8)
@example((), np.uint8)
def test_other_shapes_are_refused_with_those_that_would_do(model: Model, shape: tuple[int, ...], dtype: Any) -> None:
    assume(shape[-2:] != (28, 28) or len(shape) > 3)
    assume(shape[-3:] != (28, 28, 1) or len(shape) > 4)
    with pytest.raises(InvalidInputError) as raised:
        model.predict(np.broadcast_to(dtype(0), shape))
    assert f"have shape {shape}; expected {SHAPES}" in str(raised.value)


@few
@given(
    st.sampled_from([np.nan, np.inf, -np.inf]),
    st.sampled_from([np.float16, np.float32, np.float64, ">f4"]),
    st.integers(0, 3 * 784 - 1),
    st.sampled_from(["contiguous", "Fortran order", "negative strides"]),
)
def test_a_number_that_is_none_is_found_wherever_it_is(
    model: Model, number: float, dtype: Any, position: int, form: str
) -> None:
    images = np.zeros((3, 28, 28), dtype)
    images.reshape(-1)[position] = number
    with pytest.raises(InvalidInputError, match=r"hold NaN or infinity .*; expected finite numbers"):
        model.predict(FORMS[form](images))


@few
@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(0, 783))
@example(float(np.finfo(np.float32).max), 0)
def test_any_finite_number_is_taken(tiny_bundle: Path, number: float, position: int) -> None:
    """Beyond the input's grid integers saturate."""
    image = np.zeros((28, 28), np.float32)
    image.reshape(-1)[position] = number
    saturated = np.clip(image, 0, 1)  # the grid of these models, which were calibrated on pixels from 0 to 1
    with load(tiny_bundle, "tflite-int8") as model:
        np.testing.assert_array_equal(model.predict(image), model.predict(saturated))


def recursive() -> list[Any]:
    values: list[Any] = []
    values.append(values)
    return values


NO_IMAGES: dict[str, Any] = {
    "masked pixels": np.ma.masked_array(np.zeros((28, 28), np.uint8), mask=np.eye(28, dtype=bool)),
    "nothing": None,
    "a name": "seven.png",
    "a file's bytes": b"\x89PNG",
    "a dictionary": {"input": 1.0},
    "a set": {1.0},
    "a function": len,
    "a type": np.uint8,
    "an iterator": iter([1.0]),
    "a ragged list": [[1.0, 2.0], [3.0]],
    "a ragged list of arrays": [np.zeros((28, 28)), np.zeros((28, 27))],
    "a list in itself": recursive(),
    "a list of None": [[None] * 28] * 28,
    "whole numbers in lists": [[7] * 28] * 28,
    "a number": 3.5,
    "an empty list": [],
    "a tensor that is none": Tensor([1.0]),
    "a table": np.zeros((28, 28), [("red", "u1"), ("green", "u1")]),
}


@pytest.mark.parametrize("value", NO_IMAGES.values(), ids=NO_IMAGES)
def test_what_is_no_image_is_refused(model: Model, value: Any) -> None:
    for call in (lambda: model.predict(value), lambda: model.run({"input": value})):
        with pytest.raises(InvalidInputError, match="expected") as raised:
            call()
        assert "\n" not in str(raised.value)


class Lying(Mapping[Any, Any]):
    """A dictionary that has a name and not its value."""

    def __getitem__(self, key: Any) -> Any:
        return None

    def __iter__(self) -> Iterator[Any]:
        return iter(["input"])

    def __len__(self) -> int:
        return 1


names = st.none() | st.integers() | st.text(max_size=5) | st.binary(max_size=3) | st.tuples(st.integers())


@few
@given(st.dictionaries(names, st.none(), max_size=3) | st.lists(names, max_size=2) | st.none())
@example({})
@example({"Input": None})
def test_dictionaries_with_other_names_are_refused(model: Model, inputs: Any) -> None:
    assume(not (isinstance(inputs, dict) and set(inputs) == {"input"}))
    with pytest.raises(InvalidInputError, match=r"expected|known: input"):
        model.run(inputs)
    with pytest.raises(InvalidInputError, match="expected"):
        model.run(Lying())


steps = st.lists(st.integers(0, 40) | st.sampled_from(["shape", "dtype", "nan", "ragged", "name"]), max_size=8)


@few
@given(steps)
def test_what_went_wrong_before_changes_no_answer(model: Model, digits: NDArray[np.uint8], steps: list[Any]) -> None:
    """Batches of any size and failures in any order: each answer is that of a batch of its size."""
    images = digits[:40] if model.card else (digits[:40] / 255).astype(np.float32)
    wrong: dict[str, Callable[[], object]] = {
        "shape": lambda: model.predict(images[:, :5]),
        "dtype": lambda: model.predict(images.astype(complex)),
        "nan": lambda: model.predict(np.full((4, 28, 28), np.nan)),
        "ragged": lambda: model.predict([images[0], images[0, :5]]),
        "name": lambda: model.run({"inputs": images}),
    }
    answers = []
    for step in steps:
        if isinstance(step, str):
            with pytest.raises(InvalidInputError):
                wrong[step]()
        else:
            answer = model.predict(images[:step])
            assert answer.shape == (step, 10)
            # Other sizes may run through other kernels: a step of an 8-bit output, or float32's last digits.
            tolerance = 1 / 256 if model.outputs[0].scale or model.variant == "onnx-int8" else 1e-5
            np.testing.assert_allclose(answer, model.predict(images)[:step], rtol=0, atol=tolerance)
            answers.append((answer, answer.copy()))
    for answer, at_first in answers:  # no later call has written into an earlier one's result
        np.testing.assert_array_equal(answer, at_first)


def test_threads_that_change_the_batch_size_get_their_own_answers(model: Model, digits: NDArray[np.uint8]) -> None:
    images = digits[:40] if model.card else (digits[:40] / 255).astype(np.float32)
    wants = [[model.predict(images[i : i + count]) for count in (1, 2, 7)] for i in range(4)]  # each thread its own

    def ask(i: int) -> None:
        for choice in np.random.default_rng(i).integers(0, 3, 100):
            np.testing.assert_array_equal(model.predict(images[i : i + (1, 2, 7)[choice]]), wants[i][choice])

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads change places wherever they can
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(ask, range(4)))
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.parametrize("variant", ["tflite-int8", "tflite-float32", "onnx-int8"])
def test_a_model_closed_while_it_is_used_says_so(variant: str, tiny_bundle: Path, digits: NDArray[np.uint8]) -> None:
    model = load(tiny_bundle, variant)
    want = model.predict(digits[:4])
    running = threading.Barrier(4)

    def ask() -> str:
        running.wait()
        while True:
            try:
                np.testing.assert_array_equal(model.predict(digits[:4]), want)
            except InvalidInputError as error:
                return str(error)

    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(ask) for _ in range(3)]
        running.wait()
        model.close()
        assert {answer.result() for answer in answers} == {"the model is closed; load it again"}
    for value in NO_IMAGES.values():
        with pytest.raises(InvalidInputError):
            model.predict(value)


def test_a_model_is_no_value_to_be_copied(model: Model, digits: NDArray[np.uint8]) -> None:
    """An engine's memory cannot be sent or doubled."""
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="load it again there"):
            copied(model)
    image = (digits[0] / 255).astype(np.float32)
    assert model.predict(image).shape == (1, 10)


AT_THE_END = """
import atexit, builtins, os, sys
import numpy as np
from liteport.runtime import load

images = np.arange(2 * 784, dtype=np.uint8).reshape(2, 28, 28)
builtins.models = models = [load(sys.argv[1], variant) for variant in sys.argv[2:]]
wants = [model.predict(images) for model in models]

def right():
    return all((model.predict(images) == want).all() for model, want in zip(models, wants))

class Late:
    def __del__(self, right=right, out=os.write):
        out(1, b"collected %d\\n" % right())

child = os.fork()
if child == 0:
    os._exit(0 if right() else 1)
print("child", os.waitpid(child, 0)[1], flush=True)
atexit.register(lambda: print("atexit", int(right()), flush=True))
builtins.late = Late()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_child_process_and_the_end_of_the_interpreter_change_nothing(tiny_bundle: Path) -> None:
    """What is left for the end of the process still works, whichever order things are torn down in."""
    command = [sys.executable, "-W", "ignore", "-c", AT_THE_END, str(tiny_bundle), "tflite-int8", "onnx-int8"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "child 0\natexit 1\ncollected 1\n"), done.stderr
