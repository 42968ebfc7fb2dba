"""A loaded model, and asking it."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liteport.errors import BackendError, IntegrityError, InvalidInputError, unknown_name

from .backends import Backend, BackendInfo
from .card import InputInfo, ModelCard, OutputInfo, Preprocessing, TensorSpec
from .images import open_image
from .inputs import Input
from .manifest import Manifest
from .preprocessing import as_array
from .quantization import decoder

_BATCH = 128  # images handed to the engine at once: more gains nothing and costs memory for activations


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

    def __init__(self, backend: Backend, card: ModelCard | None, manifest: Manifest | None = None) -> None:
        self.card = card
        self.manifest = manifest
        self.variant = card.variant if card else None
        self.labels = card.outputs[0].labels if card else None
        self._backend: Backend | None = backend
        self._lock = threading.Lock()
        self.inputs: tuple[TensorSpec, ...] = backend.inputs
        self.outputs: tuple[TensorSpec, ...] = backend.outputs
        self.backend: BackendInfo = backend.info
        if not self.inputs or not self.outputs:
            raise BackendError(f"the file has {len(self.inputs)} inputs and {len(self.outputs)} outputs, expected both")
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

    def predict(self, images: ArrayLike) -> NDArray[np.float32]:
        """Classifies images.

        Args:
            images: (H, W, C), (N, H, W, C), and also (H, W) or (N, H, W) where C is 1. uint8 are raw pixels, to which
                the bundle's preprocessing is applied; floating values are model input that is prepared already.

        Returns:
            (N, classes) float32: probabilities. A model whose last layer has no activation gives logits, and they
            are put through softmax; of a lone file, whose activation is unknown, the output is returned as it is.

        Raises:
            InvalidInputError: If dtype or shape do not fit, or the model has several inputs or outputs.
            BackendError: If the engine fails.
        """
        if len(self.inputs) != 1 or len(self.outputs) != 1:
            raise InvalidInputError(
                f"predict needs a model with one input and one output, this has {len(self.inputs)} and "
                f"{len(self.outputs)}; use run"
            )
        outputs = self._run([self._inputs[0].prepare(images)])[0]
        return _softmax(outputs) if self._logits else outputs

    def classify(self, image: Any, top_k: int = 3) -> list[Prediction]:
        """Names the likeliest classes of one image.

        Args:
            image: A path, the bytes of an image file, a PIL image (these need Pillow), or an array as for `predict`.
            top_k: How many classes; at most all are returned.

        Returns:
            The likeliest first.

        Raises:
            InvalidInputError: If it is no image, or more than one, or `top_k` is below 1.
            NotFoundError: If the path does not exist.
        """
        if top_k < 1:
            raise InvalidInputError(f"top_k is {top_k}, expected at least 1")
        probabilities = self.predict(self.pixels(image))
        if probabilities.ndim != 2 or len(probabilities) != 1:
            raise InvalidInputError(
                f"classify takes one image and a model with an output (N, classes), got an output of shape "
                f"{probabilities.shape}; use predict"
            )
        best = np.argsort(-probabilities[0], kind="stable")[:top_k]
        return [Prediction(self.labels[i] if self.labels else str(i), int(i), float(probabilities[0, i])) for i in best]

    def pixels(self, image: Any) -> NDArray[Any]:
        """Turns what `classify` takes into an array for `predict`; arrays pass unchanged."""
        if isinstance(image, (np.ndarray, list, tuple)):
            return as_array(image, "the image's values")
        shape = self.input.shape
        if len(shape) != 4 or None in shape[1:]:
            raise InvalidInputError(f"the model's input has shape {list(shape)}, so pass an array instead of an image")
        height, width, channels = (int(size) for size in shape[1:] if size is not None)
        return open_image(image, height, width, channels)

    def run(self, inputs: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
        """Runs the model on every input, for every output.

        Args:
            inputs: One array by each input's name, with or without the batch dimension. Floating values are
                quantized where the file needs it; for image inputs of a bundle uint8 are raw pixels.

        Returns:
            One array by each output's name, dequantized to float32 where the file has it quantized.

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
        arrays = [entry.prepare(inputs[entry.spec.name]) for entry in self._inputs]
        if len({len(array) for array in arrays}) != 1:
            raise InvalidInputError(f"inputs have different batch sizes: {[len(array) for array in arrays]}")
        return {spec.name: values for spec, values in zip(self.outputs, self._run(arrays), strict=True)}

    def _run(self, arrays: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """Runs the engine, in chunks where it takes fewer items at once than there are, and dequantizes."""
        count, fixed = len(arrays[0]), self.inputs[0].shape[0]
        step = fixed or _BATCH
        with self._lock:
            if self._backend is None:
                raise InvalidInputError("the model is closed; load it again")
            if count == 0:
                return [np.empty((0, *(size or 0 for size in spec.shape[1:])), np.float32) for spec in self.outputs]
            if count == fixed or (fixed is None and count <= step):
                results = self._backend.run(arrays)
            else:
                starts = range(0, count, step)
                chunks = [
                    self._run_chunk(self._backend, [array[i : i + step] for array in arrays], fixed) for i in starts
                ]
                results = [np.concatenate(parts) for parts in zip(*chunks, strict=True)]
        return [decode(values) for decode, values in zip(self._decoders, results, strict=True)]

    def _run_chunk(self, backend: Backend, arrays: list[NDArray[Any]], fixed: int | None) -> list[NDArray[Any]]:
        """Runs some of the items, filled up with zeros where the engine takes a fixed number."""
        count = len(arrays[0])
        size = fixed or count
        filled = [np.concatenate([array, np.zeros((size - count, *array.shape[1:]), array.dtype)]) for array in arrays]
        results = backend.run(filled)
        for values, spec in zip(results, self.outputs, strict=True):
            if values.shape[:1] != (size,):
                raise InvalidInputError(
                    f"output {spec.name!r} has shape {values.shape} for {size} items, so they cannot be run in parts; "
                    f"pass {f'exactly {fixed}' if fixed else f'at most {_BATCH}'}"
                )
        return [values[:count] for values in results]

    def close(self) -> None:
        """Frees the engine; the model cannot be used afterwards. Closing twice is allowed."""
        with self._lock:
            if self._backend is not None:
                self._backend.close()
                self._backend = None

    def __enter__(self) -> "Model":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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
