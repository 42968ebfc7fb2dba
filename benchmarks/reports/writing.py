"""A report as files: JSON with every sample, Markdown, and a plot."""

from pathlib import Path

from liteport.files import new_folder

from .plots import accuracy_latency
from .results import Report
from .tables import CHOICE, TIMING, describe, legend, markdown_table, remarks

REPORT_FILE = "report.json"
MARKDOWN_FILE = "report.md"
PLOT_FILE = "accuracy-latency.png"


def write_report(report: Report, folder: Path, *, force: bool = False) -> None:
    """Writes `report.json`, `report.md` and `accuracy-latency.png`, all or none.

    Args:
        report: What was measured.
        folder: The folder to be.
        force: Whether an older report there may be replaced.

    Raises:
        AlreadyExistsError: If the folder exists and `force` is off.
        InvalidInputError: If it exists and holds no report.
        MissingDependencyError: If matplotlib is not installed.
    """
    with new_folder(folder, force=force, marker=REPORT_FILE) as beside:
        (beside / REPORT_FILE).write_text(report.to_json(), encoding="utf-8")
        (beside / MARKDOWN_FILE).write_text(to_markdown(report), encoding="utf-8")
        accuracy_latency(report, beside / PLOT_FILE)


def to_markdown(report: Report) -> str:
    """Returns the report as a page of Markdown."""
    names = ", ".join(bundle.name for bundle in report.bundles)
    parts = [
        f"# Benchmark of {names}",
        f"{report.created} · every figure is in [{REPORT_FILE}]({REPORT_FILE})",
        markdown_table(report, CHOICE),
        *([_list(remarks(report))] if remarks(report) else []),
        f"![Accuracy against latency, a point for each variant]({PLOT_FILE})",
        "## Timing",
        markdown_table(report, TIMING),
        "## How it was measured",
        _list(describe(report)),
        "## Columns",
        _list(list(dict.fromkeys(legend(CHOICE) + legend(TIMING)))),
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _list(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
