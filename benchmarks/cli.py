"""`liteport bench`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from liteport.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from liteport.files import check_new_folder, replacing
from liteport.terminal import ProgressCallback, print_table, progress

if TYPE_CHECKING:
    from .deciding.gates import Gate
    from .results import Report, Row

GATE_FAILED = 3
WIDE = 200
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


def bench(
    context: typer.Context,
    subjects: Annotated[
        list[Path],
        typer.Argument(
            metavar="BUNDLE_OR_FILE...",
            help="Bundle folders; or .tflite and .onnx files, which are compared with the first; or, with --merge, "
            "reports.",
            show_default=False,
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Data set whose test split is used: mnist, fashion_mnist or an .npz. "
            "By default the one the model was trained on.",
            show_default=False,
        ),
    ] = None,
    input_file: Annotated[
        Path | None,
        typer.Option(
            "--input",
            metavar="FILE",
            help="What lone files are asked, where there are no labels: .npy, or .npz with an array for each input. "
            "By default random values.",
            show_default=False,
        ),
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Variant to measure; may be repeated. By default all.", show_default=False),
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads of each engine.")] = 1,
    batch: Annotated[
        int | None,
        typer.Option(
            help="Images of a timed inference, and of a batch for images per second. By default 1 and 32.",
            show_default=False,
        ),
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", help="Time for latencies, all variants together. By default 30.", show_default=False
        ),
    ] = None,
    runs: Annotated[
        int | None,
        typer.Option(help="Timed inferences of each variant, at least; instead of --duration.", show_default=False),
    ] = None,
    launches: Annotated[int, typer.Option(help="Processes in which each variant is timed, one after the other.")] = 6,
    robustness: Annotated[
        int, typer.Option(metavar="IMAGES", help="Test images that are also shifted, rotated and so on; 0 for none.")
    ] = 1000,
    accuracy_time: Annotated[
        float, typer.Option(metavar="SECONDS", help="Computing after which accuracy comes from a sample.")
    ] = 60.0,
    emulate: Annotated[
        str | None,
        typer.Option(
            metavar="BOARDS",
            help="Raspberry Pis to emulate for counting instructions, such as pi3,pi4,pi5,pi2.",
            show_default=False,
        ),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="REPORT", help="An earlier report that gates compare with.", show_default=False),
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GATE",
            help="What ends with exit code 3, such as 'accuracy_drop>0.1' or 'latency_ratio>1.05'; may be repeated.",
            show_default=False,
        ),
    ] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Make one report of several devices' reports.")] = False,
    host: Annotated[
        str | None,
        typer.Option(
            metavar="USER@DEVICE", help="Measure on this machine over SSH instead of here.", show_default=False
        ),
    ] = None,
    ssh_option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="A setting for ssh; may be repeated.", show_default=False),
    ] = None,
    adb: Annotated[bool, typer.Option("--adb", help="Measure .tflite files on an Android device over adb.")] = False,
    benchmark_binary: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="TensorFlow Lite's benchmark_model for Android.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the order of turns, of samples and of altered copies.")] = 0,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the report.")] = Path("report"),
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the JSON here too.", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an older report.")] = False,
) -> None:
    """Measure accuracy, latency, memory and size of every variant, each in processes of its own."""
    _check_mode(context, {"--merge": merge, "--host": host is not None, "--adb": adb})
    from .reading import REPORT_FILE

    if json_file is not None:
        _check_new_file(json_file, force=force)
    if not adb:  # whose folder holds something else
        check_new_folder(out, force=force, marker=REPORT_FILE)
    gates, old = _read_gates(fail_on or [], baseline, counted=merge or emulate is not None)
    settings = {
        "threads": threads,
        "batch": batch,
        "duration": duration,
        "runs": runs,
        "launches": launches,
        "robustness": robustness,
        "accuracy_time": accuracy_time,
        "seed": seed,
    }
    if adb:
        _measure_on_android(subjects, variant, threads, runs, seed, benchmark_binary, out, force=force)
        return
    with progress() as show:
        if merge:
            report = _merged(subjects)
        elif host is not None:
            report = _measured_on(host, subjects, data, input_file, variant, settings, ssh_option or [], show)
        else:
            from .suite import benchmark

            report = benchmark(
                subjects,
                data,
                input_file=input_file,
                variants=variant,
                threads=threads,
                batch=batch,
                duration=duration,
                runs=runs,
                launches=launches,
                robustness=robustness,
                accuracy_time=accuracy_time,
                emulate=_boards(emulate),
                seed=seed,
                progress=show,
            )
    _write_and_print(report, out, json_file, force=force)
    _judge(report, old, gates)


def _check_mode(context: typer.Context, modes: dict[str, bool]) -> None:
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


def _boards(emulate: str | None) -> list[str]:
    return [] if emulate is None else [name.strip() for name in emulate.split(",")]


def _read_gates(texts: Sequence[str], baseline: Path | None, *, counted: bool) -> tuple[list["Gate"], "Report | None"]:
    """Reads what the outcome will be judged by, before anything is measured."""
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


def _merged(paths: Sequence[Path]) -> "Report":
    from .merging import merge_reports
    from .reading import read_report

    if len(paths) < 2:
        raise InvalidInputError(f"--merge got {len(paths)} report; expected two or more")
    reports = [read_report(path) for path in paths]
    for number, report in enumerate(reports):
        if report in reports[:number]:
            raise InvalidInputError(f"{paths[number]} is {paths[reports.index(report)]} once more; give it once")
    return merge_reports(reports)


def _measured_on(
    host: str,
    subjects: Sequence[Path],
    data: str | None,
    input_file: Path | None,
    variants: Sequence[str] | None,
    settings: dict[str, float | None],
    ssh_options: Sequence[str],
    show: ProgressCallback,
) -> "Report":
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


def _measure_on_android(
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


def _write_and_print(report: "Report", out: Path, json_file: Path | None, *, force: bool) -> None:
    from .reports.writing import write_report

    written = [out / name for name in write_report(report, out, force=force)]
    if json_file is not None:
        with replacing(json_file) as beside:
            beside.write_text(report.to_json(), encoding="utf-8")
        written.append(json_file)
    _print(report)
    print(f"wrote {', '.join(map(str, written))}")
    for row in [row for row in report.rows if row.measurement is not None][:1]:
        print(f"next: liteport choose {out} {_wishes(report, row)}")


def _wishes(report: "Report", row: "Row") -> str:
    """Returns options with which `choose` takes the report, for a row's device and bundle."""
    place = f"--device {quote(row.device)} " if len(report.devices) > 1 else ""
    place += f"--bundle {quote(row.bundle)} " if len(report.bundles) > 1 else ""
    judged = row.measurement is not None and row.measurement.answers is not None
    return f"{place}{'--max-drop 0.1 ' if judged else ''}--prefer latency"


def _check_new_file(path: Path, *, force: bool) -> None:
    """Finds out before the long work whether its result could be written."""
    if path.is_dir():
        raise InvalidInputError(f"{path} is a folder; expected the name of a file for --json")
    if not path.absolute().parent.is_dir():
        raise NotFoundError(f"{path.parent} does not exist; make the folder first, or name another file for --json")
    if path.exists() and not force:
        raise AlreadyExistsError(f"{path} exists already; pass --force to replace it, or another name")


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
    for line in [*notes, "", *legend(report)]:
        console.print(line, soft_wrap=True)
    console.print()


def _judge(report: "Report", baseline: "Report | None", gates: Sequence["Gate"]) -> None:
    from .deciding.gates import judge

    verdicts = judge(report, baseline, gates)
    for verdict in verdicts:
        if verdict.met:
            print(f"gate: {verdict.text}")
        else:
            print(f"gate failed: {verdict.text}", file=sys.stderr)
    if not all(verdict.met for verdict in verdicts):
        raise typer.Exit(GATE_FAILED)
