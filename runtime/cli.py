"""The `liteport` program: collects the commands of all packages, and tells failures in one line.

Exit codes: 0 success, 1 failure, 2 wrong usage, 3 a gate that the user set is not met, 130 interrupted.
"""

import _thread
import os
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points, version
from typing import Annotated, Any

import typer

from liteport.errors import InterruptedTrainingError, LiteportError, LiteportWarning

from .commands import doctor
from .predicting import predict
from .signing_commands import sign, verify

# Typer's base of all usage errors: Click's own, or Typer's copy of it, depending on the version.
_UsageError: Any = typer.BadParameter.__mro__[1]

_ORDER = (
    *("data", "train", "export", "predict", "bench", "choose", "compare"),
    *("inspect", "web", "sign", "verify", "doctor", "demo"),
)


def build_app() -> typer.Typer:
    """Makes the program from the runtime's own commands and those that other packages announce.

    A package announces a command as an entry point in the group `liteport.commands`.
    """
    commands: dict[str, Callable[..., None]] = {"predict": predict, "doctor": doctor, "sign": sign, "verify": verify}
    commands |= {entry.name: entry.load() for entry in entry_points(group="liteport.commands")}
    app = typer.Typer(
        help="Export Keras image classifiers to TensorFlow Lite and ONNX, run them without TensorFlow, and measure "
        "which variant to ship. With --debug, failures show their traceback.",
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for name in sorted(commands, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER)):
        app.command(name)(commands[name])
    app.callback(invoke_without_command=True)(_root)
    return app


def _root(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if show_version:
        typer.echo(version("liteport"))
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run(arguments: Sequence[str]) -> int:
    """Runs one command in this process.

    Args:
        arguments: What would be typed after `liteport`.

    Returns:
        The exit code of a command that ended by itself.

    Raises:
        LiteportError: And whatever else a command raises.
    """
    command = typer.main.get_command(build_app())
    try:
        # Not command.main(), which would take Ctrl-C and a closed pipe upon itself.
        with command.make_context("liteport", list(arguments)) as context:
            command.invoke(context)
    except typer.Exit as stop:
        return stop.exit_code
    return 0


def main() -> None:
    """Runs the program on the command line's arguments and exits."""
    arguments = sys.argv[1:]
    if "--debug" in arguments:
        arguments.remove("--debug")
        os.environ["LITEPORT_DEBUG"] = "1"
    if not os.environ.get("LITEPORT_DEBUG"):
        sys.excepthook = _tell_unforeseen
    sys.unraisablehook = _interrupt_again
    warnings.formatwarning = _one_line_warning
    sys.exit(_run_and_tell(arguments))


def _run_and_tell(arguments: list[str]) -> int:
    try:
        return run(arguments)
    except _UsageError as error:
        where = error.ctx.command_path if error.ctx else "liteport"
        return _tell(f"{error.format_message()} (see {where} --help)", 2)
    except KeyboardInterrupt:
        return _tell("interrupted; what was unfinished is not kept", 130)
    except LiteportError as error:
        stopped = isinstance(error, InterruptedTrainingError) and isinstance(error.__cause__, KeyboardInterrupt)
        return _tell(str(error), 130 if stopped else 1, error)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _tell(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", 1, error)


def _interrupt_again(ignored: "sys.UnraisableHookArgs") -> None:
    """Keeps a Ctrl-C that came while an object was being deleted, where Python only tells of exceptions.

    TensorFlow's converter collects garbage after each file, and thousands of its objects clean up in Python, which
    takes a good part of an export. Raised here it would be lost once more, so another thread sends it, a moment later.
    """
    if not issubclass(ignored.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(ignored)
        return
    again = threading.Timer(0.05, _thread.interrupt_main)
    again.daemon = True
    again.start()


def _one_line_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    del line  # as Python calls it; the source's line says nothing to users
    where = "" if issubclass(category, LiteportWarning) else f" ({category.__name__} in {filename}:{lineno})"
    return f"warning: {message}{where}\n"


def _tell(message: str, code: int, error: BaseException | None = None) -> int:
    if error is not None and os.environ.get("LITEPORT_DEBUG"):
        raise error
    print(f"{'' if code == 130 else 'error: '}{' '.join(message.split())}", file=sys.stderr)
    return code


def _tell_unforeseen(kind: type[BaseException], error: BaseException, _trace: object) -> None:
    """Tells of an error that nobody foresaw, which is a defect, in one line as well; Python then exits with 1."""
    text = " ".join(f"{kind.__name__}: {error}".split())
    print(f"error: {text} (unforeseen; --debug shows the traceback)", file=sys.stderr)
