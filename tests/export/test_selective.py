from collections.abc import Sequence
from dataclasses import replace

import pytest

from liteport.errors import VerificationError
from liteport.export.selective import Selected, Unit, select, units_of, values_of
from liteport.runtime.causes import Finding
from liteport.runtime.comparison import LayerComparison
from liteport.runtime.contents import Contents, Op, Tensor


def layer(name: str, snr: float) -> Finding:
    """A layer of which only what ranks it matters here."""
    fields = dict.fromkeys(LayerComparison.__dataclass_fields__)
    values = {"layer": name, "op": "CONV_2D", "tensor": name, "covers": (name,), "own_snr_db": snr}
    return Finding(LayerComparison(**fields | values), 1.0, "resolution")  # type: ignore[arg-type]


def searched(needed: set[str], names: str = "abcdefgh", max_drop: float = 0.1) -> tuple[Selected, list[list[str]]]:
    """Searches among layers of which each one needed costs one point; the letters' order is that of the ranks."""
    asked: list[list[str]] = []

    def quantize(keep: Sequence[str]) -> bytes:
        asked.append(list(keep))
        return ",".join(keep).encode()

    def drop_of(content: bytes) -> float:
        return float(len(needed - set(content.decode().split(","))))

    units = [Unit(layer(name, 0.0), (name,)) for name in names]
    return select(quantize, drop_of, lambda _: units, max_drop), asked


@pytest.mark.parametrize("needed", [{"a"}, {"h"}, {"a", "h"}, {"b", "c", "f"}, set("abcdefgh")])
def test_just_the_layers_that_are_needed_are_kept(needed: set[str]) -> None:
    found, _ = searched(needed)
    assert {unit.finding.layer.layer for unit in found.kept} == needed
    assert (found.full_drop, found.drop) == (len(needed), 0.0)


def test_nothing_is_kept_where_nothing_is_lost() -> None:
    found, asked = searched(set())
    assert (found.kept, found.full_drop, asked) == ((), 0.0, [[]])


def test_a_drop_that_is_let_through_needs_fewer_layers() -> None:
    assert len(searched({"a", "c", "e"}, max_drop=1.0)[0].kept) == 2


def test_a_drop_that_no_layer_mends_is_told() -> None:
    with pytest.raises(VerificationError, match=r"drops by 2\.00 points, and by 1\.00 even with all of the 3 layers"):
        searched({"a", "elsewhere"}, names="abc")
    with pytest.raises(VerificationError, match="all of the 0 layers"):
        searched({"a"}, names="")


def test_few_quantizations_are_enough_where_the_worst_layer_is_the_culprit() -> None:
    _, asked = searched({"a"}, names="abcdefghijklmnopqrstuvwxyz")
    assert asked == [[], ["a"]]


def test_what_takes_a_layers_output_is_kept_only_where_it_helps() -> None:
    def found(needed: set[str]) -> list[str]:
        units = [Unit(layer("conv", 1.0), ("conv",), ("pool",)), Unit(layer("pool", 2.0), ("pool",))]
        chosen = select(
            lambda keep: ",".join(keep).encode(),
            lambda content: float(len(needed - set(content.decode().split(",")))),
            lambda _: units,
            0.5,
        )
        return values_of(chosen.kept)

    assert found({"conv"}) == ["conv"]
    assert found({"conv", "pool"}) == ["conv", "pool"]


def test_layers_keep_their_order_and_know_their_takers() -> None:
    tensors = tuple(Tensor(name, "float32", (1,)) for name in ("in", "conv", "pool", "dense"))
    ops = (Op("CONV_2D", 1, (0,), (1,)), Op("POOL", 1, (1,), (2,)), Op("FULLY_CONNECTED", 1, (2,), (3,)))
    contents = Contents("tflite", (0,), (3,), tensors, ops, None, {}, "", {})
    entry = layer("in", 0.0)
    entry = replace(entry, layer=replace(entry.layer, op="input"))  # which no operation gives
    units = units_of([layer("pool", 10.0), entry, layer("dense", 20.0), layer("conv", 30.0)], contents)
    assert [(unit.own, unit.takers) for unit in units] == [
        (("pool",), ("dense",)),
        (("dense",), ()),
        (("conv",), ("pool",)),
    ]
