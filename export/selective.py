"""Selective quantization: the fewest layers in float with which an integer model is accurate enough."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from liteport.errors import VerificationError
from liteport.runtime.causes import Finding
from liteport.runtime.contents import Contents

_INPUT = "input"  # the row of a comparison that no operation makes


@dataclass(frozen=True)
class Unit:
    """A layer that may be kept in float.

    Attributes:
        finding: The layer, and what quantization does to it.
        own: The values that it computes, by their names in the float file: what keeps its weights in float.
        takers: The values computed from its output: a value is float only if what takes it is, too.
    """

    finding: Finding
    own: tuple[str, ...]
    takers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Selected:
    """A choice of layers.

    Attributes:
        kept: The layers, the most sensitive first.
        full_drop: The drop of accuracy with every layer quantized, in points.
        drop: The drop that was reached, in points.
    """

    kept: tuple[Unit, ...]
    full_drop: float
    drop: float


def values_of(units: Sequence[Unit]) -> list[str]:
    """Returns the values that stay in float for these layers, each once."""
    return list(dict.fromkeys(name for unit in units for name in (*unit.own, *unit.takers)))


def units_of(findings: Sequence[Finding], contents: Contents) -> list[Unit]:
    """Makes units of the layers that were found noisy, in their order.

    Args:
        findings: The float file compared with the fully quantized one: see `rank_layers`.
        contents: What is in the float file.
    """
    index = {tensor.name: number for number, tensor in enumerate(contents.tensors)}
    units = []
    for finding in findings:
        layer = finding.layer
        taking = [op for op in contents.ops if index.get(layer.tensor) in op.inputs]
        takers = tuple(contents.tensors[number].name for op in taking for number in op.outputs)
        if layer.op != _INPUT:
            units.append(Unit(finding, layer.covers, takers))
    return units


def select(
    quantize: Callable[[Sequence[str]], bytes],
    drop_of: Callable[[bytes], float],
    rank: Callable[[bytes], Sequence[Unit]],
    max_drop: float,
) -> Selected:
    """Finds layers to keep in float.

    How many of the most sensitive are needed is found by doubling and halving. Of those, each is then quantized after
    all, or what takes its output is, where the drop of accuracy still holds.

    Args:
        quantize: Makes the file in which the operations that give these values stay in float.
        drop_of: Measures a file's drop of accuracy against the float model, in points.
        rank: Compares the fully quantized file with the float one and gives its layers, the most sensitive first.
        max_drop: The drop that is let through, in points.

    Raises:
        VerificationError: If even with all layers in float the drop is larger.
    """
    content = quantize(())
    full_drop = drop = drop_of(content)
    if drop <= max_drop:
        return Selected((), full_drop, drop)
    ranked = list(rank(content))
    drops: dict[int, float] = {}

    def measured(units: Sequence[Unit]) -> float:
        return drop_of(quantize(values_of(units)))

    def holds(count: int) -> bool:
        drops[count] = measured(ranked[:count])
        return drops[count] <= max_drop

    enough = _smallest(len(ranked), holds)
    if enough is None:
        left = drops[len(ranked)] if ranked else full_drop
        raise VerificationError(
            f"accuracy drops by {full_drop:.2f} points, and by {left:.2f} even with all of the {len(ranked)} layers "
            f"that can be kept in float; at most {max_drop:g} was asked for"
        )
    kept, drop = ranked[:enough], drops[enough]
    for unit in ranked[:enough]:
        without = [other for other in kept if other is not unit]
        alone = [replace(other, takers=()) if other is unit else other for other in kept]
        for fewer in (without, alone):
            if fewer and values_of(fewer) != values_of(kept) and (found := measured(fewer)) <= max_drop:
                kept, drop = fewer, found
                break
    return Selected(tuple(kept), full_drop, drop)


def _smallest(most: int, holds: Callable[[int], bool]) -> int | None:
    """The smallest number for which something holds, by doubling and then halving; None where not even the most do."""
    low, high = 0, min(1, most)
    while high < most and not holds(high):
        low, high = high, min(high * 2, most)
    if high == most and (not most or not holds(most)):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
