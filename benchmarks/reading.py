"""Reads a benchmark's report back, and refuses one that is damaged, edited or of another version."""

import os
from pathlib import Path

from liteport.errors import IntegrityError, NotFoundError
from liteport.runtime.schema import Limits, loads, parse, shortened

from .consistency import faults
from .results import SCHEMA_VERSION, Report

REPORT_FILE = "report.json"

_MAX_BYTES = 128 << 20
_LIMITS = Limits(values=1 << 24, items=1 << 20, text=1 << 20)  # samples by the million, pictures as text


def read_report(path: str | os.PathLike[str]) -> Report:
    """Reads a report and checks that its figures agree with each other.

    Args:
        path: A report's folder, or its JSON file.

    Raises:
        NotFoundError: If there is no such file.
        IntegrityError: If it is no report, is damaged, contradicts itself, or is of another schema version.
    """
    path = Path(path)
    if not path.exists():
        raise NotFoundError(f"{path} does not exist; expected a report's folder or its {REPORT_FILE}")
    if path.is_dir():
        path = path / REPORT_FILE
        if not path.exists():
            raise NotFoundError(f"{path.parent} holds no {REPORT_FILE}; liteport bench BUNDLE --out DIR makes one")
    if not path.is_file():  # a pipe would have it wait for ever
        raise IntegrityError(f"{path} is no ordinary file; expected a report's folder or its {REPORT_FILE}")
    with path.open("rb") as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise IntegrityError(f"{path} is larger than {_MAX_BYTES >> 20} MiB; expected the {REPORT_FILE} of a benchmark")
    return parse_report(content, str(path))


def parse_report(content: bytes, where: str) -> Report:
    """Makes a report from its JSON.

    Args:
        content: The document, UTF-8.
        where: What it is, for messages.

    Raises:
        IntegrityError: If it is no report, is damaged, contradicts itself, or is of another schema version.
    """
    if not content.strip():
        raise IntegrityError(f"{where} is empty; measure again")
    fields = loads(content, where, _LIMITS)
    if not isinstance(fields, dict) or "schema_version" not in fields:
        raise IntegrityError(f"{where} is no report of a benchmark: it holds no schema_version")
    version = fields.pop("schema_version")
    if type(version) is not int or version != SCHEMA_VERSION:
        raise IntegrityError(
            f"{where} has schema version {shortened(repr(version), 60)}, expected {SCHEMA_VERSION}; "
            "measure again, or use the liteport that wrote it"
        )
    report = parse(Report, fields, where, _LIMITS)
    fault = next(faults(report), None)
    if fault is not None:
        raise IntegrityError(f"{where} contradicts itself: {shortened(fault, 300)}; it was edited or damaged")
    return report
