"""The command `liteport train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from liteport.files import check_new_folder
from liteport.terminal import progress, quiet_import

from .config import TrainConfig
from .datasets import Dataset, load_dataset

if TYPE_CHECKING:
    from .fitting import Run

_DEFAULTS = TrainConfig()
_DATA, _DESIGN, _DROPOUT, _OUT = "mnist", "baseline", 0.5, Path("run")


class _Start(NamedTuple):
    """What a new training starts from."""

    data: str
    design: str
    dropout: float
    weights: Path | None


def _default(name: str) -> str:
    return str(getattr(_DEFAULTS, name))


# None stands for "not given", so that --resume can refuse what it would have to ignore.
def train(
    data: Annotated[
        str | None, typer.Option(help="mnist, fashion_mnist, or the path of an .npz file.", show_default=_DATA)
    ] = None,
    design: Annotated[str | None, typer.Option(help="Name of a design.", show_default=_DESIGN)] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training images.", show_default=_default("epochs"))
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.", show_default=_default("batch_size"))] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="The schedule's highest.", show_default=_default("learning_rate"))
    ] = None,
    schedule: Annotated[
        str | None, typer.Option(help="one-cycle or constant.", show_default=_default("schedule"))
    ] = None,
    dropout: Annotated[
        float | None, typer.Option(help="Part of the features dropped while training.", show_default=str(_DROPOUT))
    ] = None,
    shift: Annotated[
        int | None,
        typer.Option(help="Move training images by up to so many pixels.", show_default=_default("shift")),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="auto, float32 or mixed_bfloat16; what is saved is float32.", show_default=_default("precision")
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of weights, split, order, shifts and dropout.", show_default=_default("seed"))
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write.", show_default=str(_OUT))] = None,
    weights: Annotated[Path | None, typer.Option(help="Start from the weights in this file.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the stopped training in this folder.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an older run folder.")] = False,
) -> None:
    """Train a classifier; write the model, its record and plots into a folder."""
    settings = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "schedule": schedule,
        "shift": shift,
        "precision": precision,
        "seed": seed,
    }
    others = {"data": data, "design": design, "dropout": dropout, "out": out, "weights": weights}
    given: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    if resume is None:
        start = _Start(data or _DATA, design or _DESIGN, _DROPOUT if dropout is None else dropout, weights)
        _report(_train(start, TrainConfig(**given), out or _OUT, force))
        return
    refused = [*given, *(name for name, value in others.items() if value is not None), *(["force"] if force else [])]
    if refused:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in refused)
        raise typer.BadParameter(f"it keeps the settings it was started with; drop {options}", param_hint="--resume")
    _report(_resume(resume))


def _train(start: _Start, config: TrainConfig, out: Path, force: bool) -> "Run":
    check_new_folder(out, force=force, marker="training.json")
    dataset = load_dataset(start.data, seed=config.seed)
    _describe(dataset)
    quiet_import("tensorflow", "train")
    from .designs import build_model
    from .fitting import fit
    from .weights import load_weights

    model = build_model(
        start.design, dataset.input_shape, len(dataset.class_names), dropout=start.dropout, seed=config.seed
    )
    if start.weights is not None:
        load_weights(model, start.weights)
    model.summary(print_fn=typer.echo)
    with progress() as show:
        return fit(model, dataset, config, out=out, force=force, design=start.design, progress=show)


def _resume(folder: Path) -> "Run":
    quiet_import("tensorflow", "train")
    from .fitting import resume

    with progress() as show:
        return resume(folder, progress=show)


def _describe(dataset: Dataset) -> None:
    height, width, channels = dataset.input_shape
    splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    counts = ", ".join(f"{len(split.labels):,} {name}" for name, split in splits.items())
    typer.echo(f"{dataset.name}: {counts}; {height}×{width}×{channels} pixels, {len(dataset.class_names)} classes")


def _report(run: "Run") -> None:
    policy, ratio = run.precision
    measured = "" if ratio is None else f" (a step in mixed_bfloat16 took {ratio:.2f} of one in float32)"
    typer.echo(f"trained {run.epochs_done} epochs in {run.seconds:.0f} s, computing in {policy}{measured}")
    for name, figures in (("validation", run.validation), ("test", run.test)):
        typer.echo(f"{name:>10}: accuracy {figures.accuracy:.2%}, loss {figures.loss:.4f}")
    typer.echo(f"wrote {run.path}")
    typer.echo(f"next: liteport export {run.path}")
