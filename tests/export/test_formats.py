import pytest

from liteport.errors import InvalidInputError
from liteport.export import FORMATS
from liteport.export.formats import choose_formats

CONTRACT = [
    "tflite-float32",
    "tflite-float16",
    "tflite-dynamic",
    "tflite-int8",
    "tflite-int16x8",
    "onnx-float32",
    "onnx-float16",
    "onnx-int8",
]


def test_all_means_every_row_in_order() -> None:
    assert [row.id for row in choose_formats("all")] == CONTRACT == list(FORMATS)


def test_rows_come_once_and_in_the_tables_order() -> None:
    assert [row.id for row in choose_formats(["onnx-int8", "tflite-int8", "onnx-int8"])] == ["tflite-int8", "onnx-int8"]


@pytest.mark.parametrize("row", FORMATS.values(), ids=list(FORMATS))
def test_the_suffix_goes_with_the_engine_in_the_id(row: object) -> None:
    assert row.id.startswith(row.suffix.removeprefix("."))  # type: ignore[attr-defined]


def test_a_mistyped_format_is_answered_with_the_closest() -> None:
    with pytest.raises(InvalidInputError, match=r"unknown format 'tflite-in8'; did you mean 'tflite-int8'\?"):
        choose_formats(["tflite-in8"])


def test_no_format_is_an_error() -> None:
    with pytest.raises(InvalidInputError, match="no format given"):
        choose_formats([])
