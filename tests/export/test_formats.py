import pytest

from liteport.errors import InvalidInputError
from liteport.export import FORMATS
from liteport.export.formats import Format, choose_formats

CONTRACT = [
    "tflite-float32",
    "tflite-float16",
    "tflite-dynamic",
    "tflite-int4",
    "tflite-int8",
    "tflite-int8-float-io",
    "tflite-int16x8",
    "onnx-float32",
    "onnx-float16",
    "onnx-int8",
    "ncnn-float32",
    "ncnn-float16",
    "mnn-float32",
    "mnn-float16",
    "c-array",
]


def test_all_means_every_row_in_order_but_for_low_bits() -> None:
    assert [row.id for row in choose_formats("all")] == CONTRACT
    assert [row.id for row in choose_formats("all", low_bits=True)] == list(FORMATS)
    assert set(FORMATS) - set(CONTRACT) == {"tflite-int8w4", "c-array-int8w4"}
    assert [row.id for row in choose_formats("tflite-int8w4")] == ["tflite-int8w4"]


def test_rows_come_once_and_in_the_tables_order() -> None:
    assert [row.id for row in choose_formats(["onnx-int8", "tflite-int8", "onnx-int8"])] == ["tflite-int8", "onnx-int8"]


@pytest.mark.parametrize("row", [row for row in FORMATS.values() if not row.source_code], ids=lambda row: row.id)
def test_the_suffix_goes_with_the_engine_in_the_id(row: Format) -> None:
    engine = {".tflite": "tflite", ".onnx": "onnx", ".param": "ncnn", ".mnn": "mnn"}[row.suffix]
    assert row.id.startswith(f"{engine}-")


@pytest.mark.parametrize("row", [row for row in FORMATS.values() if row.float_form], ids=lambda row: row.id)
def test_what_can_keep_layers_in_float_has_a_float_form_of_the_same_engine(row: Format) -> None:
    assert row.session is not None
    assert row.float_form is not None
    assert FORMATS[row.float_form].suffix == row.suffix


def test_a_mistyped_format_is_answered_with_the_closest() -> None:
    with pytest.raises(InvalidInputError, match=r"unknown format 'tflite-in8'; did you mean 'tflite-int8'\?"):
        choose_formats(["tflite-in8"])


def test_no_format_is_an_error() -> None:
    with pytest.raises(InvalidInputError, match="no format given"):
        choose_formats([])
