"""A report as files: JSON with every sample, a page for a browser, Markdown, CSV and plots."""

from pathlib import Path

from liteport.files import new_folder

from ..reading import REPORT_FILE
from ..results import Report
from .drawings import draw_all
from .markdown import to_markdown
from .page import to_html
from .spreadsheet import to_csv

PAGE_FILE = "report.html"
MARKDOWN_FILE = "report.md"
CSV_FILE = "report.csv"
PLOTS_FOLDER = "plots"


def write_report(report: Report, folder: Path, *, force: bool = False) -> list[str]:
    """Writes `report.json`, `report.html`, `report.md`, `report.csv` and `plots/*.png`, all or none.

    Args:
        report: What was measured.
        folder: The folder to be.
        force: Whether an older report there may be replaced.

    Returns:
        The names of what was written into the folder.

    Raises:
        AlreadyExistsError: If the folder exists and `force` is off.
        InvalidInputError: If it exists and holds no report, or if a picture in the report is damaged.
        MissingDependencyError: If matplotlib is not installed.
    """
    with new_folder(folder, force=force, marker=REPORT_FILE) as beside:
        drawings = draw_all(report)
        texts = {
            REPORT_FILE: report.to_json(),
            PAGE_FILE: to_html(report, drawings),
            MARKDOWN_FILE: to_markdown(report, drawings),
            CSV_FILE: to_csv(report),
        }
        for name, text in texts.items():
            (beside / name).write_text(text, encoding="utf-8", newline="\n")
        (beside / PLOTS_FOLDER).mkdir()
        for drawing in drawings:
            (beside / PLOTS_FOLDER / drawing.file).write_bytes(drawing.png)
    return [*texts, PLOTS_FOLDER]
