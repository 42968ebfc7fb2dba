import builtins
from pathlib import Path

import pytest

from liteport import errors
from liteport.errors import InvalidInputError, LiteportError, MissingDependencyError, require, unknown_name

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, LiteportError)]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not LiteportError])
def test_each_error_is_also_a_builtin_one(kind: type[LiteportError]) -> None:
    builtin = next(base for base in kind.__mro__ if base.__module__ == builtins.__name__)
    assert issubclass(kind, LiteportError)
    assert builtin is not Exception
    assert str(kind("one line")) == "one line"


def test_a_mistyped_name_is_answered_with_the_closest() -> None:
    error = unknown_name("design", "basline", ["tiny", "baseline"])
    assert isinstance(error, InvalidInputError)
    assert str(error) == "unknown design 'basline'; did you mean 'baseline'? known: tiny, baseline"


@pytest.mark.parametrize("name", ["zzz", "", 3, None])
def test_a_name_like_no_other_is_answered_with_all(name: str) -> None:
    assert str(unknown_name("design", name, iter(["tiny", "baseline"]))) == (
        f"unknown design {name!r}; known: tiny, baseline"
    )


def test_a_package_that_is_there_is_imported() -> None:
    import json.decoder

    assert require("json.decoder", "extra") is json.decoder


def test_a_missing_package_is_answered_with_what_installs_it() -> None:
    with pytest.raises(MissingDependencyError) as caught:
        require("no_such_package.part", "image")
    assert str(caught.value) == 'no_such_package is not installed; run: pip install "liteport[image]"'
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_a_broken_package_is_not_called_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_package.py").write_text("import something_it_needs")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="something_it_needs") as caught:
        require("broken_package", "image")
    assert not isinstance(caught.value, LiteportError)
