import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from liteport.errors import AlreadyExistsError, InvalidInputError
from liteport.runtime.cli import run

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Coloured images of two sizes in two classes, one of them small; one image is there twice, one is no image."""
    root = tmp_path / "pets"
    for label, count in (("cat", 24), ("dog [small]", 6)):
        (root / label).mkdir(parents=True)
        for number in range(count):
            pixels = np.random.default_rng([count, number]).integers(0, 256, (8 + number % 2, 8, 3), np.uint8)
            Image.fromarray(pixels).save(root / label / f"{number:02}.png")
    (root / "dog [small]" / "copy.png").write_bytes((root / "cat" / "00.png").read_bytes())
    (root / "cat" / "text.png").write_text("no image")
    return root


def test_shows_what_is_there(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["data", "pets", "--image-size", "8x10", "--skip-corrupt"]) == 0
    printed = capsys.readouterr().out
    assert {path.name for path in (tmp_path / "data-pets").iterdir()} == {"labels.png", "samples.png", "data.json"}
    for text in (
        "dog [small]",
        "image files: 8×10 pixels, RGB, uint8; 0.0 MB, in memory",
        "the files' own sizes, height×width: 8×8 (16), 9×8 (15)",
        "identical images with different labels: 1: ",
        "training images that repeat others: 1",
        "a model does best on the large ones",
        "images left out, as they cannot be read: 1; the first: ",
        "wrote data-pets: labels.png, samples.png, data.json",
        "next: liteport train --data pets --image-size 8x10 --skip-corrupt",
    ):
        assert text in printed, text
    with pytest.raises(AlreadyExistsError, match="--force"):
        run(["data", "pets", "--image-size", "8", "--skip-corrupt"])
    assert run(["data", "pets", "--image-size", "8", "--skip-corrupt", "--force"]) == 0


def test_the_same_as_json(npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", str(npz), "--out", str(tmp_path / "out"), "--seed", "3", "--json"]) == 0
    out = capsys.readouterr()
    content = json.loads(out.out)
    assert content == json.loads((tmp_path / "out" / "data.json").read_text())
    assert (content["name"], content["seed"], content["input_shape"]) == ("digits", 3, [14, 14, 1])
    assert [sum(counts) for counts in content["counts"].values()] == [220, 20, 100]
    assert content["imbalance"]["ratio"] == content["imbalance"]["most"] / content["imbalance"]["fewest"]
    assert f"wrote {tmp_path / 'out'}" in out.err


def test_no_folder_of_somebody_elses_is_replaced(npz: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("the only copy")
    with pytest.raises(InvalidInputError, match=r"holds no data\.json, so it is not replaced"):
        run(["data", str(npz), "--out", str(tmp_path / "mine"), "--force"])
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_wrong_data_leaves_nothing_behind(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="images of 2 sizes"):
        run(["data", str(folder), "--out", str(tmp_path / "out")])
    with pytest.raises(InvalidInputError, match="1 of 32 images cannot be read"):
        run(["data", str(folder), "--image-size", "8", "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
