"""What a user asks of `liteport train`, put together from options, a recipe, and what an earlier run recorded."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from liteport.errors import InvalidInputError
from liteport.terminal import quiet_import

from .config import AUGMENTATION_FIELDS, NO_AUGMENTATION, TrainConfig, recipe

if TYPE_CHECKING:
    from .origin import Origin
    from .record import Log

DATA, DESIGN = "mnist", "baseline"

_SETTINGS = tuple(one.name for one in dataclasses.fields(TrainConfig)) + AUGMENTATION_FIELDS
_OF_ANY_STAGE = ("weight_bits", "seed", "batch_size", "csv", "tensorboard")
_DATA = ("source", "seed", "image_size", "skip_corrupt")


@dataclass(frozen=True)
class Request:
    """A training to be run.

    Attributes:
        data: What `load_dataset` takes.
        digest: Of the data, where it shall be what it was; else None.
        config: How to train.
        origin: What to start from.
        teacher: A run folder or `.keras` file to learn from besides.
        logs: See `fit`.
    """

    data: Mapping[str, Any]
    digest: str | None
    config: TrainConfig
    origin: "Origin"
    teacher: Path | None
    logs: "tuple[Log, ...]"


def stages(given: Mapping[str, Any], out: Path) -> list[tuple[dict[str, Any], Path]]:
    """Tells which trainings are to be run, one after the other: options and folder of each.

    Quantization-aware training starts from a trained model. Where none is given, one is trained first, in a folder
    beside, by the options given; the second training takes those that are not about its model or its length; the
    first's record has the augmentation.

    Args:
        given: See `requested`; besides, `qat` may be there.
        out: The folder of the last training.

    Raises:
        InvalidInputError: If two options do not go together.
    """
    options = {name: value for name, value in given.items() if name != "qat"}
    if "qat" not in given:
        if "weight_bits" in given:
            raise InvalidInputError("--weight-bits goes with --qat; add it, or drop --weight-bits")
        return [(options, out)]
    aware = {"weight_bits": 8, **options}
    if aware["weight_bits"] == 4 and options.get("clusters"):
        raise InvalidInputError("--clusters are int8 codes; drop it, or --weight-bits 4, which has 15 codes anyway")
    if "start" in given:
        return [(aware, out)]
    base = out.with_name(f"{out.name}-float")
    options.pop("weight_bits", None)
    return [(options, base), ({name: aware[name] for name in aware if name in _OF_ANY_STAGE} | {"start": base}, out)]


def requested(given: Mapping[str, Any]) -> Request:
    """Puts a request together.

    Args:
        given: Options by name, only those that the user gave. `start` is what `--from` names: a `training.json`, whose
            training is run again but for the other options; or a run folder or `.keras` file, to be trained further.

    Raises:
        InvalidInputError: If a value is out of its range, or two options do not go together.
        NotFoundError: If `start` or another file does not exist.
    """
    quiet_import("tensorflow", "train")
    start = given.get("start")
    if start is None:
        return _changed(_new(), {"recipe": "default", **given})
    return _changed(_again(start) if start.suffix == ".json" else _further(start), given)


def _new() -> Request:
    from .origin import Origin

    return Request({"source": DATA}, None, recipe("default"), Origin(design=DESIGN), None, ())


def _again(path: Path) -> Request:
    from .origin import Origin
    from .record import read_record

    record = read_record(path)
    try:
        origin = Origin.from_record(record)
        config = TrainConfig.from_json(record["config"])
        teacher = record["teacher"] and Path(record["teacher"]["path"])
        logs = tuple(record["logs"])
    except (KeyError, TypeError) as error:
        raise InvalidInputError(f"{path} is damaged: {error}") from error
    if origin.design is None and origin.run is None:
        raise InvalidInputError(f"{path} records a model that was built in Python; train it again from there")
    origin.check_files()
    return Request(*_data(path, record), config, origin, teacher, logs)


def _further(path: Path) -> Request:
    from .origin import Origin, model_file
    from .record import RECORD, read_record

    model_file(path)
    if not (path / RECORD).is_file():
        return Request({"source": DATA}, None, recipe("fine-tune"), Origin(run=path), None, ())
    record = read_record(path)
    try:
        augmentation = TrainConfig.from_json(record["config"]).augmentation
    except (KeyError, TypeError) as error:
        raise InvalidInputError(f"{path} is damaged: {error}") from error
    origin = Origin(record["design"], record.get("dropout"), run=path)
    config = recipe("fine-tune").changed(augmentation=augmentation)  # which suits the data, whatever the recipe
    return Request(*_data(path, record), config, origin, None, ())


def _data(path: Path, record: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    try:
        return {name: record["dataset"][name] for name in _DATA}, record["dataset"]["digest"]
    except KeyError as error:
        raise InvalidInputError(f"{path} is damaged: its dataset lacks {error}") from error


def _changed(base: Request, given: Mapping[str, Any]) -> Request:
    if base.origin.run is not None and not {"design", "dropout", "weights"}.isdisjoint(given):
        raise InvalidInputError(
            f"--from {base.origin.run} brings the model; drop --design, --dropout and --weights, or drop --from"
        )
    names = [name for name in ("design", "dropout", "weights", "weight_bits") if name in given]
    origin = dataclasses.replace(base.origin, **{name: given[name] for name in names})
    config = recipe(given["recipe"], origin.design) if "recipe" in given else base.config
    if given.get("augment") is False:
        unused = [name for name in AUGMENTATION_FIELDS if name in given]
        if unused:
            raise InvalidInputError(f"--no-augment and --{unused[0]} contradict each other; drop one")
        config = config.changed(augmentation=NO_AUGMENTATION)
    config = config.changed(**{name: given[name] for name in _SETTINGS if name in given})
    data = {"source": given["data"]} if "data" in given else dict(base.data)
    data |= {name: given[name] for name in ("image_size", "skip_corrupt") if name in given}
    if "seed" in given or "seed" not in data:
        data["seed"] = config.seed
    known: tuple[Log, ...] = ("csv", "tensorboard")
    logs = tuple(name for name in known if name in given) or base.logs
    digest = base.digest if data == base.data else None
    return Request(data, digest, config, origin, given.get("teacher", base.teacher), logs)
