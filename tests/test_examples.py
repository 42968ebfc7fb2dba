"""The committed bundles answer as the documentation says."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from liteport.runtime import load, read_bundle
from liteport.runtime.cli import build_app
from liteport.train import load_dataset

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
DIGITS = sorted((EXAMPLES / "digits").glob("*.png"))
VARIANTS = ("tflite-float32", "tflite-int8", "onnx-int8")
BUNDLES = ("fast", "tiny")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", BUNDLES)
def test_examples_know_the_digits(name: str, variant: str) -> None:
    test = load_dataset("mnist").test
    with load(EXAMPLES / name, variant=variant) as model:
        assert [model.classify(path)[0].label for path in DIGITS] == [path.stem for path in DIGITS]
        right = (model.predict(test.images[:2000]).argmax(axis=1) == test.labels[:2000]).mean()
    # of all 10,000 images some 99.5 % are right; the first 2,000 are known to be among the harder ones
    assert right > 0.985


@pytest.mark.parametrize("name", BUNDLES)
def test_examples_are_whole(name: str) -> None:
    bundle = read_bundle(EXAMPLES / name)
    assert tuple(variant.id for variant in bundle.manifest.variants) == VARIANTS
    files = {variant.file for variant in bundle.manifest.variants}
    assert {path.name for path in (EXAMPLES / name).iterdir()} == {*files, "manifest.json"}
    for variant in bundle.manifest.variants:
        bundle.read(variant.id)  # checks the digest


def test_tiny_is_small() -> None:
    assert (EXAMPLES / "tiny" / "tflite-int8.tflite").stat().st_size <= 20_000


def test_the_first_command_of_the_readme() -> None:
    command = "liteport predict examples/tiny examples/digits/7.png"
    assert command in (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    _, *arguments = command.replace("examples/", f"{EXAMPLES}/").split()
    result = CliRunner().invoke(build_app(), arguments)
    assert result.exit_code == 0, result.output
    assert " 7 " in result.stdout
