"""Runs the notebook docs/tutorial.md whole, on few digits; and holds what the page shows against its code."""

import base64
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest
from PIL import Image
from tutorial import FOLDER, INDEX, NOTEBOOK, code_cells, execute, keep, outputs_of, with_outputs

PICTURES = 10

# As pyproject.toml has it for the tests themselves.
WARNINGS = """import warnings

warnings.simplefilter("error")
for module in ("tensorflow", "keras"):
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=module)

"""

WHAT_CAME_OUT = """
```python
import json

found = {
    "labels": {name: [answer.label for answer in answers[name]] for name in answers},
    "probabilities": {name: likely[name].tolist() for name in likely},
    "measured": {row.variant: row.failure for row in report.rows},
    "chosen": choice.variant,
    "fresh": fresh.stdout,
}
print(json.dumps(found))
```
"""


@pytest.fixture(scope="module")
def text() -> str:
    return NOTEBOOK.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    index: dict[str, Any] = json.loads((FOLDER / INDEX).read_text(encoding="utf-8"))
    return index


def stream(name: str, text: str) -> Any:
    return nbformat.v4.new_output("stream", name=name, text=text)


def shown(kind: str, data: str) -> Any:
    return nbformat.v4.new_output("display_data", data={kind: data})


def notebook(*outputs: Any) -> Any:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("# What\n1 / 1", outputs=list(outputs))])


def png() -> str:
    buffer = io.BytesIO()
    Image.linear_gradient("L").convert("RGBA").resize((2000, 100)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_the_whole_notebook_runs(text: str, tiny_data: Path, tmp_path: Path) -> None:
    code = text.replace("```python\n", f"```python\n{WARNINGS}", 1) + WHAT_CAME_OUT
    environment = {**os.environ, "TUTORIAL_DATA": str(tiny_data), "IPYTHONDIR": str(tmp_path / "ipython")}
    cells = list(outputs_of(execute(code, tmp_path, environment)))
    pictures = [content for cell in cells for kind, content in cell if kind == "image/png"]
    assert len(pictures) == PICTURES
    for picture in pictures:
        with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
            darkest, lightest = image.convert("L").getextrema()
        assert darkest < 128 < lightest, "something is drawn"
    found = json.loads(cells[-1][0][1])
    assert set(found["measured"]) == {"tflite-float32", "tflite-int8", "tflite-int16x8", "onnx-int8"}
    assert set(found["measured"].values()) == {None}
    assert found["chosen"] in found["measured"]
    assert found["labels"]["tflite-int8"][0] == found["labels"]["tflite-float32"][0]
    # What the export lets a probability of 8 bits move on average; here it was 0.002 at most.
    assert found["probabilities"]["tflite-int8"] == pytest.approx(found["probabilities"]["tflite-float32"], abs=0.02)
    assert found["fresh"].startswith(f"{found['labels']['tflite-int8'][0]}, with ")
    assert "TensorFlow imported: False" in found["fresh"]
    assert {path.name for path in (tmp_path / "tutorial-output").iterdir()} >= {"run", "bundle", "report"}


def test_jupytext_sees_the_same_cells(text: str) -> None:
    cells = [cell.source for cell in jupytext.reads(text, fmt="md").cells if cell.cell_type == "code"]
    assert [code.rstrip("\n") for code in code_cells(text)] == cells


def test_the_page_shows_what_its_own_code_gave(text: str, page: dict[str, Any]) -> None:
    markdown = with_outputs(text, page)
    images = re.findall(r"^!\[(.+)\]\(images/tutorial/(.+)\)$", markdown, re.MULTILINE)
    assert len(images) == PICTURES
    assert {name for _, name in images} == {path.name for path in FOLDER.glob("*.png")}
    comments = {code.splitlines()[0] for code in code_cells(text)}
    assert {f"# {described}" for described, _ in images} <= comments
    assert markdown.count('```text title="Output"') == sum(
        "text" in output for cell in page["cells"] for output in cell
    )
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 400_000


def test_a_page_of_other_code_is_noticed(text: str, page: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="make tutorial"):
        with_outputs(text.replace("```python\n", "```python\nx = 1\n", 1), page)


def test_outputs_stand_under_their_cells(tmp_path: Path) -> None:
    code = "a\n\n```python\n# What\n1 / 1\n```\n\nb\n"
    kept = tmp_path / "kept"
    made = notebook(stream("stdout", "one\n"), stream("stdout", "two\n"), shown("image/png", png()))
    keep(made, code, kept)
    index = json.loads((kept / INDEX).read_text(encoding="utf-8"))
    expected = '# What\n1 / 1\n```\n\n```text title="Output"\none\ntwo\n```\n\n![What](images/tutorial/01.png)\n\nb\n'
    assert with_outputs(code, index).endswith(expected)
    with Image.open(kept / "01.png") as picture:
        assert picture.size == (900, 45)


def test_a_cell_that_writes_to_standard_error_is_noticed() -> None:
    with pytest.raises(ValueError, match="standard error: a warning"):
        list(outputs_of(notebook(stream("stderr", "a warning"))))


def test_a_cell_has_one_picture(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two pictures"):
        keep(notebook(shown("image/png", png()), shown("image/png", png())), "", tmp_path / "kept")
