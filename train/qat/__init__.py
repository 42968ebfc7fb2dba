"""Quantization-aware training: a model learns with the rounding of the integer file that it becomes."""

from .ranges import Range, float_model, is_quantize_aware, learned_ranges, settle_biases, weight_bits
from .rewriting import quantize_aware

__all__ = [
    "Range",
    "float_model",
    "is_quantize_aware",
    "learned_ranges",
    "quantize_aware",
    "settle_biases",
    "weight_bits",
]
