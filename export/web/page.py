"""Writes a bundle's page: its own files, the engines, the bundle, and the examples."""

import json
import shutil
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from liteport.errors import InvalidInputError, NotFoundError
from liteport.files import new_folder
from liteport.runtime import Manifest, read_bundle
from liteport.runtime.manifest import MANIFEST_FILE
from liteport.terminal import ProgressCallback, no_progress

from .engines import ENGINES, Engine, add_engines

MARKER = "index.html"
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".avif")  # what browsers show


def write_page(
    bundle: Path,
    out: Path,
    *,
    examples: Sequence[Path] = (),
    force: bool = False,
    progress: ProgressCallback = no_progress,
) -> Manifest:
    """Writes a folder that any web server can give, and that needs no other once it is loaded.

    Args:
        bundle: The bundle's folder.
        out: The folder to be, with `index.html` in it.
        examples: Images to offer on the page.
        force: Whether an older page may be replaced.
        progress: Called as engines are fetched.

    Returns:
        The bundle's manifest.

    Raises:
        NotFoundError: If the bundle or an example does not exist.
        InvalidInputError: If it is no bundle, no classifier of images, has no labels or nothing that browsers run, or
            an example is no image.
        IntegrityError: If the bundle is damaged, or an engine is not the one we tried.
        AlreadyExistsError: If something is at `out` and `force` is off.
        BackendError: If an engine cannot be fetched.
        OSError: If something cannot be written.
    """
    read = read_bundle(bundle)
    read.check()
    engines = check_bundle(read.manifest, bundle)
    _check_examples(examples)
    with new_folder(out, force=force, marker=MARKER) as folder:
        add_engines(folder / "engines", engines, progress)
        _write_own_files(folder, [path.name for path in examples], engines)
        (folder / "bundle").mkdir()
        suffixes = [engine.suffix for engine in engines]
        names = [variant.file for variant in read.manifest.variants if Path(variant.file).suffix in suffixes]
        for name in (MANIFEST_FILE, *names):
            shutil.copyfile(bundle / name, folder / "bundle" / name)
        if examples:
            (folder / "examples").mkdir()
        for path in examples:
            shutil.copyfile(path, folder / "examples" / path.name)
    return read.manifest


def check_bundle(manifest: Manifest, where: Path) -> list[Engine]:
    """Checks that a page can show a bundle, and returns the engines that it takes.

    Raises:
        InvalidInputError: If it is no classifier of images, has no labels, or nothing that browsers run.
    """
    if manifest.output.labels is None:
        raise InvalidInputError(
            f"{where} has no labels, so a page would show numbers for names; export again with --labels names.txt"
        )
    shape, result = manifest.input.shape, manifest.output.shape
    several = manifest.other_inputs or manifest.other_outputs
    if several or len(shape) != 4 or None in shape[1:] or shape[3] not in (1, 3) or len(result) != 2:
        raise InvalidInputError(
            f"{where} takes {list(shape)} and gives {list(result)}{' and more' if several else ''}; expected one image "
            "(N, H, W, 1 or 3) and one row of classes"
        )
    suffixes = {Path(variant.file).suffix for variant in manifest.variants}
    engines = [engine for engine in ENGINES if engine.suffix in suffixes]
    if not engines:
        ids = ", ".join(variant.id for variant in manifest.variants)
        raise InvalidInputError(f"{where} has {ids}, none of which browsers run; export a TFLite or ONNX variant too")
    return engines


def _check_examples(examples: Sequence[Path]) -> None:
    names = [path.name for path in examples]
    for path in examples:
        if not path.is_file():
            raise NotFoundError(f"{path} does not exist; expected an image file as an example")
        if path.suffix.lower() not in _PICTURES:
            raise InvalidInputError(f"{path} is no image that browsers show; expected one of {', '.join(_PICTURES)}")
        if names.count(path.name) > 1:
            raise InvalidInputError(f"two examples are named {path.name}; rename one of them")


def _write_own_files(folder: Path, examples: list[str], engines: Sequence[Engine]) -> None:
    for source in sorted(files(__package__).joinpath("static").iterdir(), key=lambda entry: entry.name):
        if source.name != MARKER:
            (folder / source.name).write_bytes(source.read_bytes())
    html = files(__package__).joinpath("static", MARKER).read_text(encoding="utf-8")
    # In a script element nothing is escaped, so that a name must not be able to end it.
    html = html.replace(
        "@PAGE@",
        json.dumps({"examples": examples, "engines": [engine.name for engine in engines]}).replace("<", "\\u003c"),
    )
    html = html.replace("@FOOTER@", escape(f"Made by liteport. Computed by {' and '.join(map(str, engines))}."))
    (folder / MARKER).write_text(html, encoding="utf-8")
    texts = files(__package__).joinpath("licenses")
    for engine in engines:
        name = f"{engine.name}.LICENSE.txt"
        (folder / "engines" / name).write_bytes(texts.joinpath(f"{engine.license}.txt").read_bytes())
