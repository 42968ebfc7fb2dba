"""What MkDocs is given beside the pages in docs/: references made from the code, and pages that lie elsewhere."""

import importlib
import inspect
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tutorial  # beside this file
import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from liteport.runtime.cli import build_app

ROOT = Path(__file__).resolve().parent.parent.parent
MODULES = ("train", "export", "runtime", "benchmarks", "errors")
_RUN = re.compile(r"^```python run$", re.MULTILINE)
_TO_DOCS = re.compile(r"\]\(docs/")
# Errors end a strict build; so do warnings, but with --quiet MkDocs counts none.
_log = logging.getLogger("mkdocs.hooks.liteport")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are made."""
    for name, text in made_pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def made_pages() -> dict[str, str]:
    """Returns the Markdown of the pages that lie in no file of their own, by their path among the pages."""
    return {
        "contributing.md": (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"),
        "reference/commands.md": "\n".join(_commands()),
        **{f"reference/{name}.md": "\n".join(_module(f"liteport.{name}")) for name in MODULES},
    }


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Shows a notebook's outputs; takes the mark off the blocks that the tests run, which is no name of a language."""
    if page.file.src_uri == tutorial.NOTEBOOK.name:
        markdown = _with_outputs(markdown)
    return _TO_DOCS.sub("](", _RUN.sub("```python", markdown))


def _with_outputs(markdown: str) -> str:
    """Tells where the outputs are not those of this notebook, or are not there."""
    try:
        index = json.loads((tutorial.FOLDER / tutorial.INDEX).read_text(encoding="utf-8"))
        return tutorial.with_outputs(markdown, index)
    except (OSError, ValueError) as error:
        _log.error("%s", error)
        return markdown


def _module(name: str) -> Iterator[str]:
    """A page for a module: all that is public there, of which nothing may lack a docstring."""
    module = importlib.import_module(name)
    yield f"# {name}\n\n{inspect.getdoc(module)}\n"
    for member in getattr(module, "__all__", [own for own in vars(module) if not own.startswith("_")]):
        value = getattr(module, member)
        told_here = getattr(value, "__module__", name).startswith(name)  # what another module made is told of there
        if inspect.ismodule(value) or not told_here:
            continue
        if callable(value) and not value.__doc__:
            _log.error("%s.%s has no docstring", name, member)
        yield f"::: {name}.{member}\n"


def _commands() -> Iterator[str]:
    """A page with the help of every command."""
    program: Any = typer.main.get_command(build_app())  # by Click, or by Typer's copy of it, depending on the version
    yield f"# Commands\n\n{program.help}\n"
    for name, command in program.commands.items():
        with command.context_class(command, info_name=f"liteport {name}") as context:
            yield f"## liteport {name}\n\n{command.help}\n"
            yield f"    {' '.join(command.get_usage(context).removeprefix('Usage: ').split())}\n"
            yield from _options(command, context)


def _options(command: Any, context: Any) -> Iterator[str]:
    yield "| | |\n| --- | --- |"
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            yield f"| `{_cell(record[0])}` | {_cell(record[1])} |"
    yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
