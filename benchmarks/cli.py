"""`liteport bench`."""

from pathlib import Path
from typing import Annotated

import typer

from liteport.files import check_new_folder
from liteport.terminal import progress

from .cli_modes import check_mode, measure_android, measure_there, read_merged
from .cli_outcome import check_gate_variants, check_new_file, judge_report, read_gates, write_and_print


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
    ] = 120.0,
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
    check_mode(context, {"--merge": merge, "--host": host is not None, "--adb": adb})
    from .reading import REPORT_FILE

    if json_file is not None:
        check_new_file(json_file, force=force)
    if not adb:  # whose folder holds something else
        check_new_folder(out, force=force, marker=REPORT_FILE)
    gates, old = read_gates(fail_on or [], baseline, counted=merge or emulate is not None)
    if not merge:
        check_gate_variants(gates, subjects, variant)
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
        measure_android(subjects, variant, threads, runs, seed, benchmark_binary, out, force=force)
        return
    with progress() as show:
        if merge:
            report = read_merged(subjects)
        elif host is not None:
            report = measure_there(host, subjects, data, input_file, variant, settings, ssh_option or [], show)
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
    write_and_print(report, out, json_file, force=force)
    judge_report(report, old, gates)


def _boards(emulate: str | None) -> list[str]:
    return [] if emulate is None else [name.strip() for name in emulate.split(",")]
