"""What `liteport bench` does with a report: writes it, prints it, and judges it by gates."""

import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import typer

from liteport.errors import AlreadyExistsError, InvalidInputError, NotFoundError, unknown_name
from liteport.files import replacing

if TYPE_CHECKING:
    from .deciding.gates import Gate
    from .results import Report, Row

GATE_FAILED = 3
WIDE = 200


def check_new_file(path: Path, *, force: bool) -> None:
    """Finds out before the long work whether its result could be written."""
    if path.is_dir():
        raise InvalidInputError(f"{path} is a folder; expected the name of a file for --json")
    if not path.absolute().parent.is_dir():
        raise NotFoundError(f"{path.parent} does not exist; make the folder first, or name another file for --json")
    if path.exists() and not force:
        raise AlreadyExistsError(f"{path} exists already; pass --force to replace it, or another name")


def read_gates(texts: Sequence[str], baseline: Path | None, *, counted: bool) -> tuple[list["Gate"], "Report | None"]:
    """Reads what the outcome will be judged by, before anything is measured.

    Args:
        texts: The gates.
        baseline: An earlier report's path; None for none.
        counted: Whether instructions may be there to be judged.

    Raises:
        NotFoundError: If the baseline does not exist.
        IntegrityError: If it is damaged.
        InvalidInputError: If a gate is none, or could not be judged.
    """
    from .deciding.gate_figures import METRICS
    from .deciding.gates import parse_gate
    from .reading import read_report

    gates = [parse_gate(text) for text in texts]
    if baseline is not None and not gates:
        raise InvalidInputError("--baseline is given, but no gate to judge by; add --fail-on 'latency_ratio>1.05'")
    uncounted = next((gate for gate in gates if METRICS[gate.metric].by_board and not counted), None)
    if uncounted is not None:
        raise InvalidInputError(f"the gate {uncounted.text!r} is about instructions; have them counted: --emulate pi4")
    return gates, None if baseline is None else read_report(baseline)


def check_gate_variants(gates: Sequence["Gate"], subjects: Sequence[Path], variants: Sequence[str] | None) -> None:
    """Finds out before the long work whether each gate's variant will be measured.

    Raises:
        InvalidInputError: If one will not.
        NotFoundError: If a path does not exist.
        IntegrityError: If a bundle is damaged.
    """
    from liteport.runtime import read_bundle
    from liteport.runtime.backends import RUNNABLE

    from .inputs import split_paths

    if all(gate.variant is None for gate in gates):
        return
    folders, files = split_paths(subjects)
    entries = [entry for folder in folders for entry in read_bundle(folder).manifest.variants]
    able = [entry.id for entry in entries if Path(entry.file).suffix in RUNNABLE]
    known = [name for name in able if not variants or name in variants] + [path.name for path in files]
    for gate in gates:
        if gate.variant is not None and gate.variant not in known:
            raise unknown_name(f"variant of the gate {gate.text!r}", gate.variant, known)


def write_and_print(report: "Report", out: Path, json_file: Path | None, *, force: bool) -> None:
    """Prints a report, writes it, and names what to do next; in this order, as a disk may be full by now."""
    from .reports.writing import write_report

    _print(report)
    written = []
    if json_file is not None:
        with replacing(json_file) as beside:
            beside.write_text(report.to_json(), encoding="utf-8")
        written.append(json_file)
    written += [out / name for name in write_report(report, out, force=force)]
    print(f"wrote {', '.join(map(str, written))}")
    for row in [row for row in report.rows if row.measurement is not None][:1]:
        print(f"next: liteport choose {out} {_wishes(report, row)}")


def _wishes(report: "Report", row: "Row") -> str:
    """Returns options with which `choose` takes the report, for a row's device and bundle."""
    place = f"--device {quote(row.device)} " if len(report.devices) > 1 else ""
    place += f"--bundle {quote(row.bundle)} " if len(report.bundles) > 1 else ""
    judged = row.measurement is not None and row.measurement.answers is not None
    return f"{place}{'--max-drop 0.1 ' if judged else ''}--prefer latency"


def _print(report: "Report") -> None:
    from rich.console import Console

    from .reports.tables import legend, rich_tables
    from .reports.words import controls, describe, headlines, limits, remarks

    # Elsewhere than on a terminal there is no width to keep to, and a table cut to a default one would lose figures.
    console = Console(width=None if sys.stdout.isatty() else WIDE, highlight=False, markup=False)
    for line in headlines(report):
        console.print(line, soft_wrap=True)
    console.print()
    for table in rich_tables(report):
        console.print(table)
    notes = [*(notice.text for notice in controls(report)), *remarks(report), *limits(report), *describe(report)]
    for line in [*notes, legend(report)[-1]]:  # ±; what columns mean, the files say
        console.print(line, soft_wrap=True)
    console.print()


def judge_report(report: "Report", baseline: "Report | None", gates: Sequence["Gate"]) -> None:
    """Prints what became of each gate.

    Raises:
        typer.Exit: If one is not met, with exit code 3.
    """
    from .deciding.gates import judge

    verdicts = judge(report, baseline, gates)
    for verdict in verdicts:
        if verdict.met:
            print(f"gate: {verdict.text}")
        else:
            print(f"gate failed: {verdict.text}", file=sys.stderr)
    if not all(verdict.met for verdict in verdicts):
        raise typer.Exit(GATE_FAILED)
