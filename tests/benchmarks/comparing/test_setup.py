from pathlib import Path

import pytest

from liteport.benchmarks.comparing.setup import Setup, Spec, make_setup, make_specs, record_setup
from liteport.errors import IntegrityError, InvalidInputError
from liteport.train import load_dataset


def test_all_designs_of_a_seed_come_before_the_next_seed() -> None:
    assert make_specs(["a", "m:f"], 2) == (Spec("a", 0), Spec("m:f", 0), Spec("a", 1), Spec("m:f", 1))
    assert Spec("pkg.mod:net", 3).name == "pkg.mod-net-seed-3"


@pytest.mark.parametrize(
    ("designs", "seeds", "message"),
    [
        (["a"], 0, "seeds: expected a whole number from 1, found 0"),
        (["a"], True, "found True"),
        ([], 1, "designs: expected one or more names"),
        ([""], 1, "designs: expected one or more names"),
        (["a", "a"], 1, "each once, found a, a"),
        (["m:f", "m/f"], 1, "each once"),  # their folders would be the same
    ],
)
def test_bad_designs_and_seeds(designs: list[str], seeds: int, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make_specs(designs, seeds)


@pytest.mark.parametrize(
    ("epochs", "recipe", "variants", "message"),
    [
        (0, None, ["tflite-int8"], "epochs: expected a whole number from 1"),
        (None, "plane", ["tflite-int8"], "did you mean 'plain'"),
        (None, None, [], "variants: expected one or more ids, each once, found none"),
        (None, None, ["tflite-int8", "tflite-int8"], "each once"),
        (None, None, ["all"], "found all"),
    ],
)
def test_bad_settings(
    epochs: int | None, recipe: str | None, variants: list[str], message: str, tiny_data: Path
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make_setup(load_dataset(tiny_data), epochs, recipe, variants)


def test_size_and_latency_are_of_int8_where_there_is_such_a_variant() -> None:
    def deployed(*variants: str) -> str:
        return Setup("mnist", "", None, None, variants).deployed

    assert deployed("tflite-float32", "onnx-int8", "tflite-int8") == "onnx-int8"
    assert deployed("tflite-float32", "tflite-dynamic") == "tflite-dynamic"


def test_another_setup_is_refused_once_trials_are_there(setup: Setup, tmp_path: Path) -> None:
    record_setup(setup, tmp_path, begun=False)
    record_setup(setup, tmp_path, begun=True)
    longer = Setup(setup.data, setup.data_digest, 20, setup.recipe, setup.variants)
    with pytest.raises(InvalidInputError, match="holds trials with epochs by default, not 20; name another --out"):
        record_setup(longer, tmp_path, begun=True)
    record_setup(longer, tmp_path, begun=False)
    record_setup(longer, tmp_path, begun=True)
    (tmp_path / "setup.json").write_text("{}")
    with pytest.raises(IntegrityError, match="lacks"):
        record_setup(setup, tmp_path, begun=True)
