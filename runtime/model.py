"""A loaded model, and asking it."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liteport.errors import BackendError, IntegrityError, InvalidInputError, unknown_name

from .backends import Backend, BackendInfo
from .card import InputInfo, ModelCard, OutputInfo, Preprocessing, TensorSpec
from .images import Invert, image_size, open_image
from .inputs import Input
from .lanes import Lanes
from .manifest import Manifest
from .parts import Part, side_by_side, split, whole_number
from .preprocessing import UINT8, as_array, as_batch
from .quantization import decoder
from .shortcut import Shortcut, make_shortcut

_MOST_SHORTCUTS = 4  # with and without the channel, one image and a batch


@dataclass(frozen=True)
class Prediction:
    """One of the classes a model finds likely.

    Attributes:
        label: The class's name, or its index as text where the model carries no names.
        index: The class's index.
        probability: From 0 to 1.
    """

    label: str
    index: int
    probability: float


class Model:
    """A loaded model; made by `load`. May be used from several threads: calls take turns.

    A foreign file may keep variables from one call to the next. Each model has its own, as they were in the file.

    Attributes:
        input: The first input, as users see it: its name and shape, float32 where the file has it quantized.
        inputs: Every input as the file has it: dtype, scale and zero point included.
        outputs: Every output, likewise.
        labels: The class names, or None.
        variant: The variant's id, or None for a file that does not say.
        backend: The engine: name, version, provider.
        card: What the file or its bundle says of inputs, outputs and classes, or None.
        manifest: The bundle's manifest, or None for a lone file.
    """

    def __init__(
        self, backend: Backend, card: ModelCard | None, manifest: Manifest | None = None, *, stateful: bool = False
    ) -> None:
        self.card = card
        self.manifest = manifest
        self.variant = card.variant if card else None
        self.labels = card.outputs[0].labels if card else None
        self.inputs: tuple[TensorSpec, ...] = backend.inputs
        self.outputs: tuple[TensorSpec, ...] = backend.outputs
        self.backend: BackendInfo = backend.info
        if not self.inputs or not self.outputs:
            raise BackendError(
                f"the file has {len(self.inputs)} inputs and {len(self.outputs)} outputs; expected at least one of each"
            )
        first = self.inputs[0]
        self.input = first if first.scale is None else TensorSpec(first.name, "float32", first.shape)
        pixels: dict[str, Preprocessing] = {}
        if card:
            _check_fit(card.inputs, self.inputs)
            _check_fit(card.outputs, self.outputs)
            pixels = {info.name: info.preprocessing for info in card.inputs}
        self._inputs = [Input(spec, pixels.get(spec.name)) for spec in self.inputs]
        self._decoders = [decoder(spec) for spec in self.outputs]
        self._logits = card is not None and card.outputs[0].activation == "linear"
        self._lanes = Lanes(backend, only_one=stateful)
        self._stateful = stateful
        self._fixed = first.shape[0] if first.shape else None
        self._shortcuts: dict[tuple[int, ...], Shortcut | None] = {}

    def predict(self, images: ArrayLike, *, workers: int = 1) -> NDArray[np.float32]:
        """Classifies images.

        Args:
            images: (H, W, C), (N, H, W, C), and also (H, W) or (N, H, W) where C is 1. uint8 are raw pixels, to which
                the bundle's preprocessing is applied; floating values are model input that is prepared already.
            workers: How many engines share many images, side by side; each holds its own copy of the weights.

        Returns:
            (N, classes) float32: probabilities. A model whose last layer has no activation gives logits, and they
            are put through softmax; of a foreign file, whose activation is unknown, the output is returned as it is,
            and its first dimension is taken for that of the items.

        Raises:
            InvalidInputError: If dtype or shape do not fit, or the model has several inputs or outputs, or keeps state
                and gets more at once than it takes.
            BackendError: If the engine fails.
        """
        shape = None
        if type(images) is np.ndarray and images.dtype == UINT8:
            shape = images.shape
            shortcut = self._shortcuts.get(shape)
            if shortcut is not None and workers == 1 and (answer := shortcut(images)) is not None:
                return answer
        if len(self.inputs) != 1 or len(self.outputs) != 1:
            raise InvalidInputError(
                f"predict needs a model with one input and one output, this has {len(self.inputs)} and "
                f"{len(self.outputs)}; use run"
            )
        workers = whole_number("workers", workers)
        batch = self._inputs[0].check(images)
        if self._stateful or not batch.ndim:
            return self._at_once([batch])[0]
        parts = split(batch, self._fixed, workers)
        (answers,) = self._in_parts([batch], parts, workers)
        if shape is not None and self.card is not None and len(parts) == 1 and parts[0].size == len(batch):
            self._find_shortcut(shape, batch.shape)
        return _softmax(answers) if self._logits else answers

    def classify(self, image: Any, top_k: int = 3, *, invert: Invert = False) -> list[Prediction]:
        """Names the likeliest classes of one image.

        Args:
            image: An array as for `predict`; or, with Pillow, a path, the bytes of an image file, a PIL image or an
                array of another size, such as a camera's frame, which is then fitted as `open_image` says.
            top_k: How many classes; at most all are returned.
            invert: True for dark ink on light paper where the model knows light on dark, as MNIST's do: it is turned
                and centred as theirs; "auto" to do so where the image looks like that.

        Returns:
            The likeliest first.

        Raises:
            InvalidInputError: If it is no image, or more than one, or `top_k` is below 1.
            NotFoundError: If the path does not exist.
            BackendError: If the engine fails, or answers with NaN.
        """
        top_k = whole_number("top_k", top_k, sys.maxsize)
        probabilities = self.predict(self.pixels(image, invert))
        if probabilities.ndim != 2 or len(probabilities) != 1:
            raise InvalidInputError(
                f"classify takes one image and a model with an output (N, classes), got an output of shape "
                f"{probabilities.shape}; use predict"
            )
        if np.isnan(probabilities).any():
            raise BackendError("the model's answer is NaN: its input may be too large for it")
        best = np.argsort(-probabilities[0], kind="stable")[:top_k]
        return [Prediction(self.labels[i] if self.labels else str(i), int(i), float(probabilities[0, i])) for i in best]

    def pixels(self, image: Any, invert: Invert = False) -> NDArray[Any]:
        """Turns what `classify` takes into an array for `predict`; arrays of the model's own shape pass unchanged."""
        pixels = isinstance(image, memoryview) and image.ndim > 1  # of one dimension it is a file's bytes
        if pixels or isinstance(image, (list, tuple)) or hasattr(image, "__array__"):
            array = as_array(image, "the image's values")
            own = as_batch(array, self.input.shape)
            if (
                array.dtype not in (np.uint8, np.uint16)
                or len(self.input.shape) != 4
                or (own is not None and not invert)
            ):
                return array
            image = own[0] if own is not None and len(own) == 1 else array
        return open_image(image, *image_size(self.input.shape, invert), invert)

    def run(self, inputs: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
        """Runs the model on every input, for every output.

        Args:
            inputs: One array by each input's name, with or without the batch dimension. Floating values are
                quantized where the file needs it; for image inputs of a bundle uint8 are raw pixels. A foreign file
                is given NaN and infinity as they are, unless they must be quantized: masks may be of these. An input
                of the shape () takes any, as files say so of a single number and also of what is free.

        Returns:
            One array by each output's name, float32 where the file has it quantized or in half precision.

        Raises:
            InvalidInputError: If a name is missing or unknown, or an array does not fit.
            BackendError: If the engine fails.
        """
        names = [spec.name for spec in self.inputs]
        if not isinstance(inputs, Mapping):
            raise InvalidInputError(f"inputs are a {type(inputs).__name__}; expected a dictionary with {names}")
        for name in inputs:
            if name not in names:
                raise unknown_name("input", name, names)
        if missing := [name for name in names if name not in inputs]:
            raise InvalidInputError(f"inputs lack {missing}; expected {names}")
        finite = self.card is not None
        batches = [entry.check(inputs[entry.spec.name], finite=finite) for entry in self._inputs]
        if self.card is None:  # what its first dimension means, nobody knows
            results = self._at_once(batches)
        else:
            if len({len(batch) for batch in batches}) != 1:
                raise InvalidInputError(f"inputs have different batch sizes: {[len(batch) for batch in batches]}")
            results = self._in_parts(batches, split(batches[0], self._fixed, 1))
        return {spec.name: values for spec, values in zip(self.outputs, results, strict=True)}

    def _in_parts(self, batches: list[NDArray[Any]], parts: list[Part], workers: int = 1) -> list[NDArray[Any]]:
        """Runs some items after the other, by as many workers as there are; the parts are put together again."""
        if not parts:
            self._lanes.check_open()
            nothing = (np.empty((0, *(size or 0 for size in spec.shape[1:])), spec.dtype) for spec in self.outputs)
            return [decode(values) for decode, values in zip(self._decoders, nothing, strict=True)]

        def run(part: Part, worker: int) -> list[NDArray[Any]]:
            return part.kept(self._run([part.taken(batch) for batch in batches], worker), self.outputs)

        answers = side_by_side(run, parts, workers)
        return answers[0] if len(parts) == 1 else [np.concatenate(values) for values in zip(*answers, strict=True)]

    def _at_once(self, batches: list[NDArray[Any]]) -> list[NDArray[Any]]:
        for spec, batch in zip(self.inputs, batches, strict=True):
            if spec.shape and spec.shape[0] not in (None, len(batch)):
                raise InvalidInputError(
                    f"values for {spec.name!r} have shape {batch.shape}; expected {list(spec.shape)}"
                    + ("; what the model keeps from one call goes into the next" if self._stateful else "")
                )
        return self._run(batches)

    def _run(self, batches: list[NDArray[Any]], worker: int = 0) -> list[NDArray[Any]]:
        """Runs the engine once, from values that `Input.check` has passed to real ones."""
        lane = self._lanes.lane(len(batches[0]) if batches[0].ndim else 1, worker)
        results = lane.run([entry.encode(batch) for entry, batch in zip(self._inputs, batches, strict=True)])
        # A single number, decoded, is no array any more.
        return [np.asarray(decode(np.asarray(values))) for decode, values in zip(self._decoders, results, strict=True)]

    def _find_shortcut(self, shape: tuple[int, ...], batch: tuple[int, ...]) -> None:
        """Lets images of this shape take the shortcut from now on, where the engine has one."""
        if shape in self._shortcuts and self._shortcuts[shape] is None:
            return
        lane = self._lanes.lane(batch[0])
        memory, preparation = lane.memory((batch,)) or (None, None)
        write = None if memory is None else self._inputs[0].writer(memory.inputs[0].reshape(shape))
        if len(self._shortcuts) == _MOST_SHORTCUTS:
            self._shortcuts.clear()
        if memory is None or write is None:
            self._shortcuts[shape] = None
            return
        decode = self._decoders[0]
        probabilities = (lambda output: _softmax(decode(output))) if self._logits else decode
        self._shortcuts[shape] = make_shortcut(lane, memory, preparation, write, probabilities)

    def close(self) -> None:
        """Frees the engine; the model cannot be used afterwards. Closing twice is allowed."""
        self._shortcuts.clear()
        self._lanes.close()

    def __enter__(self) -> "Model":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> str:
        raise TypeError("a Model holds an engine and cannot be copied or sent to another process; load it again there")

    def __repr__(self) -> str:
        return f"<liteport Model {self.variant or 'file'} on {self.backend}>"


def _check_fit(stated: Sequence[InputInfo | OutputInfo], found: Sequence[TensorSpec]) -> None:
    """Holds what is stated of inputs or outputs against the tensors that are there."""
    shapes = {spec.name: spec.shape for spec in found}
    for info in stated:
        if info.name not in shapes or not _fits(info.shape, shapes[info.name]):
            there = ", ".join(f"{list(shape)} for {name!r}" for name, shape in shapes.items())
            raise IntegrityError(
                f"the manifest says {list(info.shape)} for {info.name!r}, the model file has {there}; export again"
            )


def _fits(stated: tuple[int | None, ...], found: tuple[int | None, ...]) -> bool:
    return len(stated) == len(found) and all(
        None in (want, got) or want == got for want, got in zip(stated[1:], found[1:], strict=True)
    )


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: NDArray[np.float32] = exponents / exponents.sum(axis=-1, keepdims=True)
    return probabilities
