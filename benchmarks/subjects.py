"""What is under test beside bundles, and how a report speaks of all that is."""

from pathlib import Path

from liteport.errors import InvalidInputError
from liteport.train import Dataset

from .inputs import Subject
from .lone_files.foreign import ForeignFiles, resolve_files
from .results import BundleInfo, Settings
from .trial import Trial


def read_files(
    paths: list[Path],
    data: str | Path | Dataset | None,
    input_file: str | Path | None,
    batch: int | None,
    seed: int,
) -> ForeignFiles:
    """Reads lone files and what they are asked; see `resolve_files`.

    Raises:
        InvalidInputError: If `batch` contradicts the input; and as `resolve_files` does, like the others.
    """
    given = None if input_file is None else Path(input_file)
    files = resolve_files(paths, input_file=given, data=data, batch=batch, seed=seed)
    if given is not None and files.labels is None and batch not in (None, files.count):
        raise InvalidInputError(f"batch is {batch}; {given} has {files.count} items, all of which one inference takes")
    return files


def lone_subject(files: ForeignFiles, others: list[Subject]) -> Subject:
    """Makes a subject of files that need no bundle, named otherwise than the bundles."""
    candidates = tuple(file.candidate for file in files.files)
    path = ", ".join(str(entry.path) for entry in candidates)
    taken = any(other.name == "files" for other in others)
    return Subject(path if taken else "files", path, candidates, files.data)


def bundle_info(trial: Trial, files: ForeignFiles | None, settings: Settings) -> BundleInfo:
    """Describes what a trial is of, for the report.

    Args:
        trial: Any of the subject's.
        files: The lone files, if there are.
        settings: How it was measured.
    """
    subject, asked, items = trial.subject, trial.asked, trial.settings.batch
    notes = files.notes if files is not None and asked.source else ()
    if items != settings.batch:  # that of the bundles beside the files
        notes = (*notes, f"an inference is about {items} items")
    return BundleInfo(
        name=subject.name,
        path=subject.path,
        data=asked.source or (subject.data.source if subject.data else ""),
        data_digest=subject.data.digest if subject.data else None,
        images=len(asked.labels),
        class_names=tuple(asked.class_names),
        notes=notes,
    )
