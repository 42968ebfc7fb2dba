"""The table of designs: what its columns are, and its cells as text, the same in the terminal and in all files."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ..latency import Interval
from ..reports.columns import count, fixed, number, ratio, scaled
from .results import Comparison, DesignFigures, Speed, Spread, VariantFigures

NONE = "-"


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        title: What it is, short.
        unit: In which unit; empty for a plain number.
        meaning: What it is, in a sentence's part.
        value: The figure, in that unit; None where there is none.
        text: Writes a figure.
        deviation: Its standard deviation over seeds, in that unit; None where there is none.
        interval: Its 95 % interval, likewise.
    """

    title: str
    unit: str
    meaning: str
    value: Callable[[DesignFigures], float | None]
    text: Callable[[float], str]
    deviation: Callable[[DesignFigures], float | None] | None = None
    interval: Callable[[DesignFigures], Interval | None] | None = None

    @property
    def heading(self) -> str:
        """The title with its unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def cell(self, design: DesignFigures) -> str:
        """Returns a design's figure as text, with what is known of its error."""
        value = self.value(design)
        if value is None:
            return NONE
        deviation = self.deviation(design) if self.deviation else None
        interval = self.interval(design) if self.interval else None
        if deviation is not None:
            return f"{self.text(value)} ± {self.text(deviation)}"
        if interval is not None and interval.low < interval.high:
            return f"{self.text(value)} ({self.text(interval.low)} to {self.text(interval.high)})"
        return self.text(value)


def columns(comparison: Comparison) -> tuple[Column, ...]:
    """Returns the columns after the design's name; empty where no design has figures."""
    if not comparison.designs:
        return ()
    deployed, reference = comparison.setup.deployed, comparison.designs[0].design
    percent = fixed(2)
    return (
        Column("parameters", "", "parameters of the model", lambda design: design.parameters, count),
        _of_variant(deployed, "MACs", "M", "multiply-accumulates of one inference, in millions", _macs),
        _of_variant(
            deployed, "size", "kB", f"size of {deployed}, in 1,000 bytes", lambda found: found.size_bytes / 1e3
        ),
        Column(
            "p50",
            "µs",
            f"median latency of {deployed}, one image and one thread, with its 95 % interval",
            lambda design: speed.p50_ns / 1e3 if (speed := design.variant(deployed).speed) else None,
            number,
            interval=lambda design: p50_interval(speed) if (speed := design.variant(deployed).speed) else None,
        ),
        Column(
            "ratio",
            "",
            f"latency of {deployed} over that of {reference}, the median of paired rounds, with its 95 % interval",
            lambda design: speed.ratio if (speed := design.variant(deployed).speed) else None,
            ratio,
            interval=lambda design: speed.ratio_interval if (speed := design.variant(deployed).speed) else None,
        ),
        *(
            _over_seeds(name, "%", f"test accuracy of {name}", partial(_accuracy, name), percent, 100)
            for name in comparison.setup.variants
        ),
        _over_seeds(
            "validation",
            "%",
            "validation accuracy of the float32 model, by which designs are chosen",
            lambda design: design.validation_accuracy,
            percent,
            100,
        ),
        _over_seeds("training", "s", "time spent on the epochs", lambda design: design.train_seconds, number, 1),
        Column("seeds", "", "finished trials", lambda design: len(design.validation_accuracy.seeds), count),
    )


def p50_interval(speed: Speed) -> Interval:
    """Returns the interval of the median latency in µs."""
    return Interval(speed.p50_interval.low / 1e3, speed.p50_interval.high / 1e3)


def _of_variant(
    name: str, title: str, unit: str, meaning: str, get: Callable[[VariantFigures], float | None]
) -> Column:
    return Column(title, unit, meaning, lambda design: get(design.variant(name)), number)


def _macs(found: VariantFigures) -> float | None:
    return scaled(found.macs, 1e-6)


def _accuracy(name: str, design: DesignFigures) -> Spread | None:
    return design.variant(name).accuracy


def _over_seeds(
    title: str,
    unit: str,
    meaning: str,
    get: Callable[[DesignFigures], Spread | None],
    text: Callable[[float], str],
    factor: float,
) -> Column:
    return Column(
        title,
        unit,
        f"{meaning}: mean ± standard deviation over seeds",
        lambda design: factor * found.mean if (found := get(design)) else None,
        text,
        deviation=lambda design: scaled(found.deviation, factor) if (found := get(design)) else None,
    )
