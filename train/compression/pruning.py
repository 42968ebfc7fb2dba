"""Which weights are pruned, and when: pure functions of numpy arrays and step numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Pruning:
    """A sparsity that rises by a cubic polynomial: fast while there is much to spare, slowly towards its end.

    M. Zhu, S. Gupta, "To prune, or not to prune" (arXiv 1710.01878), equation 1, from a sparsity of zero.

    Attributes:
        sparsity: The one at the end.
        start: The step after which the sparsity is still zero.
        end: The step after which it is `sparsity`, for good.
        every: Steps between two updates.
    """

    sparsity: float
    start: int
    end: int
    every: int

    def at(self, step: int) -> float:
        """Returns the sparsity after a step."""
        if step >= self.end:
            return self.sparsity
        left = 1 - max(0, step - self.start) / (self.end - self.start)
        return self.sparsity * (1 - left**3)

    def updates_after(self, step: int) -> bool:
        """Tells whether weights are pruned after a step."""
        return step == self.end or (self.start < step < self.end and (step - self.start) % self.every == 0)

    def has_begun(self, step: int) -> bool:
        """Tells whether weights have been pruned, once a step is done."""
        return step >= min(self.end, self.start + self.every)


def masks(kernels: Sequence[NDArray[np.float32]], sparsity: float) -> list[NDArray[np.bool_]]:
    """Chooses which weights stay.

    Args:
        kernels: Of any shapes.
        sparsity: The part of all weights, taken together, that goes.

    Returns:
        True for what stays; in each kernel at least the largest weight.
    """
    scores = [lamp_scores(kernel) for kernel in kernels]
    together = np.concatenate([score.ravel() for score in scores])
    gone = int(sparsity * together.size)
    threshold = np.partition(together, gone)[gone]
    return [score >= threshold for score in scores]


def lamp_scores(kernel: NDArray[np.float32]) -> NDArray[np.float64]:
    """Makes the weights of different kernels comparable: the square over the sum of it and of all larger squares.

    J. Lee et al., "Layer-adaptive Sparsity for the Magnitude-based Pruning" (arXiv 2010.07611), equation 4. Within a
    kernel the order is that of the magnitudes; a small kernel, which would suffer most, keeps more of its weights.

    Returns:
        Of the kernel's shape, from 0 to 1; the largest weight has 1, a kernel of zeros has zeros.
    """
    magnitudes = np.abs(kernel).ravel()
    rising = np.argsort(magnitudes)
    squares = magnitudes[rising].astype(np.float64) ** 2
    larger = np.cumsum(squares[::-1])[::-1]
    scores = np.empty_like(squares)
    scores[rising] = np.divide(squares, larger, out=np.zeros_like(larger), where=larger > 0)
    return scores.reshape(kernel.shape)
