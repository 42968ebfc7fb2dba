import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from liteport.errors import ConversionError, IntegrityError, InvalidInputError, MissingDependencyError
from liteport.export.c_source import float_literal, identifier, registration, string_literal
from liteport.export.micro_interpreter import MicroBackend, agreement, litert, run_micro, smallest_arena
from liteport.export.microcontroller import c_array
from liteport.runtime.card import Preprocessing
from liteport.runtime.quantization import pixel_table
from liteport.terminal import muted

pytest.importorskip("tflite_micro", reason="tflite-micro has packages for Linux x86_64 only")

layers = keras.layers
SHAPE = (12, 12, 3)
UNIT = Preprocessing(scale=1 / 255)
BY_CHANNEL = Preprocessing(scale=(1 / 255, 1 / 200, 1 / 127), offset=(0.0, 0.1, -0.25))


def int8_file(*middle: Callable[[Any], Any], integer: bool = True) -> bytes:
    """A full-integer model whose input range is exactly 0 to 1, so that its scale is 1/255 and its zero point -128."""
    import tensorflow as tf

    keras.utils.set_random_seed(3)
    image = x = keras.Input(SHAPE)
    for layer in (layers.Conv2D(4, 3, activation="relu"), *middle, layers.MaxPooling2D(), layers.Flatten()):
        x = layer(x)
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(image, layers.Dense(3)(x)))
    if integer:
        images = np.random.default_rng(0).random((20, 1, *SHAPE), np.float32)
        images[0, ..., 0], images[0, ..., 1] = 0, 1
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([one] for one in images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    with muted():
        content: bytes = converter.convert()
    return content


@pytest.fixture(scope="module")
def model() -> bytes:
    return int8_file()


@pytest.fixture(scope="module")
def inputs() -> NDArray[np.int8]:
    return np.random.default_rng(1).integers(-128, 128, (40, *SHAPE), np.int8)


MAIN = """\
#include "NAME.h"
#include <stdio.h>

enum { kTfLiteOk };
struct Resolver {
  int added;
  int AddConv2D() { ++added; return kTfLiteOk; }
  int AddMaxPool2D() { ++added; return kTfLiteOk; }
  int AddReshape() { ++added; return kTfLiteOk; }
  int AddShape() { ++added; return kTfLiteOk; }
  int AddStridedSlice() { ++added; return kTfLiteOk; }
  int AddPack() { ++added; return kTfLiteOk; }
  int AddFullyConnected() { ++added; return kTfLiteOk; }
};

int main() {
  Resolver resolver = {0};
  unsigned long sum = 0;
  int shape[] = UPPER_INPUT_SHAPE;
  for (int i = 0; i < UPPER_MODEL_BYTES; ++i) sum = (sum * 31 + PREFIX_model[i]) % 1000003;
  printf("%d %lu %d\\n", UPPER_MODEL_BYTES, sum, (int)((uintptr_t)PREFIX_model % 16));
  printf("%d %d %d ", UPPER_ARENA_BYTES, UPPER_INPUT_SIZE, UPPER_CHANNELS);
  printf("%d %d\\n", UPPER_CLASSES, shape[UPPER_INPUT_RANK - 1]);
  printf("%.9g %d\\n", UPPER_INPUT_SCALE, UPPER_INPUT_ZERO_POINT);
  printf("%.9g %d\\n", UPPER_OUTPUT_SCALE, UPPER_OUTPUT_ZERO_POINT);
  printf("%d\\n", UPPER_ADD_OPS(resolver) && resolver.added == UPPER_OP_COUNT);
  for (int channel = 0; channel < UPPER_CHANNELS; ++channel)
    for (int pixel = 0; pixel < 256; ++pixel) printf("%d ", PREFIX_from_pixel((uint8_t)pixel, channel));
  printf("\\n");
LABELS
}
"""
PRINT_LABELS = '  for (int i = 0; i < UPPER_CLASSES; ++i) printf("%s%c", PREFIX_labels[i], 0);'


def build_and_run(folder: Path, compiler: str, file: str, prefix: str, labels: bool) -> list[bytes]:
    text = MAIN.replace("LABELS", PRINT_LABELS if labels else "").replace("NAME", file)
    (folder / "main.cc").write_text(text.replace("PREFIX", prefix).replace("UPPER", prefix.upper()))
    strict = ["-std=c++11", "-Wall", "-Wextra", "-pedantic", "-Werror"]
    command = [compiler, *strict, "main.cc", f"{file}.cc", "-o", "program"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return subprocess.run([folder / "program"], check=True, capture_output=True).stdout.split(b"\n", 6)


@pytest.mark.parametrize(
    ("name", "file", "labels", "preprocessing"),
    [("Plain", None, None, UNIT), ("7 Ziffern*/", "c-array", ['a"b\\', "??=é\n", "数字 1🙂"], BY_CHANNEL)],
)
def test_the_pair_compiles_without_warnings_and_reads_back(
    model: bytes,
    tmp_path: Path,
    name: str,
    file: str | None,
    labels: list[str] | None,
    preprocessing: Preprocessing,
) -> None:
    compiler = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
    if compiler is None:
        pytest.skip("this machine has no C++ compiler")
    sources = c_array(model, name=name, labels=labels, preprocessing=preprocessing, file=file)
    file = file or sources.prefix
    (tmp_path / f"{file}.h").write_text(sources.header, encoding="ascii")
    (tmp_path / f"{file}.cc").write_text(sources.source, encoding="ascii")
    found = build_and_run(tmp_path, compiler, file, sources.prefix, labels is not None)

    checksum = 0
    for byte in model:
        checksum = (checksum * 31 + byte) % 1000003
    assert list(map(int, found[0].split())) == [len(model), checksum, 0]
    assert list(map(int, found[1].split())) == [sources.arena_bytes, math.prod(SHAPE), 3, 3, 3]
    backend = litert(model)
    for line, spec in zip(found[2:4], (backend.inputs[0], backend.outputs[0]), strict=True):
        scale, zero_point = line.split()
        assert np.float32(scale) == np.float32(spec.scale)  # exactly: it is the same number in single precision
        assert int(zero_point) == spec.zero_point
    assert int(found[4]) == 1
    table = np.broadcast_to(pixel_table(preprocessing, backend.inputs[0], 3), (3, 256))
    np.testing.assert_array_equal(np.array(found[5].split(), int), table.ravel())
    assert found[6].split(b"\0")[:-1] == [label.encode() for label in labels or ()]


def test_the_header_is_c_as_well(model: bytes, tmp_path: Path) -> None:
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        pytest.skip("this machine has no C compiler")
    (tmp_path / "m.h").write_text(c_array(model, name="m", labels=None, preprocessing=BY_CHANNEL).header)
    strict = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"]
    subprocess.run([compiler, *strict, "-x", "c", tmp_path / "m.h"], check=True)


def test_says_that_a_pixel_is_only_shifted(model: bytes) -> None:
    plain = c_array(model, name="m", labels=None, preprocessing=UNIT)
    assert "exactly the pixel less 128" in plain.header
    assert "m_pixels" not in plain.header + plain.source


def test_the_arena_is_the_smallest_and_enough(model: bytes, inputs: NDArray[np.int8]) -> None:
    arena = smallest_arena(model)
    assert arena % 16 == 0
    np.testing.assert_array_equal(run_micro(model, arena, inputs), run_micro(model, 10 * arena, inputs))
    with pytest.raises(ConversionError, match=r"Failed to \w+"):
        run_micro(model, arena - 16, inputs)


def test_computes_bit_for_bit_what_litert_does_without_xnnpack(model: bytes, inputs: NDArray[np.int8]) -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    reference = Interpreter(model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    reference.allocate_tensors()
    expected = []
    for values in inputs:
        reference.set_tensor(reference.get_input_details()[0]["index"], values[np.newaxis])
        reference.invoke()
        expected.append(reference.get_tensor(reference.get_output_details()[0]["index"])[0])
    np.testing.assert_array_equal(run_micro(model, smallest_arena(model), inputs, processes=3), expected)


def test_agrees_with_litert_as_users_run_it(model: bytes, inputs: NDArray[np.int8]) -> None:
    found = agreement(model, smallest_arena(model), inputs)
    assert found.samples == len(inputs)
    # XNNPACK may round otherwise in each of the two layers with weights; classes that are no further apart may swap.
    assert found.max_steps <= 2
    assert found.same_top >= 0.9 * len(inputs)


def test_the_backend_takes_any_number_of_images(model: bytes, inputs: NDArray[np.int8]) -> None:
    backend = MicroBackend(model, smallest_arena(model))
    assert backend.inputs[0].shape == (None, *SHAPE)
    assert backend.outputs[0].shape == (None, 3)
    assert backend.run([inputs])[0].shape == (len(inputs), 3)


def test_names_the_op_that_microcontrollers_lack() -> None:
    tiled = int8_file(lambda x: keras.ops.tile(x, (1, 2, 1, 1)))
    with pytest.raises(ConversionError, match="no kernel for TILE"):
        c_array(tiled, name="m", labels=None, preprocessing=UNIT)


def test_refuses_what_is_no_full_integer_model(model: bytes) -> None:
    with pytest.raises(ConversionError, match=r"one int8 input; found '\w+' \(float32\)"):
        c_array(int8_file(integer=False), name="m", labels=None, preprocessing=UNIT)
    with pytest.raises(IntegrityError):
        c_array(model[: len(model) // 2], name="m", labels=None, preprocessing=UNIT)


@pytest.mark.parametrize(("labels", "message"), [(["a", "b"], "2 labels; expected 3"), (["a", "b", "c\0"], "C string")])
def test_refuses_labels_that_do_not_fit(model: bytes, labels: list[str], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        c_array(model, name="m", labels=labels, preprocessing=UNIT)


def test_says_how_to_install_the_interpreter(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tflite_micro", None)
    with pytest.raises(MissingDependencyError, match=r"liteport\[micro\]"):
        c_array(model, name="m", labels=None, preprocessing=UNIT)
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    with pytest.raises(MissingDependencyError, match=r"Linux x86_64 only, this is Darwin"):
        smallest_arena(model)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CapsNet v2", "capsnet_v2"),
        ("7 segments", "model_7_segments"),
        ("数字", "model"),
        ("", "model"),
        ("__x__", "x"),
    ],
)
def test_identifiers_are_c(name: str, expected: str) -> None:
    assert identifier(name) == expected


@pytest.mark.parametrize(("text", "literal"), [("\x019", '"\\0019"'), ("a?", '"a\\?"'), ("é", '"\\303\\251"')])
def test_string_literals_are_ascii(text: str, literal: str) -> None:
    assert string_literal(text) == literal


@pytest.mark.parametrize("value", [1.0, 1 / 255, 1e-10, 3e20])
def test_float_literals_read_back(value: float) -> None:
    literal = float_literal(value)
    assert literal.endswith("f")
    assert set(".e") & set(literal)  # an integer with an f is no C
    assert np.float32(literal[:-1]) == np.float32(value)


@pytest.mark.parametrize(
    ("op", "method"),
    [("CONV_2D", "AddConv2D"), ("L2_POOL_2D", "AddL2Pool2D"), ("PADV2", "AddPadV2"), ("RELU6", "AddRelu6")],
)
def test_ops_are_registered_by_their_methods(op: str, method: str) -> None:
    assert registration(op) == method
