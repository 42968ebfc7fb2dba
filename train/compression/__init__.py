"""Pruning and weight clustering while a model trains: fewer different weights make a file that compresses better."""

from .plan import Compression, compression_of

__all__ = ["Compression", "compression_of"]
