"""The ways in which `liteport bench` comes to a report, other than measuring here."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from liteport.errors import InvalidInputError
from liteport.terminal import ProgressCallback, print_table, progress

if TYPE_CHECKING:
    from .results import Report

ANDROID_RUNS = 100

_MODES = {
    "--merge": (
        *("data", "input_file", "variant", "threads", "batch", "duration", "runs", "launches", "robustness"),
        *("accuracy_time", "emulate", "seed", "ssh_option", "benchmark_binary"),
    ),
    "--host": ("emulate", "benchmark_binary"),
    "--adb": (
        *("data", "input_file", "batch", "duration", "launches", "robustness", "accuracy_time"),
        *("emulate", "ssh_option", "baseline", "fail_on", "json_file"),
    ),
    "": ("ssh_option", "benchmark_binary"),
}
"""What a mode has no use for: it is refused rather than ignored."""


def check_mode(context: typer.Context, modes: dict[str, bool]) -> None:
    """Refuses modes that exclude each other, and options that the chosen one has no use for.

    Raises:
        InvalidInputError: If there are such.
    """
    chosen = [name for name, wanted in modes.items() if wanted]
    if len(chosen) > 1:
        raise InvalidInputError(f"{' and '.join(chosen)} are given; expected one of them")
    mode = chosen[0] if chosen else ""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in _MODES[mode] and source is not None and source.name == "COMMANDLINE":
            able = [name for name, unused in _MODES.items() if parameter.name not in unused]
            reason = f"has no use with {mode}" if mode else f"is for {' and '.join(able)}"
            raise InvalidInputError(f"{parameter.opts[0]} {reason}; leave it out")


def read_merged(paths: Sequence[Path]) -> "Report":
    """Reads reports and makes one of them.

    Raises:
        NotFoundError: If one does not exist.
        IntegrityError: If one is damaged.
        InvalidInputError: If there are less than two, or one is given twice.
    """
    from .merging import merge_reports
    from .reading import read_report

    if len(paths) < 2:
        raise InvalidInputError(f"--merge got {len(paths)} report; expected two or more")
    reports = [read_report(path) for path in paths]
    for number, report in enumerate(reports):
        if report in reports[:number]:
            raise InvalidInputError(f"{paths[number]} is {paths[reports.index(report)]} once more; give it once")
    return merge_reports(reports)


def measure_there(
    host: str,
    subjects: Sequence[Path],
    data: str | None,
    input_file: Path | None,
    variants: Sequence[str] | None,
    settings: dict[str, float | None],
    ssh_options: Sequence[str],
    show: ProgressCallback,
) -> "Report":
    """Measures on another machine over SSH; see `devices.ssh.measure_on_host`."""
    from .devices.ssh import measure_on_host
    from .inputs import data_for

    given = {f"--{name.replace('_', '-')}": value for name, value in settings.items() if value is not None}
    arguments = [part for name, value in given.items() for part in (name, f"{value:g}")]
    return measure_on_host(
        host,
        subjects,
        data_for(subjects, data, variants),
        arguments,
        variants=variants,
        input_file=input_file,
        ssh_options=ssh_options,
        progress=show,
    )


def measure_android(
    subjects: Sequence[Path],
    variants: Sequence[str] | None,
    threads: int,
    runs: int | None,
    seed: int,
    binary: Path | None,
    out: Path,
    *,
    force: bool,
) -> None:
    """Measures on an Android device and prints the table; where it cannot, the commands to do it by hand.

    Raises:
        NotReadyError: If adb, a device or the program is missing.
    """
    from .devices.adb import NotReadyError, measure_on_android
    from .devices.android_report import COLUMNS, android_table

    try:
        with progress() as show:
            report = measure_on_android(
                subjects,
                variants,
                out=out,
                benchmark_binary=binary,
                threads=threads,
                runs=ANDROID_RUNS if runs is None else runs,
                seed=seed,
                force=force,
                progress=show,
            )
    except NotReadyError as error:
        print(error.script.read_text(encoding="utf-8"))
        print(f"wrote {error.script}, which does the same once what is missing is there")
        raise
    print_table(report.title(), COLUMNS, android_table(report))
    print(f"wrote {out}")
