"""Runs models on the same images wherever its Python is: predict.py IMAGES OUT MODEL...

IMAGES is an .npz with uint8 images as `x_test`. A file that lies in its bundle gets them as they are, one without
metadata as values from 0 to 1. OUT gets, by each file's name, the outputs and which engine gave them.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from liteport.runtime import load


def main(data: str, out: str, *models: str) -> None:
    """Writes the outputs."""
    with np.load(data) as file:
        images = file["x_test"]
    results: dict[str, Any] = {}
    for path in map(Path, models):
        with load(path) as model:
            raw = images if model.card else np.float32(images[..., np.newaxis] / 255)
            results[path.name] = model.predict(raw)
            results[f"{path.name} engine"] = np.array([model.backend.name, model.backend.version])
    np.savez(out, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
