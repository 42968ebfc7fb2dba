"""Runs the documentation's blocks that begin with ```python run, those of a page in one namespace and one folder.

A comment `# → value` says what the expression before it gives, as `repr` shows it; "..." stands for anything.
Other ```python blocks need what is not here, such as a camera, and are not run.
"""

import ast
import doctest
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_report import made_report
from PIL import Image, ImageOps

DOCS = Path(__file__).resolve().parent.parent / "docs"
BLOCK = re.compile(r"(?<=^```python run\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
ARROW = "  # → "
PAGES = sorted(path.name for path in DOCS.glob("*.md") if BLOCK.search(path.read_text(encoding="utf-8")))


def check(value: object, expected: str) -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.OutputChecker().check_output(f"{expected}\n", f"{value!r}\n", flags), (value, expected)


class Checked(ast.NodeTransformer):
    """Puts a call of `check` around each expression that has an arrow behind it."""

    def __init__(self, lines: list[str]) -> None:
        self.expected = {number: line.split(ARROW)[1] for number, line in enumerate(lines, 1) if ARROW in line}

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        expected = self.expected.pop(node.end_lineno or 0, None)
        if expected is not None:
            node.value = ast.Call(ast.Name("check", ast.Load()), [node.value, ast.Constant(expected)], [])
        return node


def run_blocks(text: str, name: str, names: dict[str, Any]) -> None:
    """Runs a page's blocks one after the other; a traceback shows the line of the page."""
    names["check"] = check
    for block in BLOCK.finditer(text):
        source = "\n" * text.count("\n", 0, block.start()) + block[0]
        transformer = Checked(source.splitlines())
        tree = ast.fix_missing_locations(transformer.visit(ast.parse(source, name)))
        assert not transformer.expected, f"{name}: an arrow stands behind what is no expression: {transformer.expected}"
        exec(compile(tree, name, "exec"), names)


@pytest.fixture
def folder(tiny_bundle: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the pages, with the files that they name."""
    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    with np.load(tiny_data) as data:
        digits = data["x_test"]
    np.save(tmp_path / "digits.npy", digits)
    Image.fromarray(digits[0]).save(tmp_path / "seven.png")
    write_sums(tmp_path / "theirs.onnx")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.json").write_text(made_report().to_json(), encoding="utf-8")
    paper = ImageOps.expand(ImageOps.invert(Image.fromarray(digits[0]).resize((280, 280))), 60, fill=255)
    paper.convert("RGB").save(tmp_path / "paper.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_sums(path: Path) -> None:
    """A model of two inputs that nobody's exporter has written: a (N, 4) summed along its rows, plus b (N,)."""
    import onnx
    from onnx import helper

    nodes = [
        helper.make_node("ReduceSum", ["a", "axes"], ["rows"], keepdims=0),
        helper.make_node("Cast", ["b"], ["real"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Add", ["rows", "real"], ["sum"]),
    ]
    inputs = [
        helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, ["N", 4]),
        helper.make_tensor_value_info("b", onnx.TensorProto.INT64, ["N"]),
    ]
    outputs = [helper.make_tensor_value_info("sum", onnx.TensorProto.FLOAT, ["N"])]
    axes = onnx.numpy_helper.from_array(np.array([1]), "axes")
    graph = helper.make_graph(nodes, "g", inputs, outputs, [axes])
    # IR 8 and opset 17 are read by every onnxruntime since 1.12.
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), path)


@pytest.fixture
def video(folder: Path, tiny_data: Path) -> Path:
    """Twenty frames of the same digit, as a camera gives them: three channels, larger than the model's input."""
    import cv2

    path = folder / "video.avi"
    with np.load(tiny_data) as data:
        frame = np.asarray(Image.fromarray(data["x_test"][0]).resize((280, 280)).convert("RGB"))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (280, 280))
    for _ in range(20):
        writer.write(frame)
    writer.release()
    return path


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_run(page: str, folder: Path, request: pytest.FixtureRequest) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    if "video.avi" in text:
        request.getfixturevalue("video")
    run_blocks(text, page, {})


def test_there_are_pages_to_run() -> None:
    assert "signing.md" in PAGES


@pytest.mark.parametrize(
    ("block", "failure"),
    [
        ("1 + 1  # → 3", r"\(2, '3'\)"),
        ("if True:\n    1 + 1  # → 3", r"\(2, '3'\)"),
        ("x = 2  # → 2", "behind what is no expression"),
        ("assert 1 > 2, 'no'", "no"),
    ],
)
def test_a_page_that_is_wrong_is_noticed(block: str, failure: str) -> None:
    with pytest.raises(AssertionError, match=failure):
        run_blocks(f"text\n\n```python run\n{block}\n```\n", "page", {})


def test_blocks_share_their_names_and_others_are_left_alone() -> None:
    names: dict[str, Any] = {}
    page = "```python run\nx = [1]\n```\n```python\n1 / 0\n```\n```python run\nx += [2, 3]\nx  # → [1, ..., 3]\n```\n"
    run_blocks(page, "page", names)
    assert names["x"] == [1, 2, 3]
