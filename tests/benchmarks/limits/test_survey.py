from pathlib import Path

import pytest

from liteport.benchmarks.limits.costs import count_costs
from liteport.benchmarks.limits.footprint import activation_bytes
from liteport.benchmarks.limits.survey import survey


@pytest.mark.parametrize(("name", "left"), [("tflite-int8.tflite", {"SOFTMAX": 1}), ("onnx-int8.onnx", {})])
def test_a_survey_is_all_of_it(name: str, left: dict[str, int], tiny_bundle: Path) -> None:
    path = tiny_bundle / name
    content = path.read_bytes()
    found = survey(content, path.suffix)
    assert len(found.layers) > 3
    assert found.layers == count_costs(content, path.suffix)
    assert found.activation_bytes == activation_bytes(content, path.suffix)
    assert found.left == left
