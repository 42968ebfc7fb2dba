import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from liteport.benchmarks.comparing.columns import columns
from liteport.benchmarks.comparing.page import to_html
from liteport.benchmarks.comparing.plot import draw
from liteport.benchmarks.comparing.results import Comparison, read_comparison
from liteport.benchmarks.comparing.words import headline, remarks
from liteport.benchmarks.comparing.writing import files, to_csv, to_markdown, write_comparison
from liteport.errors import IntegrityError


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from made_comparison import made_comparison

    folder = tmp_path_factory.mktemp("compare")
    write_comparison(made_comparison(), folder)
    return folder


@pytest.fixture
def nothing(comparison: Comparison) -> Comparison:
    """A comparison of which no trial came to its end."""
    return replace(comparison, designs=(), trials=(), choice=None, notes=())


def test_all_files_are_written(written: Path, comparison: Comparison) -> None:
    assert {path.name for path in written.iterdir()} | {"report/report.html"} == set(files(comparison))


def test_json_is_read_back(written: Path, comparison: Comparison) -> None:
    assert read_comparison(written) == comparison
    fields = json.loads((written / "compare.json").read_text())
    assert fields["schema_version"] == 1
    assert fields["designs"][0]["variants"][1]["accuracy"]["values"] == pytest.approx([0.988, 0.990, 0.992])


def test_json_of_another_version(written: Path, tmp_path: Path) -> None:
    assert read_comparison(tmp_path) is None
    fields = json.loads((written / "compare.json").read_text())
    (tmp_path / "compare.json").write_text(json.dumps({**fields, "schema_version": 2}))
    with pytest.raises(IntegrityError, match="schema version 2, expected 1"):
        read_comparison(tmp_path)


def test_the_plot_has_a_marker_of_each_design_in_its_colour(written: Path) -> None:
    pixels = np.asarray(Image.open(written / "pareto.png").convert("RGB")).reshape(-1, 3)
    for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):
        # A marker of 30 square points is some 230 pixels at 200 dpi; names are drawn in the colour too.
        assert (pixels == colour).all(axis=1).sum() > 200


def test_there_is_no_plot_of_nothing(comparison: Comparison, nothing: Comparison) -> None:
    assert draw(nothing) is None
    untimed = tuple(
        replace(entry, variants=tuple(replace(one, speed=None) for one in entry.variants))
        for entry in comparison.designs
    )
    assert draw(replace(comparison, designs=untimed)) is None


def test_cells(comparison: Comparison) -> None:
    cells = {column.title: column.cell(comparison.designs[1]) for column in columns(comparison)}
    assert cells["parameters"] == "1,234"
    assert cells["size"] == "20.0"
    assert re.fullmatch(r"45\.0( \(4\d\.\d to 4\d\.\d\))?", cells["p50"])
    assert cells["ratio"].startswith("0.500")
    assert cells["tflite-int8"] == "98.00 ± 0.28"  # of 97.8 and 98.2
    assert cells["validation"] == "98.20 ± 0.28"
    assert cells["seeds"] == "2"
    assert columns(comparison)[0].cell(comparison.designs[0]) == "1,234"


def test_csv(comparison: Comparison) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(comparison))))
    assert [row["design"] for row in rows] == ["wide", "a:b"]
    assert float(rows[0]["tflite-float32 (%)"]) == pytest.approx(99.1)
    assert float(rows[0]["tflite-float32 (%) deviation"]) == pytest.approx(0.2)
    assert float(rows[1]["ratio low"]) <= float(rows[1]["ratio"]) <= float(rows[1]["ratio high"])
    named = replace(comparison, designs=(replace(comparison.designs[0], design="=1+1"),))
    assert to_csv(named).splitlines()[1].startswith("'=1+1,")  # no formula for a spreadsheet


def test_markdown(comparison: Comparison, nothing: Comparison) -> None:
    text = to_markdown(comparison, None)
    assert "| wide | 1,234 |" in text
    assert r"not finished: a:b, seed 2: train: epoch 1/5: the loss became nan; \<try\> a lower" in text
    assert "a:b: of 2 seeds (0, 1) only" in text
    assert "Nothing could be chosen" in to_markdown(nothing, None)
    assert "| design" not in to_markdown(nothing, None)


class _Page(HTMLParser):
    """Collects a page's tags, and checks that they nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "img", "input", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_nests_and_asks_nothing_of_the_network(written: Path) -> None:
    text = (written / "compare.html").read_text()
    page = _Page()
    page.feed(text)
    assert not page.open
    assert page.seen.count("table") == 2
    assert page.seen.count("tr") == 2 + 2 + 5  # two headings, two designs, five finished trials
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    assert "default-src 'none'" in text
    assert "&lt;try&gt;" in text
    assert "<try>" not in text


def test_the_page_of_nothing(nothing: Comparison) -> None:
    page = _Page()
    page.feed(to_html(nothing, None))
    assert not page.open
    assert "table" not in page.seen


def test_the_choice_in_words(comparison: Comparison) -> None:
    assert headline(comparison).startswith("Choice by validation accuracy: wide, as it has the highest validation")


def test_a_variant_without_all_figures_is_named(comparison: Comparison) -> None:
    first = comparison.designs[0]
    lame = replace(first, variants=(replace(first.variants[0], speed=None), first.variants[1]))
    found = remarks(replace(comparison, designs=(lame,)))
    assert found == ["wide: tflite-float32 could not be measured on all of them"]
