"""Measures every variant of a bundle: how accurate, how fast, how large.

    from liteport.benchmarks import benchmark

    report = benchmark("bundle/", out="report/")

Nothing is imported before it is asked for: a worker process, whose memory is measured, starts through this package.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .results import Measurement, Report, Row
    from .suite import benchmark

__all__ = ["Measurement", "Report", "Row", "benchmark"]

_HOMES = {"benchmark": ".suite", "Measurement": ".results", "Report": ".results", "Row": ".results"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name], __name__), name)
