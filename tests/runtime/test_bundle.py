import json
import os
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from liteport.errors import IntegrityError, InvalidInputError, LiteportError, NotFoundError
from liteport.export.formats import choose_formats
from liteport.runtime import Manifest, load, read_bundle
from liteport.runtime.model_files import read_model

ID = "tflite-int8"
FILE = f"{ID}.tflite"
Edit = Callable[[Path, Callable[[Manifest], Manifest]], Path]


def test_a_bundle_is_read(tiny_bundle: Path) -> None:
    bundle = read_bundle(str(tiny_bundle))
    assert [variant.id for variant in bundle.manifest.variants] == [row.id for row in choose_formats("all")]
    for variant in bundle.manifest.variants:
        assert bundle.read(variant.id) == read_model(tiny_bundle / variant.file)
    with load(bundle, ID) as model:  # a Bundle is a path
        assert model.variant == ID


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def replace_by_link(path: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "one bit": (flip_a_bit, "its SHA-256 differs"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-1]), "its SHA-256 differs"),
    "longer": (lambda path: path.write_bytes(path.read_bytes() + b"\0"), "its SHA-256 differs"),
    "empty": (lambda path: path.write_bytes(b""), "its SHA-256 differs"),
    "missing": (Path.unlink, "cannot be read: No such file"),
    "link": (replace_by_link, "is a link"),
    "folder": (replace_by_folder, "is no regular file"),
    "pipe": (replace_by_pipe, "is no regular file"),  # opening one waits for a writer, which never comes
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_file_is_told(damage: str, bundle_copy: Path) -> None:
    spoil, message = DAMAGES[damage]
    spoil(bundle_copy / FILE)
    with pytest.raises(IntegrityError, match=message) as caught:
        load(bundle_copy, ID)
    assert str(bundle_copy / FILE) in str(caught.value)
    with load(bundle_copy, "tflite-float32") as model:  # the others stay usable
        assert model.variant == "tflite-float32"


def test_the_bundle_itself_may_be_a_link(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tiny_bundle, target_is_directory=True)
    assert read_bundle(tmp_path / "link").read(ID)


def test_a_file_that_is_swapped_while_it_is_read_does_no_harm(
    bundle_copy: Path, digits: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is checked is what is used: a second look at the file would find another one."""
    with load(bundle_copy, ID) as model:
        expected = model.predict(digits[:4])
    really_open, opened = os.open, []

    def swap(path: Any, *arguments: Any, **options: Any) -> int:
        descriptor = really_open(path, *arguments, **options)
        if Path(path).name == FILE:
            opened.append(path)
            Path(path).unlink()
            Path(path).write_bytes(b"something else")
        return descriptor

    monkeypatch.setattr(os, "open", swap)
    with load(bundle_copy, ID) as model:
        np.testing.assert_array_equal(model.predict(digits[:4]), expected)
    assert len(opened) == 1


def _spoil(content: bytes, draw: random.Random) -> bytes:
    """Truncates, flips bits, zeroes a span or swaps two."""
    damaged, size = bytearray(content), len(content)
    start, other, length = draw.randrange(size), draw.randrange(size), draw.choice((1, 16, 256))
    kind = draw.randrange(4)
    if kind == 0:
        return content[:start]
    if kind == 1:
        for _ in range(draw.choice((1, 8, 64))):
            damaged[draw.randrange(size)] ^= 1 << draw.randrange(8)
    elif kind == 2:
        damaged[start : start + length] = bytes(len(damaged[start : start + length]))
    else:
        one, two = content[start : start + length], content[other : other + length]
        length = min(len(one), len(two), abs(start - other))
        damaged[start : start + length], damaged[other : other + length] = two[:length], one[:length]
    return bytes(damaged)


def test_a_corrupted_copy_never_answers_wrongly(bundle_copy: Path, digits: NDArray[np.uint8]) -> None:
    with load(bundle_copy, ID) as model:
        expected = model.predict(digits[:8])
    draw = random.Random(7)
    refused = 0
    for number in range(120):
        path = bundle_copy / (FILE if number % 2 else "manifest.json")
        content = path.read_bytes()
        spoilt = _spoil(content, draw)
        path.write_bytes(spoilt)
        try:
            with load(bundle_copy, ID) as model:
                np.testing.assert_array_equal(model.predict(digits[:8]), expected)
        except LiteportError:
            refused += 1
        path.write_bytes(content)
    assert refused >= 100  # the others swap or zero what was alike


def test_a_file_named_inside_a_bundle_is_checked_as_well(bundle_copy: Path) -> None:
    flip_a_bit(bundle_copy / FILE)
    with pytest.raises(IntegrityError, match="SHA-256 differs"):
        load(bundle_copy / FILE)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip_a_bit, "edited or damaged|no valid JSON"),
        (lambda path: path.write_bytes(path.read_bytes()[:100]), "no valid JSON"),
        (lambda path: path.write_bytes(b""), "no valid JSON"),
        (lambda path: path.write_bytes(b" " * (5 << 20)), "larger than"),
        (replace_by_link, "is a link"),
        (replace_by_folder, "is no bundle"),
        (replace_by_pipe, "is no bundle"),
        (Path.unlink, "is no bundle"),
    ],
    ids=["one bit", "truncated", "empty", "huge", "link", "folder", "pipe", "missing"],
)
def test_a_damaged_manifest_is_told(damage: Callable[[Path], object], message: str, bundle_copy: Path) -> None:
    damage(bundle_copy / "manifest.json")
    with pytest.raises(LiteportError, match=message) as caught:
        load(bundle_copy)
    assert isinstance(caught.value, IntegrityError | InvalidInputError)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="does not exist; expected a bundle folder"):
        read_bundle(tmp_path / "nowhere")


def test_a_file_is_no_bundle(tiny_bundle: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"is no bundle: it holds no manifest\.json"):
        read_bundle(tiny_bundle / FILE)


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_the_size_in_the_manifest_reserves_no_memory(bundle_copy: Path, edit: Edit) -> None:
    """A file is read by its own size: 2 GiB asked for at once would end a small device's process."""
    import resource

    edit(bundle_copy, lambda m: replace(m, variants=(replace(m.variants[0], size_bytes=2**31 - 1),)))
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + (1 << 30), hard))
    try:
        with pytest.raises(IntegrityError, match="SHA-256 differs"):
            read_bundle(bundle_copy).read("tflite-float32")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_a_signed_manifest_that_contradicts_its_files_is_told(bundle_copy: Path) -> None:
    document = json.loads((bundle_copy / "manifest.json").read_text())
    manifest = Manifest.from_json(json.dumps(document).encode())
    more_channels = replace(manifest, input=replace(manifest.input, shape=(None, 28, 28, 3)))
    more_classes = replace(
        manifest, output=replace(manifest.output, shape=(None, 11), labels=(*(manifest.output.labels or ()), "ten"))
    )
    fewer_dimensions = replace(manifest, input=replace(manifest.input, shape=(None, 784), layout="other"))
    for wrong in (more_channels, more_classes, fewer_dimensions):
        (bundle_copy / "manifest.json").write_text(wrong.to_json())
        with pytest.raises(IntegrityError, match=r"the manifest says .* the model file has .*; export again"):
            load(bundle_copy)
