"""How much error quantization leaves after each layer of a variant."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError
from liteport.runtime import read_bundle
from liteport.runtime.comparison import compare_files


def find_layer_errors(folder: Path, variant: str, reference: str, images: NDArray[np.uint8]) -> list[dict[str, Any]]:
    """Compares a variant with the float one of its engine on the same images.

    Args:
        folder: The bundle.
        variant: The quantized variant.
        reference: The float variant.
        images: (N, H, W, C), raw pixels.

    Returns:
        The fields of a `LayerError` for each layer, in the order in which they are computed; none where the two files
        have no tensor in common.
    """
    bundle = read_bundle(folder)
    entry = bundle.manifest.input
    scale, offset = (np.asarray(value, np.float64) for value in (entry.preprocessing.scale, entry.preprocessing.offset))
    real = (images * scale + offset).astype(np.float32)
    suffix = Path(bundle.manifest.variant(variant).file).suffix
    try:
        found = compare_files(bundle.read(reference), bundle.read(variant), suffix, {entry.name: real})
    except InvalidInputError:
        return []
    last = {layer.layer: layer.snr_db for layer in found.layers}  # of several operations of a layer, the last
    return [{"name": name, "snr_db": ratio if math.isfinite(ratio) else None} for name, ratio in last.items()]
