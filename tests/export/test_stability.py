from pathlib import Path

import numpy as np
import pytest

from liteport.export.stability import stability
from liteport.runtime.contents import read_contents


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_a_file_differs_in_nothing_from_itself(tiny_bundle: Path, suffix: str) -> None:
    content = (tiny_bundle / f"{suffix[1:]}-int8{suffix}").read_bytes()
    found = stability("x", suffix, (content, content), lambda _: {"output": np.eye(3, dtype=np.float32)})
    assert (found.median_range_difference, found.max_range_difference) == (0.0, 0.0)
    assert (found.mean_output_difference, found.top1_agreement) == (0.0, 1.0)
    names = [tensor.name for tensor in read_contents(content, suffix).tensors]
    assert any(name.startswith(found.tensor) for name in names)


def test_ranges_are_compared_by_what_they_represent(monkeypatch: pytest.MonkeyPatch) -> None:
    ranges = [{"a": (0.0, 1.0), "b": (-1.0, 1.0), "only here": (0.0, 1.0)}, {"a": (0.0, 1.25), "b": (-1.0, 1.0)}]
    monkeypatch.setattr("liteport.export.stability.read_contents", lambda content, suffix: content)
    monkeypatch.setattr("liteport.export.stability._ranges", lambda number: ranges[number])
    found = stability("x", ".tflite", (0, 1), None)  # type: ignore[arg-type]
    assert found.tensor == "a"
    assert found.max_range_difference == pytest.approx(0.2)  # 0.25 of the larger range, 1.25
    assert found.median_range_difference == pytest.approx(0.1)
    assert (found.mean_output_difference, found.top1_agreement) == (None, None)
