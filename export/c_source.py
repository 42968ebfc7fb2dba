"""The text of the C files that hold a model: names, literals, and the two templates."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from string import Template

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError
from liteport.runtime.card import TensorSpec

_PER_LINE = 24
_LONGEST_NAME = 48  # of the 63 characters that C99 compilers must tell names apart by
_ESCAPES = {ord(character): f"\\{character}" for character in '"\\?'}  # "??" would begin a trigraph

# TensorFlow Lite for Microcontrollers calls the method that registers CONV_2D AddConv2D; these do not follow the rule.
_IRREGULAR_OPS = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}


@dataclass(frozen=True)
class Facts:
    """All that the files state.

    Attributes:
        prefix: What every name in them begins with.
        file: What they are called, without suffix.
        model: The `.tflite` file.
        labels: Class names, or None.
        input: The int8 input, of a batch of one.
        output: The int8 output.
        pixel_rows: What each value of a raw pixel becomes: int8, (1, 256), or (channels, 256) where channels differ;
            (0, 256) where it is the pixel less 128, which needs no table.
        preprocessing: The formula of that, in words.
        ops: The kinds of operation in the model, each once.
        arena_bytes: The tensor arena.
        provenance: One line on what made the files, and from what.
        interpreter: The version of tflite-micro that measured the arena.
    """

    prefix: str
    file: str
    model: bytes
    labels: Sequence[str] | None
    input: TensorSpec
    output: TensorSpec
    pixel_rows: NDArray[np.int8]
    preprocessing: str
    ops: Sequence[str]
    arena_bytes: int
    provenance: str
    interpreter: str


def identifier(name: str) -> str:
    """Makes a C identifier, in lower case, from any name."""
    words = re.sub(r"[^0-9a-z]+", "_", name.lower())[:_LONGEST_NAME].strip("_")
    return words if words[:1].isalpha() else f"model_{words}".rstrip("_")


def string_literal(text: str) -> str:
    """Returns a C string literal of ASCII characters that holds a text in UTF-8.

    Raises:
        InvalidInputError: If C has no such string: it ends at a NUL, and UTF-8 has no lone surrogates.
    """
    if "\0" in text or re.search("[\ud800-\udfff]", text):
        raise InvalidInputError(f"label {text!r} cannot be a C string; expected text without NULs or lone surrogates")
    # Octal: three digits end an escape, where a hexadecimal one would take in the digits that follow.
    characters = (_ESCAPES.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}") for byte in text.encode())
    return f'"{"".join(characters)}"'


def float_literal(value: float) -> str:
    """Returns the shortest C literal from which a compiler reads the same single-precision number."""
    return f"{np.float32(value)!s}f"


def registration(op: str) -> str:
    """Returns the name of the `MicroMutableOpResolver` method that registers an operation."""
    words = (word if word[0].isdigit() else word.capitalize() for word in op.split("_"))
    return "Add" + (_IRREGULAR_OPS.get(op) or "".join(words))


def header(facts: Facts) -> str:
    """Returns the `.h` file, for C99 and C++11."""
    return _HEADER.substitute(_names(facts), **_declarations(facts))


def source(facts: Facts) -> str:
    """Returns the `.cc` file, for C++11."""
    return _SOURCE.substitute(_names(facts), **_definitions(facts), model=_bytes(facts.model))


def _names(facts: Facts) -> Mapping[str, object]:
    shape, classes = ([size or 1 for size in spec.shape] for spec in (facts.input, facts.output))
    return {
        "s": facts.prefix,
        "file": facts.file,
        "S": facts.prefix.upper(),
        "provenance": facts.provenance,
        "interpreter": facts.interpreter,
        "arena": facts.arena_bytes,
        "length": len(facts.model),
        "shape": ", ".join(map(str, shape)),
        "rank": len(shape),
        "input_size": math.prod(shape),
        "channels": shape[-1],
        "classes": math.prod(classes),
        "input_scale": float_literal(facts.input.scale or 0),
        "input_zero": facts.input.zero_point,
        "output_scale": float_literal(facts.output.scale or 0),
        "output_zero": facts.output.zero_point,
        "preprocessing": facts.preprocessing,
        "op_count": len(facts.ops),
        "ops": " && \\\n   ".join(f"(resolver).{registration(op)}() == kTfLiteOk" for op in facts.ops),
    }


def _declarations(facts: Facts) -> Mapping[str, str]:
    """The header's parts that depend on whether there are labels, and a table of pixels."""
    s, rows = facts.prefix, facts.pixel_rows
    if not len(rows):
        how, value = "exactly the pixel less 128", "(int8_t)(pixel - 128)"
    else:
        how, value = f"looked up in {s}_pixels", f"{s}_pixels[{'channel' if len(rows) > 1 else '0'}][pixel]"
    return {
        "labels": "\n/* The classes' names, UTF-8. */\nextern " + _labels_type(facts) + ";\n" if facts.labels else "",
        "pixels": "\n/* What each value of a pixel becomes. */\nextern " + _pixels_type(facts) + ";\n"
        if len(rows)
        else "",
        "how": how,
        "look_up": f"return {value};" if len(rows) > 1 else f"(void)channel;\n  return {value};",
    }


