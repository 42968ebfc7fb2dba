import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from PIL import Image

from liteport.errors import InvalidInputError, MissingDependencyError, NotFoundError
from liteport.runtime import Model, Prediction, load, predicting
from liteport.runtime.cli import run
from liteport.terminal import ProgressCallback


@pytest.fixture
def pictures(digits: NDArray[np.uint8], tmp_path: Path) -> list[str]:
    """Two digits as files."""
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path, pixels in zip(paths, digits, strict=False):
        Image.fromarray(pixels).save(path)
    return [str(path) for path in paths]


def test_predict_prints_a_line_of_json_an_image(
    tiny_bundle: Path, pictures: list[str], digits: NDArray[np.uint8], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", str(tiny_bundle), *pictures, "--variant", "tflite-int8", "--top-k", "2", "--json"]) == 0
    captured = capsys.readouterr()
    found = [json.loads(line) for line in captured.out.splitlines()]
    assert [entry["image"] for entry in found] == pictures
    with load(tiny_bundle, "tflite-int8") as model:
        for entry, pixels in zip(found, digits, strict=False):
            assert entry["predictions"] == [vars(prediction) for prediction in model.classify(pixels, 2)]
    assert captured.err == ""


def test_predict_prints_a_table(
    tiny_bundle: Path, pictures: list[str], answers: NDArray[np.int64], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", str(tiny_bundle), *pictures, "--top-k", "1"]) == 0
    out = capsys.readouterr().out
    assert "tflite-float32 on ai-edge-litert" in out
    for path, answer in zip(pictures, answers, strict=False):
        row = next(line for line in out.splitlines() if path in line)
        assert row.split("│")[2].strip() == str(answer)  # 7 and 2, which even a tiny model knows


@pytest.mark.parametrize("option", [["--json"], []])
def test_predict_goes_on_after_a_bad_image(
    option: list[str], tiny_bundle: Path, pictures: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    missing = tmp_path / "missing.png"
    assert run(["predict", str(tiny_bundle), str(bad), pictures[0], str(missing), pictures[1], *option]) == 1
    captured = capsys.readouterr()
    assert all(path in captured.out for path in pictures)
    if option:  # a line for each image, in order
        names, kinds = zip(*(json.loads(line).keys() for line in captured.out.splitlines()), strict=True)
        assert (set(names), kinds) == ({"image"}, ("error", "predictions", "error", "predictions"))
    else:
        assert "bad.png" not in captured.out
    bad_line, missing_line = captured.err.splitlines()
    assert bad_line.startswith(f"error: '{bad}' is no image")
    assert missing_line.startswith(f"error: '{missing}' does not exist")


def test_predict_with_only_bad_images_prints_no_table(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", str(tiny_bundle), str(tmp_path / "missing.png")]) == 1
    assert capsys.readouterr().out == ""


def test_predict_tells_of_a_bad_model_before_any_image(tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="does not exist; expected a bundle folder"):
        run(["predict", str(tmp_path / "nowhere"), "x.png"])
    with pytest.raises(InvalidInputError, match="unknown variant"):
        run(["predict", str(tiny_bundle), "x.png", "--variant", "tflite"])
    with pytest.raises(InvalidInputError, match="threads is 1000"):
        run(["predict", str(tiny_bundle), "x.png", "--threads", "1000"])


def answered(capsys: pytest.CaptureFixture[str]) -> dict[str, list[dict[str, Any]]]:
    """The images of the JSON lines, in order, with their predictions; a KeyError where there is an error."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {line["image"]: line["predictions"] for line in lines}


@pytest.fixture
def folder(digits: NDArray[np.uint8], tmp_path: Path) -> Path:
    """A folder with three images in several places, and with what is none."""
    top = tmp_path / "top"
    (top / "b").mkdir(parents=True)
    (top / ".thumbnails").mkdir()
    for name in ("c.png", "b/z.JPG", "a.gif", ".hidden.png", ".thumbnails/d.png"):
        Image.fromarray(digits[0]).save(top / name)
    (top / "notes.txt").write_text("no image")
    (top / "model.h5").write_text("no image, though Pillow knows the suffix")
    return top


def test_a_folder_gives_its_images_in_order(
    tiny_bundle: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", str(tiny_bundle), str(folder), "--json"]) == 0
    assert list(answered(capsys)) == [str(folder / name) for name in ("a.gif", "b/z.JPG", "c.png")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_a_folder_is_not_waited_for(
    tiny_bundle: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(folder / "pipe.png")
    assert run(["predict", str(tiny_bundle), str(folder), "--json"]) == 0
    assert len(answered(capsys)) == 3


def test_a_broken_link_is_told(tiny_bundle: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "link.png").symlink_to("nowhere.png")
    assert run(["predict", str(tiny_bundle), str(folder)]) == 1
    assert "link.png' does not exist" in capsys.readouterr().err


def test_a_folder_without_images_is_told(tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert run(["predict", str(tiny_bundle), str(tmp_path / "empty"), "", "--json"]) == 1
    captured = capsys.readouterr()
    assert "empty' holds no images; expected files such as .png or .jpg" in captured.err.splitlines()[0]
    assert captured.err.splitlines()[1] == "error: '' does not exist; expected an image file"  # not the folder it is in
    assert [json.loads(line)["error"] for line in captured.out.splitlines()] == [
        line.removeprefix("error: ") for line in captured.err.splitlines()
    ]


def test_standard_input_is_one_image(
    tiny_bundle: Path, pictures: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path(pictures[0]).read_bytes())))
    assert run(["predict", str(tiny_bundle), pictures[0], "-", "--json"]) == 0
    found = answered(capsys)
    assert found["-"] == found[pictures[0]]
    with pytest.raises(typer.BadParameter, match="- is given twice"):
        run(["predict", str(tiny_bundle), "-", "-"])


def test_invert_reads_dark_on_light(
    tiny_bundle: Path, digits: NDArray[np.uint8], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / "dark.png", tmp_path / "light.png"]
    for path, pixels in zip(paths, (255 - digits[0], digits[0]), strict=True):
        Image.fromarray(pixels).resize((200, 200)).save(path)
    best = {}
    for choice in ("auto", "yes", "no"):
        assert run(["predict", str(tiny_bundle), *map(str, paths), "--invert", choice, "--json"]) == 0
        best[choice] = [found[0] for found in answered(capsys).values()]
    with load(tiny_bundle) as model:
        plain = vars(model.classify(digits[0])[0])
    assert best["auto"][0]["label"] == best["yes"][0]["label"] == plain["label"] == "7"
    assert best["auto"][1] == best["no"][1]  # light on dark already
    assert best["no"][0] != best["auto"][0]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' file names are text")
def test_odd_names_do_not_break_lines(
    tiny_bundle: Path, pictures: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/[b]\n\x1b[31m\xff\xc3\xa9.png")
    Path(pictures[0]).rename(name)
    assert run(["predict", str(tiny_bundle), name]) == 0
    assert "[b]\\n\\x1b[31m\\udcff\u00e9.png" in capsys.readouterr().out
    assert run(["predict", str(tiny_bundle), name, "--json"]) == 0
    out = capsys.readouterr().out
    assert out.isascii()
    assert os.fsencode(json.loads(out)["image"]) == os.fsencode(name)
    assert run(["predict", str(tiny_bundle), f"{name}.gone"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_lines_are_flushed_as_they_come(
    tiny_bundle: Path, pictures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file with a buffer, as a pipe has: before each image, the lines of those before it are there."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(raw), "utf-8"))  # type: ignore[type-var]
    seen = []
    classify = Model.classify

    def watched(self: Model, *arguments: Any, **options: Any) -> list[Prediction]:
        seen.append(raw.getvalue().count(b"\n"))
        return classify(self, *arguments, **options)

    monkeypatch.setattr(Model, "classify", watched)
    assert run(["predict", str(tiny_bundle), *pictures, "--json"]) == 0
    assert seen == [0, 1]


def test_what_is_answered_before_ctrl_c_is_printed(
    tiny_bundle: Path, pictures: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    classify = Model.classify

    def interrupted(self: Model, source: str, *arguments: Any, **options: Any) -> list[Prediction]:
        if source == pictures[1]:
            raise KeyboardInterrupt
        return classify(self, source, *arguments, **options)

    monkeypatch.setattr(Model, "classify", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(["predict", str(tiny_bundle), *pictures])
    out = capsys.readouterr().out
    assert pictures[0] in out
    assert pictures[1] not in out


@pytest.mark.parametrize(("count", "terminal", "expected"), [(30, True, 30), (30, False, 0), (3, True, 0)])
def test_many_images_have_a_bar_on_a_terminal(
    count: int, terminal: bool, expected: int, tiny_bundle: Path, pictures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []

    @contextmanager
    def bars() -> Iterator[ProgressCallback]:
        yield lambda what, done, total, note: shown.append((done, total))

    monkeypatch.setattr(predicting, "progress", bars)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    assert run(["predict", str(tiny_bundle), *pictures[:1] * count]) == 0
    assert shown == [(done + 1, count) for done in range(expected)]


def test_what_every_image_would_fail_for_is_told_once(
    tiny_bundle: Path, pictures: list[str], monkeypatch: pytest.MonkeyPatch, write_onnx: Any
) -> None:
    from onnx import helper

    copy = [helper.make_node("Identity", ["x"], ["y"])]
    flat = write_onnx(copy, [("x", "float32", ["N", 10])], [("y", "float32", ["N", 10])])
    with pytest.raises(InvalidInputError, match="pass an array instead of an image"):
        run(["predict", str(flat), *pictures])
    colours = write_onnx(copy, [("x", "float32", ["N", 4, 4, 3])], [("y", "float32", ["N", 4, 4, 3])])
    with pytest.raises(InvalidInputError, match="for models of one channel"):
        run(["predict", str(colours), *pictures, "--invert", "auto"])
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "liteport\[image\]"'):
        run(["predict", str(tiny_bundle), *pictures])
