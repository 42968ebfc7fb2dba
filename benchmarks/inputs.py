"""What is to be measured: bundles, variants and data, checked before any long work starts."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liteport.errors import InvalidInputError, NotFoundError, unknown_name
from liteport.runtime import Bundle, read_bundle
from liteport.runtime.backends import RUNNABLE
from liteport.train import Dataset, load_dataset
from liteport.train.datasets import is_image_folder, load_for_model, reload

OnePath = str | os.PathLike[str]
Paths = OnePath | Sequence[OnePath]


@dataclass(frozen=True)
class Candidate:
    """A model file under test.

    Attributes:
        name: The variant's id, or a lone file's name.
        scheme: In words; empty where a file does not say.
        path: What `load` takes.
        variant: What `load` takes beside it; None for a lone file.
        file: The file.
    """

    name: str
    scheme: str
    path: Path
    variant: str | None
    file: Path


@dataclass(frozen=True)
class Subject:
    """A bundle under test, with the data set that its variants are asked about; or lone files, compared likewise.

    Attributes:
        name: Its name in the report.
        path: Its folder, as given; for lone files their paths in one text.
        candidates: The variants to measure.
        data: The data set, of which the test split is used; None where there are no labels.
    """

    name: str
    path: str
    candidates: tuple[Candidate, ...]
    data: Dataset | None


def split_paths(paths: Paths) -> tuple[list[Path], list[Path]]:
    """Returns which of the paths are to be read as bundles, and which as model files.

    Raises:
        InvalidInputError: If there are none, or one is given twice.
    """
    given = [Path(path) for path in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]
    if not given:
        raise InvalidInputError("no bundle was given; expected the path of one or more")
    if len({path.resolve() for path in given}) < len(given):
        raise InvalidInputError(f"a path was given twice: {', '.join(map(str, given))}")
    alone = [path for path in given if path.suffix in RUNNABLE and not path.is_dir()]
    return [path for path in given if path not in alone], alone


def resolve(bundles: Paths, data: str | Path | Dataset | None, variants: Sequence[str] | None) -> list[Subject]:
    """Reads bundles and finds the data set of each.

    Args:
        bundles: One bundle's folder, or several.
        data: A data set, or its source; None for the one that each bundle's model was trained on.
        variants: Ids of the variants to measure; None for all.

    Raises:
        NotFoundError: If a bundle or the data does not exist.
        IntegrityError: If a manifest or a model file is damaged.
        InvalidInputError: If there is no bundle, a variant or a source is unknown, or the data does not fit a bundle.
    """
    paths, _ = split_paths(bundles)
    read = [read_bundle(path) for path in paths]
    chosen = [_chosen(bundle, variants) for bundle in read]
    names = [bundle.manifest.name for bundle in read]
    loaded: dict[str, Dataset] = {}
    subjects = []
    for bundle, entries, name in zip(read, chosen, names, strict=True):
        dataset = _dataset_for(bundle, data, loaded)
        _check_fit(bundle, dataset)
        unique = name if names.count(name) == 1 else str(bundle.path)
        subjects.append(Subject(unique, str(bundle.path), entries, dataset))
    return subjects


def data_for(paths: Paths, data: str | Path | None, variants: Sequence[str] | None) -> Dataset | None:
    """Returns the one data set that all paths are to be asked about; None for lone files without one.

    Raises:
        InvalidInputError: If bundles were trained on different data sets; and as `resolve` does.
        NotFoundError: If a bundle or the data does not exist.
        IntegrityError: If a manifest or a model file is damaged.
    """
    bundles, _ = split_paths(paths)
    if not bundles:
        return None if data is None else load_dataset(data)
    found = {subject.data.digest: subject.data for subject in resolve(bundles, data, variants) if subject.data}
    if len(found) > 1:
        raise InvalidInputError(f"the bundles were trained on {len(found)} data sets; name one for all: --data (data=)")
    return next(iter(found.values()))


def _chosen(bundle: Bundle, wanted: Sequence[str] | None) -> tuple[Candidate, ...]:
    """Returns the variants to measure, in the manifest's order, their files checked.

    Source code for microcontrollers is left out: no engine runs it.
    """
    able = [variant for variant in bundle.manifest.variants if Path(variant.file).suffix in RUNNABLE]
    known = [variant.id for variant in able]
    for name in wanted or ():
        if name not in known:
            raise unknown_name(f"variant of {bundle.path} that can be measured", name, known)
    chosen = [variant for variant in able if not wanted or variant.id in wanted]
    for variant in chosen:
        bundle.read(variant.id)
    return tuple(
        Candidate(variant.id, variant.scheme, bundle.path, variant.id, bundle.path / variant.file) for variant in chosen
    )


def _dataset_for(bundle: Bundle, data: str | Path | Dataset | None, loaded: dict[str, Dataset]) -> Dataset:
    """Returns the data to ask a bundle about; what is loaded is kept for other bundles that share it."""
    if data is None:
        return _trained_on(bundle, loaded)
    if isinstance(data, Dataset):
        return data
    shape = bundle.manifest.input.shape
    key = f"{data} {shape[1:]}" if is_image_folder(data) else str(data)
    if key not in loaded:
        loaded[key] = load_for_model(data, shape)
    return loaded[key]


def _trained_on(bundle: Bundle, loaded: dict[str, Dataset]) -> Dataset:
    """Loads the data set that the bundle's model was trained on, once for all bundles that share it."""
    recorded: Any = (bundle.manifest.source.training or {}).get("dataset")
    match recorded:
        case {"source": str() as source, "digest": str() as digest, "seed": int()}:
            pass
        case _:
            raise InvalidInputError(
                f"{bundle.path} does not tell what it was trained on; name the data: --data (data=)"
            )
    key = f"{[recorded.get(name) for name in ('source', 'seed', 'image_size', 'skip_corrupt')]}"
    if key not in loaded:
        try:
            loaded[key] = reload(recorded)
        except (NotFoundError, InvalidInputError) as error:
            raise type(error)(f"the data that {bundle.path} was trained on: {error}; or name other: --data") from error
    dataset = loaded[key]
    if dataset.digest != digest:
        raise InvalidInputError(
            f"{source} is not the data that {bundle.path} was trained on: its digest is {dataset.digest[:12]}…, "
            f"expected {digest[:12]}…; to measure on it all the same, name it: --data {source}"
        )
    return dataset


def _check_fit(bundle: Bundle, dataset: Dataset) -> None:
    manifest = bundle.manifest
    if manifest.other_inputs or manifest.other_outputs:
        raise InvalidInputError(
            f"{bundle.path} has {1 + len(manifest.other_inputs)} inputs and {1 + len(manifest.other_outputs)} outputs; "
            "only classifiers with one of each can be measured"
        )
    expected, classes = manifest.input.shape[1:], manifest.output.shape[-1]
    found = dataset.test.images.shape[1:]
    if len(expected) != len(found) or any(size not in (None, got) for size, got in zip(expected, found, strict=True)):
        raise InvalidInputError(f"{dataset.name} has images of shape {found}; {bundle.path} expects {expected}")
    if len(dataset.class_names) != classes:
        raise InvalidInputError(f"{dataset.name} has {len(dataset.class_names)} classes; {bundle.path} has {classes}")
