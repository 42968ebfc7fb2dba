"""The inference engines, and the choice among them."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType
from typing import Protocol

from liteport.errors import InvalidInputError, MissingDependencyError, unknown_name

from .base import Backend, BackendInfo, Memory, Shapes
from .litert import LiteRTBackend
from .onnxruntime import OnnxRuntimeBackend

__all__ = [
    "ENGINES",
    "EXPECTED",
    "RUNNABLE",
    "Backend",
    "BackendInfo",
    "Engine",
    "Memory",
    "Shapes",
    "choose_engine",
    "installed",
    "installed_version",
]


class _Loader(Protocol):
    def __call__(
        self, content: bytes, threads: int, package: str, module: ModuleType, signature: str | None
    ) -> Backend: ...


@dataclass(frozen=True)
class Engine:
    """A package that runs model files.

    Attributes:
        package: The distribution's name, by which users choose it.
        module: The module that has the engine's class.
        suffix: Which files it runs.
        loader: Makes the `Backend`.
        install: What to type where it is missing.
        prints: Whether the module prints when it is imported, which is kept off standard output.
    """

    package: str
    module: str
    suffix: str
    loader: _Loader
    install: str
    prints: bool = False

    def load(self, content: bytes, threads: int, signature: str | None = None) -> Backend:
        """Loads a model file's content; see the backends."""
        return self.loader(content, threads, self.package, self.imported(), signature)

    def imported(self) -> ModuleType:
        """Imports the module."""
        if not self.prints:
            return importlib.import_module(self.module)
        from .native import overheard

        with overheard():
            return importlib.import_module(self.module)


# These two need the readers of their files and temporary ones, a third of a start that others do without.
def _ncnn(content: bytes, threads: int, package: str, module: ModuleType, signature: str | None) -> Backend:
    from .ncnn import NcnnBackend

    return NcnnBackend(content, threads, package, module, signature)


def _mnn(content: bytes, threads: int, package: str, module: ModuleType, signature: str | None) -> Backend:
    from .mnn import MnnBackend

    return MnnBackend(content, threads, package, module, signature)


# In order of preference for each kind of file.
ENGINES = (
    Engine("ai-edge-litert", "ai_edge_litert.interpreter", ".tflite", LiteRTBackend, "pip install ai-edge-litert"),
    Engine("tflite-runtime", "tflite_runtime.interpreter", ".tflite", LiteRTBackend, "pip install tflite-runtime"),
    Engine("onnxruntime", "onnxruntime", ".onnx", OnnxRuntimeBackend, 'pip install "liteport[onnx]"'),
    Engine("ncnn", "ncnn", ".param", _ncnn, "pip install ncnn"),
    # MNN's native module; the package around it takes 5 MB more of memory, and adds nothing that is used here
    Engine("MNN", "_mnncengine", ".mnn", _mnn, 'pip install "liteport[mnn]"', prints=True),
)

RUNNABLE = {engine.suffix for engine in ENGINES}
"""The endings of the files that some engine runs; of a model of two files that of the first."""

EXPECTED = "a .tflite, an .onnx, an .mnn or an ncnn .param file"
"""What is expected of a path, in words."""


def installed(engine: Engine) -> bool:
    """Tells whether an engine's package is there, without importing it."""
    return find_spec(engine.module.split(".")[0]) is not None


def installed_version(package: str) -> str | None:
    """Returns a distribution's version, or None where it is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # takes 3 MB and 10 ms, which running models need not

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def choose_engine(suffix: str, wanted: str | None = None) -> Engine:
    """Chooses the engine for a kind of file.

    Args:
        suffix: The ending of the model file.
        wanted: A package's name, where the user insists on one.

    Raises:
        InvalidInputError: If no engine, or none of that name, runs such files.
        MissingDependencyError: If the engine wanted, or every one that could serve, is not installed.
    """
    able = [engine for engine in ENGINES if engine.suffix == suffix]
    if not able:
        raise InvalidInputError(f"no engine runs {suffix!r} files; expected {EXPECTED}")
    if wanted is not None:
        names = [engine.package for engine in able]
        able = [engine for engine in able if engine.package == wanted]
        if not able:
            raise unknown_name(f"backend for {suffix} files", wanted, names)
    for engine in able:
        if installed(engine):
            return engine
    raise MissingDependencyError(f"{able[0].package} is needed for {suffix} files; run: {able[0].install}")
