"""All that is found out of a model file by loading it once more: to be called in a process of its own."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..results import LayerCost
from .costs import costs_of
from .delegation import left_to_built_in_kernels
from .footprint import least_memory
from .values import Values


@dataclass(frozen=True)
class Survey:
    """What a file needs.

    Attributes:
        layers: Each operation's cost; see `costs.count_costs`.
        activation_bytes: The least memory of its values; see `footprint.activation_bytes`.
        left: What its delegate leaves to built-in kernels; see `delegation.left_to_built_in_kernels`; empty for ONNX.
    """

    layers: tuple[LayerCost, ...]
    activation_bytes: int | None
    left: Mapping[str, int]


def survey(content: bytes, suffix: str) -> Survey:
    """Surveys a model file; its engine runs it once, which may do to the process what running a broken file may.

    Args:
        content: The file.
        suffix: ".tflite", ".onnx", ".param" or ".mnn".

    Raises:
        InvalidInputError: If it is another suffix.
        IntegrityError: If the file is damaged.
        MissingDependencyError: If the engine that runs such files is not installed.
        BackendError: If the engine refuses the file or fails.
    """
    values = Values(content, suffix)
    left = left_to_built_in_kernels(content) if suffix == ".tflite" else {}
    return Survey(costs_of(values), least_memory(values), left)
