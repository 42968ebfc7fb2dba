"""Measures every variant of a bundle: how accurate, how fast, how large; and chooses the one to ship.

    from liteport.benchmarks import benchmark, choose

    report = benchmark("bundle/", out="report/")
    print(choose(report, max_drop=0.1, max_size="700kB").sentence)

Nothing is imported before it is asked for: a worker process, whose memory is measured, starts through this package.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .comparing.comparing import compare
    from .deciding.choosing import choose
    from .merging import merge_reports
    from .reading import read_report
    from .results import Measurement, Report, Row
    from .suite import benchmark

__all__ = ["Measurement", "Report", "Row", "benchmark", "choose", "compare", "merge_reports", "read_report"]

_HOMES = {
    "benchmark": ".suite",
    "choose": ".deciding.choosing",
    "compare": ".comparing.comparing",
    "merge_reports": ".merging",
    "read_report": ".reading",
    "Measurement": ".results",
    "Report": ".results",
    "Row": ".results",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name], __name__), name)
