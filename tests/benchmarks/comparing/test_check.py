import json

import pytest

from liteport.benchmarks.comparing.check import check
from liteport.errors import InvalidInputError


def test_designs_and_variants_that_fit() -> None:
    check(json.dumps([["baseline"], [14, 14, 1], 10, ["tflite-int8", "onnx-float32"]]))


@pytest.mark.parametrize(
    ("designs", "shape", "variants", "message"),
    [
        (["basline"], [28, 28, 1], ["tflite-int8"], "did you mean 'baseline'"),
        (["baseline"], [4, 4, 1], ["tflite-int8"], "baseline: expected images of at least 6×6 pixels, found 4×4"),
        (["baseline"], [28, 28, 1], ["tflite-int7"], "did you mean 'tflite-int8'"),
        (["baseline"], [28, 28, 1], ["c-array"], "'c-array' is source code, which cannot be measured"),
    ],
)
def test_what_is_wrong_with_them(designs: list[str], shape: list[int], variants: list[str], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        check(json.dumps([designs, shape, 10, variants]))
