"""Every command in the documentation is one that the program takes: it is parsed, and not run.

What is looked at are the lines of code blocks whose command is `liteport` (in blocks of `console` those behind "$ ";
in YAML what stands under `run`), what stands in a sentence as `liteport …` or `--option`, and `make TARGET` everywhere.

A placeholder is a word of capitals, such as IMAGE or BUNDLE_OR_FILE: it stands for one value, and any is right. In a
synopsis, what stands in [brackets] may be left out and is looked at all the same; "…" and "..." mean more of the same
and are passed over; a|b means either, and each is tried. Any other word is meant as it stands: an option that takes
one of several names, an amount or a gate must be given one that there is.
"""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import typer
import yaml
from markdown_pages import PAGES, ROOT, code, text_of

from liteport.benchmarks.deciding.constraints import LIMITS, Wishes
from liteport.benchmarks.deciding.gates import parse_gate
from liteport.benchmarks.devices.boards import find_board
from liteport.errors import LiteportError, unknown_name
from liteport.export.formats import FORMATS
from liteport.runtime.cli import build_app
from liteport.train.config import RECIPES
from liteport.train.designs import DESIGNS

# Typer's base of all usage errors: Click's own, or Typer's copy of it, depending on the version.
USAGE_ERROR: Any = typer.BadParameter.__mro__[1]

SHELLS = ("", "sh", "bash", "text")
PLACEHOLDER = re.compile(r"[A-Z][A-Z_-]*")
ANY = "1"  # right as a name, a path and a number
OTHERS = {"--system-site-packages"}  # of other programs
MAKE = re.compile(r"\bmake ([a-z][a-z-]*)")

# What begins like a command and is none: texts that are signed, or that a signature file holds.
NO_COMMANDS = {"liteport signature 1 ed25519", "liteport manifest v1"}


@cache
def program() -> Any:
    return typer.main.get_command(build_app())


@cache
def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def _one_of(kind: str, value: str, known: Any) -> None:
    for name in value.split(","):
        if name not in known and ":" not in name:
            raise unknown_name(kind, name, known)


def check_value(name: str, value: Any) -> None:
    """Checks what an option was given and the parser itself takes as any text.

    Raises:
        LiteportError: If there is no such thing.
    """
    for text in value if isinstance(value, (list, tuple)) else [value]:
        if not isinstance(text, str) or text == ANY:
            continue
        if name in ("formats", "variant", "variants", "compare"):
            _one_of("variant", text, [*FORMATS, "all"])
        elif name in ("design", "designs"):
            _one_of("design", text, DESIGNS)
        elif name == "recipe":
            _one_of("recipe", text, RECIPES)
        elif name in ("prefer", "percentile", *LIMITS):
            Wishes(**{name: text})
        elif name in ("emulate", "device"):
            for board in text.split(","):
                find_board(board)
        elif name == "fail_on":
            parse_gate(text)


def wrong(words: list[str]) -> str | None:
    """Says what is wrong with the words behind `liteport`; None where they are right."""
    if not words:
        return None  # the program itself, which prints its help
    words = [ANY if PLACEHOLDER.fullmatch(word) else word for word in words]
    command = program().commands.get(words[0])
    if command is None:
        return f"there is no command {words[0]}"
    try:
        with command.make_context(f"liteport {words[0]}", words[1:]) as context:
            for name, value in context.params.items():
                check_value(name, value)
    except USAGE_ERROR as error:
        return str(error.format_message())
    except LiteportError as error:
        return str(error)
    return None


def readings(line: str) -> Iterator[str]:
    """Yields what a synopsis may stand for, and any other line as it is."""
    line = re.sub(r"…|\.\.\.", " ", line)
    if not re.search(r"(?:^|\s)\[", line):
        yield line
        return
    line = re.sub(r"[\[\]]", " ", line)
    for number in range(max(word.count("|") for word in line.split()) + 1):
        yield " ".join(word.split("|")[min(number, word.count("|"))] for word in line.split())


