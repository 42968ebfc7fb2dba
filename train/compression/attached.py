"""A compression at work on a model that trains."""

import keras

from . import clustering, pruning
from .kernels import Form, kernels_of
from .plan import Compression


class Attached:
    """Changes the kernels of a model at the steps that are due; in between the optimizer keeps them so.

    Args:
        compression: What to reach.
        model: The one that is trained; before it is compiled.
        steps: Those of the whole training.

    Raises:
        InvalidInputError: If the model has no kernel to compress.
    """

    def __init__(self, compression: Compression, model: keras.Model, steps: int) -> None:
        kernels = kernels_of(model)
        self._channels = [kernel.channels for kernel in kernels]
        self._forms = [Form(kernel) for kernel in kernels]
        self._clusters = compression.clusters
        self._pruning = compression.pruning(steps)
        self._settled_after = compression.settled_after(steps)

    def start_epoch(self, step: int) -> None:
        """Reads from the kernels what is pruned and what is shared.

        Called before each epoch, also of a training that was never stopped, it makes one that goes on from a file of
        weights do exactly the same.

        Args:
            step: How many steps are done.
        """
        if self._clusters and step >= self._settled_after:
            for form, channels in zip(self._forms, self._channels, strict=True):
                form.share(clustering.codes_of(form.values, channels))
        elif self._pruning and self._pruning.has_begun(step):
            for form in self._forms:
                form.keep(form.values != 0)

    def after_step(self, step: int) -> None:
        """Prunes and clusters if it is time to.

        Args:
            step: How many steps are done.
        """
        if self._pruning and self._pruning.updates_after(step):
            kept = pruning.masks([form.values for form in self._forms], self._pruning.at(step))
            for form, mask in zip(self._forms, kept, strict=True):
                form.keep(mask)
        if self._clusters and step == self._settled_after:
            for form, channels in zip(self._forms, self._channels, strict=True):
                form.share(clustering.clustered_codes(form.values, channels, self._clusters))
