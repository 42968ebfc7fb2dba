"""The command `liteport train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from liteport.errors import IntegrityError, InvalidInputError
from liteport.files import check_new_folder
from liteport.terminal import progress, quiet_import

from .balance import remarks
from .config import RECIPES, Augmentation, TrainConfig
from .datasets import Dataset, load_dataset, parse_image_size
from .request import DATA, DESIGN, Request, requested, stages

if TYPE_CHECKING:
    from .fitting import Run
    from .replicas import Replicas

_DEFAULTS = TrainConfig()
_OUT = Path("run")
_MODEL, _RECIPE, _AUGMENTATION, _SMALLER = "Data and model", "Recipe", "Augmentation", "Smaller models"


def _option(help_text: str, panel: str, default: object = None, *names: str) -> Any:
    return typer.Option(
        *names, help=help_text, rich_help_panel=panel, show_default=default is not None and str(default)
    )


def _setting(name: str, help_text: str) -> Any:
    return _option(help_text, _RECIPE, getattr(_DEFAULTS, name))


def _change(name: str, help_text: str) -> Any:
    return _option(help_text, _AUGMENTATION, getattr(Augmentation(), name))


# None stands for "not given", so that a recipe or an earlier run can say what then holds.
def train(
    context: typer.Context,
    data: Annotated[str | None, _option("mnist, fashion_mnist, an .npz file or a folder.", _MODEL, DATA)] = None,
    image_size: Annotated[str | None, _option("64, or height x width such as 48x64: resize images.", _MODEL)] = None,
    skip_corrupt: Annotated[
        bool | None, _option("Leave out unreadable images.", _MODEL, None, "--skip-corrupt")
    ] = None,
    design: Annotated[str | None, _option("Name of a design, or module:function.", _MODEL, DESIGN)] = None,
    dropout: Annotated[float | None, _option("Part of the features dropped.", _MODEL, "the design's")] = None,
    start: Annotated[
        Path | None,
        _option("Train a run's model further; or with a training.json, train the same again.", _MODEL, None, "--from"),
    ] = None,
    weights: Annotated[Path | None, _option("Start from the weights in this file.", _MODEL)] = None,
    teacher: Annotated[Path | None, _option("A run to learn from besides the labels.", _MODEL)] = None,
    qat: Annotated[
        bool | None, _option("Quantization-aware: train with the rounding of int8.", _SMALLER, None, "--qat")
    ] = None,
    weight_bits: Annotated[int | None, _option("With --qat: 8 or 4.", _SMALLER, 8)] = None,
    sparsity: Annotated[float | None, _option("Prune this part of the weights.", _SMALLER, 0.0)] = None,
    clusters: Annotated[int | None, _option("Different int8 codes a kernel may have.", _SMALLER, 0)] = None,
    recipe: Annotated[str | None, _option(f"{', '.join(RECIPES)}.", _RECIPE, "default")] = None,
    epochs: Annotated[int | None, _setting("epochs", "Passes over the training images.")] = None,
    batch_size: Annotated[int | None, _setting("batch_size", "Images a step; fewer for small data.")] = None,
    learning_rate: Annotated[float | None, _setting("learning_rate", "The schedule's highest.")] = None,
    schedule: Annotated[str | None, _setting("schedule", "one-cycle, cosine or constant.")] = None,
    warm_up: Annotated[float | None, _setting("warm_up", "Part of the steps for which one-cycle rises.")] = None,
    weight_decay: Annotated[float | None, _setting("weight_decay", "AdamW's.")] = None,
    label_smoothing: Annotated[float | None, _setting("label_smoothing", "Part of a label for all classes.")] = None,
    ema: Annotated[float | None, _setting("ema", "Momentum of the weights' average; 0 is off.")] = None,
    distillation: Annotated[float | None, _setting("distillation", "A teacher's part in the loss.")] = None,
    temperature: Annotated[float | None, _setting("temperature", "Softens a teacher's answers.")] = None,
    patience: Annotated[int | None, _setting("patience", "Stop after so many epochs without a better one.")] = None,
    precision: Annotated[str | None, _setting("precision", "auto, float32 or mixed_bfloat16.")] = None,
    seed: Annotated[int | None, _setting("seed", "Of weights, split, order, augmentation, dropout.")] = None,
    augment: Annotated[
        bool | None, _option("Take the images as they are.", _AUGMENTATION, None, " /--no-augment")
    ] = None,
    shift: Annotated[float | None, _change("shift", "Part of the size.")] = None,
    rotation: Annotated[float | None, _change("rotation", "Degrees.")] = None,
    zoom: Annotated[float | None, _change("zoom", "Part of the size.")] = None,
    shear: Annotated[float | None, _change("shear", "Degrees.")] = None,
    elastic: Annotated[float | None, _change("elastic", "Smooth bending, part of the size.")] = None,
    augmented: Annotated[float | None, _change("augmented", "Probability that an image is moved at all.")] = None,
    unaugmented: Annotated[
        float | None, _change("unaugmented", "Part of the epochs, the last ones, on images as they are.")
    ] = None,
    erasing: Annotated[float | None, _change("erasing", "Probability of a painted-over rectangle.")] = None,
    flip: Annotated[bool | None, _change("flip", "Mirror half of the images.")] = None,
    out: Annotated[Path, typer.Option(help="Folder to write.")] = _OUT,
    csv: Annotated[bool | None, typer.Option("--csv", help="Write history.csv.", show_default=False)] = None,
    tensorboard: Annotated[
        bool | None, typer.Option("--tensorboard", help="Write TensorBoard's event files.", show_default=False)
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(help="mirrored: all GPUs of this machine; multiworker: the machines of TF_CONFIG.")
    ] = None,
    worker_timeout: Annotated[
        float | None, typer.Option(help="Seconds to wait for other workers.", show_default="600")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the stopped training in this folder.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an older run folder.")] = False,
) -> None:
    """Train a classifier; write the model, its record and plots into a folder."""
    given = {name: value for name, value in context.params.items() if value is not None}
    if image_size is not None:
        given["image_size"] = parse_image_size(image_size)
    for name in ("strategy", "worker_timeout"):
        given.pop(name, None)
    trainings = stages(given, out) if resume is None else []
    _check_together(strategy, worker_timeout, len(trainings))
    if resume is None:
        if strategy != "multiworker":  # there only the chief has the folder, and may go on with what is in it
            for _, folder in trainings:
                check_new_folder(folder, force=force, marker="training.json")
        replicas = _connected(strategy, worker_timeout)
        for asked, folder in trainings:
            _report(_train(requested(asked), folder, force, replicas))
        return
    if strategy == "multiworker":
        raise typer.BadParameter("multiworker goes on when the first command is given again", param_hint="--resume")
    own = ("resume",) + (() if out != _OUT else ("out",)) + (() if force else ("force",))
    refused = [name for name in given if name not in own]
    if refused:
        options = ", ".join(f"--{'from' if name == 'start' else name.replace('_', '-')}" for name in refused)
        raise typer.BadParameter(f"it keeps the settings it was started with; drop {options}", param_hint="--resume")
    replicas = _connected(strategy, None)
    _report(_resume(resume, replicas))


def _check_together(strategy: str | None, worker_timeout: float | None, trainings: int) -> None:
    if worker_timeout is not None and strategy != "multiworker":
        raise InvalidInputError("--worker-timeout goes with --strategy multiworker; add it, or drop --worker-timeout")
    if strategy == "multiworker" and trainings > 1:
        raise InvalidInputError(
            "--qat on many machines starts from a run that all of them have; "
            "train one first, copy its folder to them, and name it: --from"
        )


def _connected(strategy: str | None, timeout: float | None) -> "Replicas":
    quiet_import("tensorflow", "train")
    from .replicas import WAIT, connect

    replicas = connect(strategy, timeout=WAIT if timeout is None else timeout)
    if replicas.cluster is not None:
        cluster = replicas.cluster
        role = "writes the run folder" if cluster.is_chief else f"{cluster.addresses[0]} writes the run folder"
        typer.echo(f"worker {cluster.index} of {cluster.count}, {replicas.count} replicas; {role}")
    return replicas


def _train(request: Request, out: Path, force: bool, replicas: "Replicas") -> "Run":
    with progress() as show:
        dataset = load_dataset(**request.data, progress=show)
    if request.digest not in (None, dataset.digest):
        raise IntegrityError(
            f"{dataset.source} is not the data that was recorded; name it, --data, to train all the same"
        )
    _describe(dataset)
    from .fitting import fit

    model = request.origin.build(dataset, request.config.seed)
    model.summary(print_fn=typer.echo)
    with progress() as show:
        return fit(
            model,
            dataset,
            request.config,
            out=out,
            force=force,
            origin=request.origin,
            teacher=request.teacher,
            logs=request.logs,
            replicas=replicas,
            progress=show,
        )


def _resume(folder: Path, replicas: "Replicas") -> "Run":
    from .fitting import resume

    with progress() as show:
        return resume(folder, replicas=replicas, progress=show)


def _describe(dataset: Dataset) -> None:
    height, width, channels = dataset.input_shape
    splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    counts = ", ".join(f"{len(split.labels):,} {name}" for name, split in splits.items())
    typer.echo(f"{dataset.name}: {counts}; {height}×{width}×{channels} pixels, {len(dataset.class_names)} classes")
    for remark in remarks(dataset):
        typer.echo(remark)


def _report(run: "Run") -> None:
    policy, ratio = run.precision
    measured = "" if ratio is None else f" (a step in mixed_bfloat16 took {ratio:.2f} of one in float32)"
    typer.echo(f"trained {run.epochs_done} epochs in {run.seconds:.0f} s, computing in {policy}{measured}")
    typer.echo(f"epoch {run.best_epoch} was best on the validation split; its model is kept")
    for name, figures in (("validation", run.validation), ("test", run.test)):
        typer.echo(f"{name:>10}: accuracy {figures.accuracy:.2%}, loss {figures.loss:.4f}")
    if run.path is None:
        typer.echo("worker 0 wrote the run folder")
        return
    typer.echo(f"wrote {run.path}")
    typer.echo(f"next: liteport export {run.path}")