def _definitions(facts: Facts) -> Mapping[str, str]:
    """The same parts of the source."""
    labels = ",\n".join(f"    {string_literal(label)}" for label in facts.labels or ())
    pixels = ",\n".join(f"    {{\n{_bytes(row)}}}" for row in facts.pixel_rows)
    return {
        "labels": f"\n{_labels_type(facts)} = {{\n{labels}}};\n" if labels else "",
        "pixels": f"\n{_pixels_type(facts)} = {{\n{pixels}}};\n" if pixels else "",
    }


def _labels_type(facts: Facts) -> str:
    return f"const char* const {facts.prefix}_labels[{facts.prefix.upper()}_CLASSES]"


def _pixels_type(facts: Facts) -> str:
    return f"const int8_t {facts.prefix}_pixels[{len(facts.pixel_rows)}][256]"


def _bytes(values: Iterable[int]) -> str:
    """Decimal, which is shorter than hexadecimal: source text is several times the model's size as it is."""
    words = list(map(str, values))
    return ",\n".join(",".join(words[at : at + _PER_LINE]) for at in range(0, len(words), _PER_LINE))


_HEADER = Template("""\
/* A full-integer model for TensorFlow Lite for Microcontrollers.
 * $provenance
 *
 * In C++:
 *
 *   alignas(16) static uint8_t arena[${S}_ARENA_BYTES];
 *   static tflite::MicroMutableOpResolver<${S}_OP_COUNT> resolver;
 *   bool ready = ${S}_ADD_OPS(resolver);
 *   static tflite::MicroInterpreter interpreter(tflite::GetModel(${s}_model), resolver, arena, sizeof(arena));
 *   ready = ready && interpreter.AllocateTensors() == kTfLiteOk;
 *   int8_t* input = interpreter.input(0)->data.int8;
 *   for (int i = 0; i < ${S}_INPUT_SIZE; ++i) input[i] = ${s}_from_pixel(pixels[i], i % ${S}_CHANNELS);
 *   ready = ready && interpreter.Invoke() == kTfLiteOk;
 *   const int8_t* output = interpreter.output(0)->data.int8;  // ${S}_CLASSES values; the largest is the class
 */
#ifndef ${S}_H_
#define ${S}_H_

#include <stdint.h>

/* The model is a .tflite file of so many bytes. */
#define ${S}_MODEL_BYTES $length

/* The smallest tensor arena that the interpreter allocates the model in, found by search on a 64-bit host with the
 * reference kernels (tflite-micro $interpreter). A 32-bit microcontroller needs less for the same, since its pointers
 * are half as large; but kernels that are optimized for a processor (CMSIS-NN, ESP-NN) may want scratch memory on top.
 * interpreter.arena_used_bytes() says after AllocateTensors() what is in use. */
#define ${S}_ARENA_BYTES $arena

/* Input, row by row, channels last: real = scale * (input - zero point). */
#define ${S}_INPUT_RANK $rank
#define ${S}_INPUT_SHAPE {$shape}
#define ${S}_INPUT_SIZE $input_size
#define ${S}_CHANNELS $channels
#define ${S}_INPUT_SCALE $input_scale
#define ${S}_INPUT_ZERO_POINT ($input_zero)

/* Output: real = scale * (output - zero point). */
#define ${S}_CLASSES $classes
#define ${S}_OUTPUT_SCALE $output_scale
#define ${S}_OUTPUT_ZERO_POINT ($output_zero)

/* The operations that the model uses; false if the resolver has no room for them. */
#define ${S}_OP_COUNT $op_count
#define ${S}_ADD_OPS(resolver) \\
  ($ops)

#ifdef __cplusplus
extern "C" {
#endif

/* Aligned to 16 bytes. */
extern const unsigned char ${s}_model[${S}_MODEL_BYTES];
$labels$pixels
#ifdef __cplusplus
}
#endif

/* Turns a raw pixel, 0 to 255, into model input.
 * The model was trained on $preprocessing; in int8 that is $how. */
static inline int8_t ${s}_from_pixel(uint8_t pixel, int channel) {
  $look_up
}

#endif
""")

_SOURCE = Template("""\
/* See $file.h.
 * $provenance */
#include "$file.h"

alignas(16) const unsigned char ${s}_model[${S}_MODEL_BYTES] = {
$model};
$labels$pixels""")
