import csv
import io
from dataclasses import replace

from liteport.benchmarks.reports.spreadsheet import to_csv
from liteport.benchmarks.results import Report


def read(report: Report) -> list[dict[str, str]]:
    header, *lines = csv.reader(io.StringIO(to_csv(report)))
    assert len(set(header)) == len(header)
    return [dict(zip(header, line, strict=True)) for line in lines]


def test_figures_have_units_and_intervals(report: Report) -> None:
    _, quantized, failed = read(report)
    expected = {
        "device": "laptop",
        "variant": "tflite-int8",
        "engine": "ai-edge-litert 2.3.0",
        "size (kB)": "1200",
        "accuracy (%)": "97.8",
        "accuracy (%) low": "96.8",
        "accuracy (%) high": "98.8",
        "p50 (µs)": "90",
        "ratio low": "0.297",
        "ratio high": "0.303",
        "load (ms)": "19.5",
        "instructions on pi4 (M)": "4.2",
        "throughput, 1 threads × 2 workers (images/s)": f"{64e9 / (21 * 90_000):.9g}",
    }
    assert {name: quantized[name] for name in expected} == expected
    assert failed["failure"] == "latency: the worker was ended by SIGSEGV"
    assert failed["p50 (µs)"] == failed["ratio low"] == ""


def test_no_name_becomes_a_formula_or_a_line(report: Report) -> None:
    row = replace(report.rows[0], variant='=HYPERLINK("a")', device="-1", file="a\nb,c.tflite")
    (line,) = read(replace(report, rows=(row,)))
    assert line["variant"] == '\'=HYPERLINK("a")'
    assert line["device"] == "'-1"
    assert line["file"] == "a b,c.tflite"
