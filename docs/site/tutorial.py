"""Runs the notebook docs/tutorial.md, and keeps what its cells give in docs/images/tutorial/: `make tutorial`.

`hooks.py` shows it under the cells. It is kept with a digest of their code, and of other code it is not shown.
"""

import base64
import hashlib
import io
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
NOTEBOOK = ROOT / "docs" / "tutorial.md"
FOLDER = ROOT / "docs" / "images" / "tutorial"
INDEX = "outputs.json"
CELL = re.compile(r"(?<=^```python\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)

_TIMEOUT_S = 1800  # of one cell
_WIDEST = 900  # pixels of a kept picture, which the page shows some 690 wide
_COLOURS, _GREYS = 64, 32  # of a kept picture

Output = dict[str, str]
"""`{"text": …}`, or `{"image": name of the file}`."""


def code_cells(text: str) -> list[str]:
    """Returns the code of each cell of a notebook in jupytext's Markdown format."""
    return [match[0] for match in CELL.finditer(text)]


def digest(text: str) -> str:
    """Returns the SHA-256 of a notebook's code."""
    return hashlib.sha256("\0".join(code_cells(text)).encode()).hexdigest()


def with_outputs(markdown: str, index: Mapping[str, Any]) -> str:
    """Puts what cells gave under them.

    Args:
        markdown: The page.
        index: What `INDEX` has.

    Raises:
        ValueError: If it was given by other code.
    """
    if index["digest"] != digest(markdown):
        raise ValueError("tutorial.md has other code than its outputs were made by; run: make tutorial")
    outputs = iter(index["cells"])
    codes = iter(code_cells(markdown))
    return re.sub(
        rf"(^```python\n){CELL.pattern}^```$",
        lambda cell: "\n\n".join([cell[0], *_shown(next(codes), next(outputs))]),
        markdown,
        flags=CELL.flags,
    )


def _shown(code: str, outputs: Sequence[Output]) -> Iterator[str]:
    """An image is described by the comment that its cell begins with."""
    described = code.splitlines()[0].removeprefix("# ")
    for output in outputs:
        if "image" in output:
            yield f"![{described}](images/tutorial/{output['image']})"
        else:
            yield f'```text title="Output"\n{output["text"]}\n```'


def execute(text: str, folder: Path, environment: Mapping[str, str]) -> Any:
    """Runs a notebook from its first cell to its last one.

    Args:
        text: The notebook.
        folder: Where.
        environment: The variables of its process.

    Returns:
        The notebook with its outputs.

    Raises:
        CellExecutionError: If a cell fails.
    """
    import jupytext
    from nbclient import NotebookClient

    notebook = jupytext.reads(text, fmt="md")
    client = NotebookClient(
        notebook,
        timeout=_TIMEOUT_S,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--log-level=ERROR"],  # no word that other users of this machine could listen in
    )
    client.execute(env=dict(environment))
    return notebook


def outputs_of(notebook: Any) -> Iterator[list[tuple[str, str]]]:
    """Gives the outputs of each code cell that has run: "text" or "image/png", and what it says; pictures in base64.

    Raises:
        ValueError: If a cell wrote to standard error, where nothing belongs that a reader should see.
    """
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        found = []
        for output in cell.outputs:
            if output.output_type == "stream":
                if output.name == "stderr":
                    raise ValueError(f"a cell wrote to standard error: {output.text}\n\n{cell.source}")
                before = found.pop()[1] + "\n" if found and found[-1][0] == "text" else ""
                found.append(("text", before + output.text.rstrip()))
            elif "image/png" in output.get("data", {}):
                found.append(("image/png", output.data["image/png"]))
            else:
                found.append(("text", output.data["text/plain"]))
        yield found


def keep(notebook: Any, code: str, folder: Path) -> None:
    """Writes the outputs of a notebook that has run.

    Args:
        notebook: It.
        code: Its text.
        folder: Where to; what is there is replaced.
    """
    cells: list[list[Output]] = []
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, outputs in enumerate(outputs_of(notebook), 1):
        cells.append([])
        for kind, content in outputs:
            if kind == "text":
                cells[-1].append({"text": content})
                continue
            name = f"{number:02}.png"
            if (folder / name).exists():
                raise ValueError(f"cell {number} gives two pictures; expected one, which its first line describes")
            (folder / name).write_bytes(_small(base64.b64decode(content)))
            cells[-1].append({"image": name})
    index = {"digest": digest(code), "cells": cells}
    (folder / INDEX).write_text(json.dumps(index, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _small(png: bytes) -> bytes:
    """Returns a picture of few colours and of no more pixels than are shown."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as picture:
        shown = Image.new("RGB", picture.size, "white")
        shown.paste(picture, mask=picture.getchannel("A") if picture.mode == "RGBA" else None)
    shown.thumbnail((_WIDEST, _WIDEST * 4), Image.Resampling.LANCZOS)
    red, green, blue = shown.split()
    grey = red.tobytes() == green.tobytes() == blue.tobytes()
    # By default a colour that few pixels have, such as a marker's, is mixed with others.
    few = shown.quantize(_GREYS if grey else _COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    few.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def main() -> None:
    """Runs the notebook and keeps its outputs."""
    text = NOTEBOOK.read_text(encoding="utf-8")
    start = time.monotonic()
    with TemporaryDirectory(prefix="liteport-tutorial-") as folder:
        notebook = execute(text, Path(folder), os.environ)
    keep(notebook, text, FOLDER)
    size = sum(file.stat().st_size for file in FOLDER.iterdir())
    print(f"{FOLDER}: {size / 1000:.0f} kB, made in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
