import subprocess
import sys

import pytest

import liteport.train


def output_of(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.strip()


def test_import_is_free_of_tensorflow() -> None:
    code = """
import sys
from liteport.train import TrainConfig, load_dataset
load_dataset("mnist")
print(sorted({"tensorflow", "keras", "matplotlib", "typer"} & set(sys.modules)))
"""
    assert output_of(code) == "[]"


def test_every_public_name_is_there_whatever_was_used_first() -> None:
    # importing a module sets its name on the package: one called `fit` would hide the function
    code = """
from liteport.train import Run
from liteport.train import *
print(callable(fit), callable(resume), callable(build_model), "baseline" in DESIGNS, callable(load_weights))
"""
    assert output_of(code) == "True True True True True"


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        liteport.train.__getattr__("fitt")


def test_without_tensorflow_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ImportError, match=r'pip install "liteport\[train\]"'):
        _ = liteport.train.build_model
