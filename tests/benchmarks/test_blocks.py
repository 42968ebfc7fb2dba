import io
from pathlib import Path

import numpy as np
import pytest

from liteport.benchmarks import blocks
from liteport.benchmarks.asking import ask_images
from liteport.benchmarks.blocks import read_blocks, write_npy
from liteport.benchmarks.results import Settings
from liteport.terminal import no_progress
from liteport.train import load_dataset


@pytest.mark.parametrize("at_once", [1, 7, 24, 1000])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_a_file_written_in_parts_is_the_whole(monkeypatch: pytest.MonkeyPatch, at_once: int, kind: type) -> None:
    monkeypatch.setattr(blocks, "_BYTES_AT_ONCE", at_once)
    values = np.arange(60).reshape(10, 2, 3).astype(kind)
    order = np.array([3, 9, 0, 0, 5])
    file = io.BytesIO()
    write_npy(file, read_blocks(values.__getitem__, order), len(order))
    file.seek(0)
    found = np.load(file)
    assert found.dtype == kind
    np.testing.assert_array_equal(found, values[order])


def test_questions_are_the_same_whether_images_are_in_memory_or_files(
    digit_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "_BYTES_AT_ONCE", 3000)
    asked = [
        ask_images(
            load_dataset(digit_folder, image_size=28, stream=stream),
            Settings(seed=1, robustness=4),
            tmp_path / f"{stream}",
            no_progress,
        )
        for stream in (False, True)
    ]
    assert len(asked[0].sets) > 1
    for name in asked[0].sets:
        here, streamed = (np.load(entry.sets[name]) for entry in asked)
        np.testing.assert_array_equal(here, streamed)
    np.testing.assert_array_equal(np.load(asked[0].few), np.load(asked[1].few))
    np.testing.assert_array_equal(asked[0].labels, asked[1].labels)
