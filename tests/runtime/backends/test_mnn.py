import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from liteport.errors import BackendError, IntegrityError, InvalidInputError
from liteport.runtime import load, read_bundle
from liteport.runtime.activations import Probe
from liteport.runtime.backends import choose_engine
from liteport.runtime.backends.mnn import MnnBackend
from liteport.runtime.contents.flatbuffer import Table, root
from liteport.runtime.contents.limits import Source
from liteport.runtime.contents.mnn import NAME
from liteport.runtime.contents.trailer import model_end

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 28, 28, 1), np.uint8)
VALUES = IMAGES.astype(np.float32) / 255
INPUT, SOFTMAX = 34, 85  # kinds of operations
ROUNDING = 1e-5  # orders of additions differ, and so do Winograd's sums: MNN chooses their tiles by how many items come


@pytest.fixture
def lone(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(tiny_bundle / "mnn-float32.mnn", tmp_path))


@pytest.fixture
def foreign(lone: Path) -> Path:
    """The same model without what liteport adds at its end."""
    content = lone.read_bytes()
    (path := lone.with_stem("foreign")).write_bytes(content[: model_end(content, NAME)])
    return path


def backend_of(path: Path) -> MnnBackend:
    backend = choose_engine(".mnn").load(path.read_bytes(), 1)
    assert isinstance(backend, MnnBackend)
    return backend


def test_tensors_are_described_with_a_free_batch(lone: Path) -> None:
    backend = backend_of(lone)
    (given,), (result,) = backend.inputs, backend.outputs
    assert (given.name, given.dtype, given.shape, given.scale) == ("input", "float32", (None, 28, 28, 1), None)
    assert (result.name, result.dtype, result.shape) == ("output", "float32", (None, 10))
    assert str(backend.info).endswith("(CPU, float32)")
    backend.close()


@pytest.mark.parametrize(("variant", "most"), [("mnn-float32", ROUNDING), ("mnn-float16", 1e-2)])
def test_answers_are_those_of_onnx(tiny_bundle: Path, variant: str, most: float) -> None:
    # Half precision keeps three digits of each weight.
    with load(tiny_bundle, variant) as model, load(tiny_bundle, "onnx-float32") as reference:
        assert np.abs(model.predict(IMAGES) - reference.predict(IMAGES)).max() < most


def test_weights_of_half_precision_allow_for_its_arithmetic(tiny_bundle: Path) -> None:
    backend = choose_engine(".mnn").load(read_bundle(tiny_bundle).read("mnn-float16"), 1)
    assert backend.info.provider in ("CPU, float16", "CPU, float16 weights")


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_batch_is_answered_as_its_items_are(lone: Path, one_by_one: bool) -> None:
    backend = backend_of(lone)
    backend._one_by_one = one_by_one  # as of a model that takes no batches
    (together,) = backend.run([VALUES])
    apart = np.concatenate([backend.run([item[None]])[0] for item in VALUES])
    np.testing.assert_allclose(together, apart, atol=ROUNDING)
    assert backend.run([VALUES[:0]])[0].shape == (0, 10)
    assert backend.run([VALUES[:7]])[0].shape == (7, 10)


def test_results_are_copies(lone: Path) -> None:
    backend = backend_of(lone)
    (first,) = backend.run([VALUES[:1]])
    kept = first.copy()
    backend.run([VALUES[1:2]])
    np.testing.assert_array_equal(first, kept)


def test_threads_share_a_model(tiny_bundle: Path) -> None:
    with load(tiny_bundle, "mnn-float32") as model, ThreadPoolExecutor(4) as pool:
        expected = model.predict(IMAGES)
        for found in pool.map(lambda _: model.predict(IMAGES), range(16)):
            np.testing.assert_allclose(found, expected, atol=ROUNDING)
        repeated = model.predict(np.repeat(IMAGES, 3, 0), workers=2)
        np.testing.assert_allclose(repeated, np.repeat(expected, 3, 0), atol=ROUNDING)


def test_engines_of_several_threads_do_not_meet(lone: Path) -> None:
    backend = backend_of(lone)
    (expected,) = backend.run([VALUES])
    others = [backend.another() for _ in range(4)]

    def work(number: int) -> None:
        for turn in range(10):
            items = 1 + (number + turn) % 5
            (found,) = others[number].run([VALUES[:items]])
            np.testing.assert_allclose(found, expected[:items], atol=ROUNDING)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    backend.close()
    np.testing.assert_array_equal(others[0].run([VALUES])[0], expected)