def commands(line: str) -> Iterator[list[str]]:
    """Yields the words behind each `liteport` of a line of shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word.strip("();<>|&"):
            words.append(word)
            continue
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            del words[0]
        if words and words[0].rpartition("/")[2] == "liteport":
            yield words[1:]
        words = []


def lines(text: str, language: str) -> list[str]:
    """Returns the lines of a block that are commands, those that are continued put together."""
    name = language.partition(" ")[0]
    if name == "yaml":
        return [line for run in _runs(yaml.safe_load(text)) for line in lines(run, "sh")]
    found = text.replace("\\\n", " ").splitlines()
    if name == "console":
        return [line[2:] for line in found if line.startswith("$ ")]
    return found if name in SHELLS else []


def _runs(value: Any) -> Iterator[str]:
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if key == "run":
            yield item
        elif isinstance(item, (dict, list)):
            yield from _runs(item)


def mistakes(text: str) -> dict[str, str]:
    """Returns what is wrong in a page, by the line or the words at fault."""
    found = {}
    for part in code(text):
        in_sentence = part.language is None
        for line in [part.text] if part.language is None else lines(part.text, part.language):
            found |= {name: "there is no such target" for name in MAKE.findall(line) if name not in targets()}
            if line.strip() in NO_COMMANDS or "liteport" not in line:
                reason = wrong_option(line) if in_sentence and line.startswith("--") else None
            elif in_sentence:
                reason = wrong_mention(line)
            else:
                reasons = (wrong(words) for reading in readings(line) for words in commands(reading))
                reason = next((reason for reason in reasons if reason), None)
            if reason:
                found[line] = reason
    return found


def wrong_mention(line: str) -> str | None:
    """Says what is wrong with `liteport …` in a sentence, which may leave out what is not its point."""
    words = next(commands(next(readings(line))), [])
    if not words:
        return None
    if words[0] not in program().commands:
        return None if words[0].startswith("--") else f"there is no command {words[0]}"
    known = options(words[0])
    return next(
        (f"liteport {words[0]} has no {word}" for word in words if word[:2] == "--" and word not in known), None
    )


def wrong_option(line: str) -> str | None:
    """Says what is wrong with `--option …` in a sentence, which any command may have."""
    known = {option for name in program().commands for option in options(name)} | OTHERS
    unknown = [word for word in line.split() if word.startswith("--") and word.partition("=")[0] not in known]
    return f"no command has {unknown[0]}" if unknown else None


@cache
def options(name: str) -> set[str]:
    parameters = program().commands[name].params
    return {"--help", "--debug"} | {text for entry in parameters for text in (*entry.opts, *entry.secondary_opts)}


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_ones_that_there_are(page: str) -> None:
    assert mistakes(text_of(page)) == {}


def test_the_pages_have_commands() -> None:
    """Lest nothing be looked at."""
    blocks = [part for page in PAGES for part in code(text_of(page)) if part.language is not None]
    typed = [line for part in blocks for line in lines(part.text, part.language or "") if "liteport" in line]
    found = [words[0] for line in typed for reading in readings(line) for words in commands(reading) if words]
    assert {"data", "train", "export", "predict", "bench", "choose", "compare", "inspect", "web", "sign"} <= {*found}
    assert len(found) > 60
    assert {"demo", "test", "test-arm", "docs"} <= targets()


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ("liteport export run --out bundle  # it's all", None),
        ("liteport predict BUNDLE_OR_FILE IMAGE… [--variant ID] [--top-k K] [--invert auto|yes|no]", None),
        ("X=1 ~/liteport/bin/liteport doctor && ls", None),
        ("liteport bench bundle \\\n  --fail-on 'latency_ratio>1.05' > log", None),
        ("pip install liteport", None),
        ("make test PYTHON=python3.13", None),
        ("liteport exprot run", "no command exprot"),
        ("ls | liteport exprot run", "no command exprot"),
        ("liteport export run --ouput bundle", "No such option"),
        ("liteport bench bundle \\\n  --durations 5", "No such option"),
        ("liteport export", "Missing argument"),
        ("liteport export run run2", "unexpected extra argument"),
        ("liteport export run --seed many", "seed"),
        ("liteport export run --target risc", "target"),
        ("liteport export run --format tflite-int9", "tflite-int9"),
        ("liteport bench bundle --variant tflite-int9", "tflite-int9"),
        ("liteport bench bundle --emulate pi4,pi9", "pi9"),
        ("liteport bench bundle --fail-on 'latncy>5ms'", "latncy"),
        ("liteport choose report --max-latency 5", "latency"),
        ("liteport choose report --prefer speed", "speed"),
        ("liteport compare --designs baseline,fats", "fats"),
        ("liteport train --recipe slow", "slow"),
        ("liteport predict FILE IMAGE… [--invert auto|perhaps]", "invert"),
        ("make dmeo", "no such target"),
    ],
)
def test_a_command_that_is_wrong_is_noticed(block: str, reason: str | None) -> None:
    found = mistakes(f"```\n{block}\n```\n")
    assert found == {} if reason is None else re.search(reason, " ".join(found.values()), re.IGNORECASE)


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("`liteport choose`, `liteport bench --threads 2` and `--no-vnni`", None),
        ("```console\n$ liteport doctor\nliteport exprot\n```", None),
        ("```yaml\njobs: [{run: liteport doctor}]\n```", None),
        ("`liteport chose`", "no command chose"),
        ("`liteport bench --emulte pi4`", "no --emulte"),
        ("`--no-vni`", "no command has --no-vni"),
        ("run `make dmeo`", "no such target"),
        ("    liteport exprot run", "no command exprot"),
        ("```console\n$ liteport exprot\n```", "no command exprot"),
        ("```yaml\njobs: [{run: liteport exprot}]\n```", "no command exprot"),
    ],
)
def test_a_page_that_is_wrong_is_noticed(page: str, reason: str | None) -> None:
    found = mistakes(page)
    assert found == {} if reason is None else re.search(reason, " ".join(found.values()))
