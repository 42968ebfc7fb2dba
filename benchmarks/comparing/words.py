"""A comparison in sentences: what was chosen, what to beware of, and how it was done."""

from collections.abc import Iterable

from ..reports.phrases import clean, plural
from .columns import Column
from .results import Comparison
from .setup import Setup
from .trial import Failure

TITLE = "Comparison of designs"


def headline(comparison: Comparison) -> str:
    """Returns the choice in a sentence; where there is none, why."""
    if comparison.choice is None:
        return "Nothing could be chosen: no design was trained, exported and timed."
    return f"Choice by validation accuracy: {clean(comparison.choice.design)}, as {clean(comparison.choice.reason)}."


def failures(comparison: Comparison) -> list[str]:
    """Returns a line for each trial that is not finished."""
    return [f"not finished: {failed(failure)}" for failure in comparison.failures]


def failed(failure: Failure) -> str:
    """Returns a failed trial with its step and reason."""
    return clean(f"{failure.design}, seed {failure.seed}: {failure.step}: {failure.reason}")


def remarks(comparison: Comparison) -> list[str]:
    """Returns a line for each design whose figures are not of all seeds."""
    expected = max((len(entry.validation_accuracy.seeds) for entry in comparison.designs), default=0)
    found = []
    for entry in comparison.designs:
        seeds = entry.validation_accuracy.seeds
        if len(seeds) < expected:
            found.append(f"{clean(entry.design)}: of {plural(len(seeds), 'seed')} ({', '.join(map(str, seeds))}) only")
        found += (
            f"{clean(entry.design)}: {variant.variant} could not be measured on all of them"
            for variant in entry.variants
            if variant.speed is None or variant.accuracy is None or variant.accuracy.seeds != seeds
        )
    return found


def method(comparison: Comparison) -> list[tuple[str, str]]:
    """Returns how it was done: pairs of a name and a text."""
    setup = comparison.setup
    machines = ", ".join(dict.fromkeys(trial.machine for trial in comparison.trials)) or "none"
    pairs = [
        ("data", f"{setup.data}, digest {setup.data_digest[:12]}…"),
        ("training", _training(setup)),
        ("trained on", machines),
        (
            "latency",
            f"of the files of one seed ({_timed(comparison)}), since those of the other seeds have the same graph; all "
            "designs and variants took turns on one machine, see report/report.html",
        ),
        ("accuracy", "on the whole test split or a sample that the benchmark drew of it, the same for all"),
        ("choice", "by validation accuracy alone, and latency; test accuracy is only reported"),
    ]
    return [(name, clean(text)) for name, text in pairs]


def _training(setup: Setup) -> str:
    length = "the recipe's epochs" if setup.epochs is None else plural(setup.epochs, "epoch")
    return f"recipe {setup.recipe or 'default'}, {length}; a trial's seed is that of its weights, split and order"


def _timed(comparison: Comparison) -> str:
    return ", ".join(f"{entry.design}: {entry.timed_seed}" for entry in comparison.designs) or "none"


def legend(columns: Iterable[Column]) -> list[str]:
    """Returns a line for each column: what it is."""
    return [f"{column.heading}: {column.meaning}" for column in columns]