def test_other_sizes_do_not_reach_the_engine(lone: Path) -> None:
    with load(lone) as model:
        for shape in ((1, 27, 28, 1), (1, 28, 28, 3), (28,), (1, 1, 28, 28)):
            with pytest.raises(InvalidInputError, match=r"expected \(28, 28, 1\)"):
                model.run({"input": np.zeros(shape, np.float32)})
    with pytest.raises(InvalidInputError, match=r"have shape \(1, 27, 28, 1\); expected \[None, 28, 28, 1\]"):
        backend_of(lone).run([np.zeros((1, 27, 28, 1), np.float32)])


def test_mnn_prints_nothing(lone: Path) -> None:
    script = f"from liteport.runtime import load; load({str(lone)!r}).run({{'input': [[[[0.0]] * 28] * 28]}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == ""


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_one_digest_guards_the_file(lone: Path, share: float) -> None:
    content = bytearray(lone.read_bytes())
    content[int(share * len(content))] ^= 1
    lone.write_bytes(content)
    with pytest.raises(IntegrityError):
        load(lone)


def test_a_foreign_model_is_run_and_may_be_isolated(foreign: Path, lone: Path) -> None:
    with load(foreign, isolate=True) as model, load(lone) as same:
        found, expected = (each.run({"input": VALUES})["output"] for each in (model, same))
        np.testing.assert_allclose(found, expected, atol=ROUNDING)


def test_damage_ends_in_an_error_or_an_answer(foreign: Path) -> None:
    content, random = foreign.read_bytes(), np.random.default_rng(0)
    for _ in range(8):
        damaged = bytearray(content)
        for place in random.integers(0, 4000, 3):  # where operations and their sizes are
            damaged[place] = random.integers(0, 256)
        foreign.write_bytes(damaged)
        with suppress(IntegrityError, BackendError, InvalidInputError):
            load(foreign, isolate=True).close()


def test_what_the_engine_says_is_told(foreign: Path) -> None:
    image = patched(foreign.read_bytes(), INPUT, lambda op: of(op.table(2)).target(0), (1, 27, 28, 1), skip=4)
    with pytest.raises(BackendError, match=r"^MNN 3\S+ \(CPU, float32\) refuses this model: Reshape error"):
        choose_engine(".mnn").load(image, 1)


def test_an_operation_that_mnn_lacks_is_named(foreign: Path) -> None:
    unknown = patched(foreign.read_bytes(), SOFTMAX, lambda op: op.field(5), (720,))
    with pytest.raises(BackendError, match=r"^MNN 3\S+ has no operation 720, which 'output' is$"):
        choose_engine(".mnn").load(unknown, 1)


def of(table: Table | None) -> Table:
    assert table is not None
    return table


def patched(
    content: bytes, kind: int, where: Callable[[Table], int | None], values: tuple[int, ...], skip: int = 0
) -> bytes:
    """The file with other numbers in its operation of a kind."""
    (found,) = [op for op in root(Source(content, NAME), None).tables(3) if op.integer(5, "i") == kind]
    place = where(found)
    assert place is not None
    changed = bytearray(content)
    struct.pack_into(f"<{len(values)}i", changed, place + skip, *values)
    return bytes(changed)


def test_values_inside_are_shown_for_each_item(lone: Path, tiny_bundle: Path) -> None:
    with (
        Probe(lone.read_bytes(), ".mnn") as probe,
        Probe((tiny_bundle / "onnx-float32.onnx").read_bytes(), ".onnx") as other,
    ):
        found, expected = (each.run({"input": VALUES[:5]}) for each in (probe, other))
    both = [name for name in found.keys() & expected.keys() if name.endswith("Relu")]
    assert len(both) == 2  # of the two convolutions, with channels first in either file
    for name in (*both, "output"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-4)


def test_sizes_that_a_file_leaves_open_come_with_the_values(foreign: Path) -> None:
    content = patched(foreign.read_bytes(), INPUT, lambda op: of(op.table(2)).target(0), (-1, -1, -1, 1), skip=4)
    with pytest.raises(BackendError, match="refuses this model: "):  # its dense layer takes one size alone
        choose_engine(".mnn").load(content, 1)


def test_a_signature_is_refused(lone: Path) -> None:
    with pytest.raises(InvalidInputError, match="MNN files have no signatures"):
        load(lone, signature="serving_default")
