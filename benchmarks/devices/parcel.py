"""What another device needs to measure: this liteport, the models, and the images of the test split."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from liteport.errors import InvalidInputError, NotFoundError
from liteport.runtime import read_bundle
from liteport.runtime.backends import EXPECTED, RUNNABLE
from liteport.runtime.manifest import MANIFEST_FILE
from liteport.runtime.model_files import files_of
from liteport.train import Dataset

from ..blocks import read_blocks, write_npy
from .wheel import build_wheel

DATA_FILE = "data.npz"
TRAINING_IMAGES = 600
"""Sent besides the test split, which `load_dataset` alone would not take: it holds a twelfth of them out again, and the
errors of layers are found on such."""


@dataclass(frozen=True)
class Parcel:
    """Files for a device, by their paths relative to a folder there.

    Attributes:
        files: Their paths here.
        wheel: Which of them is liteport.
        names: What models and input are called here, by their paths there.
        options: What `liteport bench` is to be given for them.
        size: Of all together, in bytes.
    """

    files: dict[str, Path]
    wheel: str
    names: dict[str, str]
    options: tuple[str, ...]
    size: int

    def has(self, suffix: str) -> bool:
        """Tells whether there are model files of a kind, whose engine is needed then."""
        return any(name.endswith(suffix) for name in self.files)


def pack(
    subjects: Sequence[str | Path],
    data: Dataset | None,
    scratch: Path,
    *,
    variants: Sequence[str] | None = None,
    input_file: str | Path | None = None,
) -> Parcel:
    """Collects what is to be sent.

    Args:
        subjects: Bundles' folders, or lone model files.
        data: The data set whose test split is sent; None for lone files without one.
        scratch: A folder for what has to be made for it.
        variants: Ids of the bundles' variants to measure; None for all.
        input_file: What lone files are asked; None for random values.

    Raises:
        NotFoundError: If a path does not exist.
        IntegrityError: If a bundle is damaged.
        InvalidInputError: If there is no path, one is given twice, or is neither a bundle nor a model file.
    """
    if not subjects:
        raise InvalidInputError("no bundle was given; expected the path of one or more")
    if len({Path(path).resolve() for path in subjects}) < len(subjects):
        raise InvalidInputError(f"a path was given twice: {', '.join(map(str, subjects))}")
    wheel = build_wheel(scratch)
    files, names = {wheel.name: wheel}, {}
    for number, path in enumerate(map(Path, subjects)):
        # In a folder of its own, so that two of one name do not meet; the number also tells them apart in the report.
        name = f"models/{number}/{path.resolve().name}"
        names[name] = str(path)
        files |= _files_of(path, name, variants)
    options = [*names, *(part for variant in variants or () for part in ("--variant", variant))]
    if input_file is not None:
        name = f"input/{Path(input_file).name}"
        names[name], files[name] = str(input_file), _existing(Path(input_file))
        options += ["--input", name]
    if data is not None:
        files[DATA_FILE] = scratch / DATA_FILE
        write_test_split(data, files[DATA_FILE])
        options += ["--data", DATA_FILE]
    return Parcel(files, wheel.name, names, tuple(options), sum(file.stat().st_size for file in files.values()))


def _files_of(path: Path, name: str, variants: Sequence[str] | None) -> dict[str, Path]:
    """Returns the files of a bundle or model that is called `name` there, by their paths there."""
    if not _existing(path).is_dir():
        if path.suffix in RUNNABLE:
            return dict(zip(map(Path.as_posix, files_of(Path(name))), map(_existing, files_of(path)), strict=True))
        raise InvalidInputError(f"{path} is no model; expected {EXPECTED}, or a bundle's folder")
    bundle = read_bundle(path)
    wanted = [entry for entry in bundle.manifest.variants if Path(entry.file).suffix in RUNNABLE]
    wanted = [entry for entry in wanted if not variants or entry.id in variants]
    for entry in wanted:
        bundle.read(entry.id)  # which checks it
    names = [MANIFEST_FILE, *(file for entry in wanted for file in entry.file_names)]
    return {f"{name}/{file}": path / file for file in names}


def _existing(path: Path) -> Path:
    if not path.exists():
        raise NotFoundError(f"{path} does not exist")
    return path


def write_test_split(data: Dataset, path: Path) -> None:
    """Writes an .npz that `load_dataset` takes, with the whole test split and few training images.

    Args:
        data: A data set.
        path: The file to be.
    """
    held_out, train = data.validation, data.train
    labels = np.concatenate([held_out.labels, train.labels])
    # Those held out first; and of each class the two that `load_dataset` asks for.
    pairs = [np.flatnonzero(labels == number)[:2] for number in range(len(data.class_names))]
    chosen = np.unique(np.concatenate([np.arange(min(TRAINING_IMAGES, len(labels))), *pairs]))
    first, later = chosen[chosen < len(held_out.labels)], chosen[chosen >= len(held_out.labels)] - len(held_out.labels)
    np.savez_compressed(
        path,
        x_train=np.concatenate([held_out.images[first], train.images[later]]),
        y_train=labels[chosen],
        y_test=data.test.labels,
        class_names=np.array(data.class_names),
    )
    everyone = np.arange(len(data.test.labels))
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x_test.npy", "w", force_zip64=True) as member,
    ):
        write_npy(member, read_blocks(data.test.images.__getitem__, everyone), len(everyone))
