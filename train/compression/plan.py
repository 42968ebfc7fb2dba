"""What a training does to the kernels, and at which step."""

from dataclasses import dataclass
from typing import Protocol

from liteport.errors import InvalidInputError

from .pruning import Pruning

FEWEST_CLUSTERS, MOST_CLUSTERS = 3, 255  # the two ends of the scale and zero; all codes of narrow-range int8
_UPDATES = 30


class Settings(Protocol):
    """The fields of a `TrainConfig` that concern compression."""

    @property
    def sparsity(self) -> float:
        """See `Compression`."""

    @property
    def clusters(self) -> int:
        """See `Compression`."""

    @property
    def ema(self) -> float:
        """The momentum of the average of the weights; 0 is off."""


@dataclass(frozen=True)
class Compression:
    """What the kernels of a trained model shall be like; checked when it is made.

    Attributes:
        sparsity: The part of all kernels' weights, taken together, that becomes zero; 0 is off.
        clusters: How many different int8 codes a kernel has at most, zero among them where it is pruned; 0 is off.

    Raises:
        InvalidInputError: If a value is out of its range.
    """

    sparsity: float = 0.0
    clusters: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.sparsity < 1:
            raise InvalidInputError(f"sparsity: expected from 0 to below 1, found {self.sparsity}")
        whole = isinstance(self.clusters, int) and not isinstance(self.clusters, bool)
        if not whole or not (self.clusters == 0 or FEWEST_CLUSTERS <= self.clusters <= MOST_CLUSTERS):
            raise InvalidInputError(
                f"clusters: expected 0 or a whole number from {FEWEST_CLUSTERS} to {MOST_CLUSTERS}, "
                f"found {self.clusters}"
            )

    def settled_after(self, steps: int) -> int:
        """Returns after which step of a training the kernels are as wished: halfway.

        The other half fine-tunes what is left.

        Args:
            steps: Those of the whole training.
        """
        return max(1, steps // 2)

    def first_epoch(self, steps: int, epochs: int) -> int:
        """Returns the first epoch, from one, whose model is as wished; no earlier one can be the best.

        Args:
            steps: Those of an epoch.
            epochs: Those of the whole training.
        """
        return -(-self.settled_after(steps * epochs) // steps)

    def pruning(self, steps: int) -> Pruning | None:
        """Returns the schedule of the sparsity; None where it is off.

        Args:
            steps: Those of the whole training.
        """
        if not self.sparsity:
            return None
        end = self.settled_after(steps)
        return Pruning(self.sparsity, start=0, end=end, every=max(1, end // _UPDATES))


def compression_of(config: Settings) -> Compression | None:
    """Returns the compression that a training's settings ask for; None where they ask for none.

    Raises:
        InvalidInputError: If a value is out of its range, or the weights are to be averaged as well.
    """
    compression = Compression(config.sparsity, config.clusters)
    if compression == Compression():
        return None
    if config.ema:
        raise InvalidInputError(
            f"ema: expected 0 together with sparsity or clusters, found {config.ema}; "
            "an average over steps is neither sparse nor shared"
        )
    return compression
