"""What is to be measured: bundles, variants and data, checked before any long work starts."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from liteport.errors import InvalidInputError, NotFoundError, unknown_name
from liteport.runtime import Bundle, Variant, read_bundle
from liteport.runtime.backends import RUNNABLE
from liteport.train import Dataset, load_dataset

OnePath = str | os.PathLike[str]
Paths = OnePath | Sequence[OnePath]


@dataclass(frozen=True)
class Subject:
    """A bundle under test, with the data set that its variants are asked about.

    Attributes:
        name: Its name in the report.
        path: Its folder, as given.
        variants: Those to measure.
        data: The data set, of which the test split is used.
    """

    name: str
    path: Path
    variants: tuple[Variant, ...]
    data: Dataset


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
    paths = [Path(path) for path in ([bundles] if isinstance(bundles, (str, os.PathLike)) else bundles)]
    if not paths:
        raise InvalidInputError("no bundle was given; expected the path of one or more")
    if len({path.resolve() for path in paths}) < len(paths):
        raise InvalidInputError(f"a bundle was given twice: {', '.join(map(str, paths))}")
    read = [read_bundle(path) for path in paths]
    chosen = [_chosen(bundle, variants) for bundle in read]
    names = [bundle.manifest.name for bundle in read]
    given = load_dataset(data) if isinstance(data, (str, Path)) else data
    loaded: dict[tuple[str, int], Dataset] = {}
    subjects = []
    for bundle, entries, name in zip(read, chosen, names, strict=True):
        dataset = given or _trained_on(bundle, loaded)
        _check_fit(bundle, dataset)
        unique = name if names.count(name) == 1 else str(bundle.path)
        subjects.append(Subject(unique, bundle.path, entries, dataset))
    return subjects


def _chosen(bundle: Bundle, wanted: Sequence[str] | None) -> tuple[Variant, ...]:
    """Returns the variants to measure, in the manifest's order, their files checked.

    Source code for microcontrollers is left out: no engine runs it.
    """
    able = [variant for variant in bundle.manifest.variants if Path(variant.file).suffix in RUNNABLE]
    known = [variant.id for variant in able]
    for name in wanted or ():
        if name not in known:
            raise unknown_name(f"variant of {bundle.path} that can be measured", name, known)
    chosen = tuple(variant for variant in able if not wanted or variant.id in wanted)
    for variant in chosen:
        bundle.read(variant.id)
    return chosen


def _trained_on(bundle: Bundle, loaded: dict[tuple[str, int], Dataset]) -> Dataset:
    """Loads the data set that the bundle's model was trained on, once for all bundles that share it."""
    match (bundle.manifest.source.training or {}).get("dataset"):
        case {"source": str() as source, "digest": str() as digest, "seed": int() as seed}:
            pass
        case _:
            raise InvalidInputError(
                f"{bundle.path} does not tell what it was trained on; name the data: --data (data=)"
            )
    if (source, seed) not in loaded:
        try:
            loaded[source, seed] = load_dataset(source, seed=seed)
        except (NotFoundError, InvalidInputError) as error:
            raise type(error)(f"the data that {bundle.path} was trained on: {error}; or name other: --data") from error
    dataset = loaded[source, seed]
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
