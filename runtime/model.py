"""Loading a model and asking it."""

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liteport.errors import InvalidInputError, LiteportError, NotFoundError, unknown_name

from .backends import Backend, BackendInfo, choose_engine
from .bundle import Bundle, read_bundle
from .images import open_image
from .manifest import MANIFEST_FILE, Manifest, TensorSpec
from .preprocessing import to_batch
from .quantization import apply_table, dequantize, pixel_table, quantize

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
        variant: The variant's id, or None for a lone file.
        backend: The engine: name, version, provider.
        manifest: The bundle's manifest, or None for a lone file.
    """

    def __init__(self, backend: Backend, manifest: Manifest | None, variant: str | None) -> None:
        self.manifest = manifest
        self.variant = variant
        self.labels = manifest.output.labels if manifest else None
        self._backend: Backend | None = backend
        self._lock = threading.Lock()
        self.inputs: tuple[TensorSpec, ...] = backend.inputs
        self.outputs: tuple[TensorSpec, ...] = backend.outputs
        self.backend: BackendInfo = backend.info
        first = backend.inputs[0]
        self.input = first if first.scale is None else TensorSpec(first.name, "float32", first.shape)
        self._table = (
            pixel_table(manifest.input.preprocessing, first, int(manifest.input.shape[-1] or 1)) if manifest else None
        )
        self._logits = manifest is not None and manifest.output.activation == "linear"

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
        outputs = self._run([self._prepared(images, 0)])[0]
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
            return np.asarray(image)
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
        for name in inputs:
            if name not in names:
                raise unknown_name("input", name, names)
        if missing := [name for name in names if name not in inputs]:
            raise InvalidInputError(f"inputs lack {missing}; expected {names}")
        arrays = [self._prepared(inputs[name], i) for i, name in enumerate(names)]
        if len({len(array) for array in arrays}) != 1:
            raise InvalidInputError(f"inputs have different batch sizes: {[len(array) for array in arrays]}")
        return {spec.name: values for spec, values in zip(self.outputs, self._run(arrays), strict=True)}

    def _prepared(self, values: ArrayLike, index: int) -> NDArray[Any]:
        """Gives an input the file's own shape and dtype."""
        spec = self.inputs[index]
        given = np.asarray(values)
        if spec.scale is None and spec.dtype not in ("float32", "float16", "float64"):
            return _as_is(given, spec)
        batch = to_batch(given, spec.shape, f"values for {spec.name!r}")
        if batch.dtype != np.uint8:
            return quantize(batch, spec) if spec.scale is not None else batch.astype(spec.dtype, copy=False)
        if self._table is None or index:
            raise InvalidInputError(
                f"{spec.name!r} got raw pixels (uint8), but this file carries no preprocessing; load the bundle, or "
                "pass floating values that are prepared as in training"
            )
        return np.ascontiguousarray(apply_table(batch, self._table))

    def _run(self, arrays: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """Runs the engine in chunks of a size that it takes, and dequantizes."""
        count = len(arrays[0])
        fixed = self.inputs[0].shape[0]
        step = fixed or _BATCH
        with self._lock:
            if self._backend is None:
                raise InvalidInputError("the model is closed; load it again")
            chunks = [
                self._run_chunk(self._backend, [array[start : start + step] for array in arrays], fixed)
                for start in range(0, count, step)
            ]
        if not chunks:
            return [np.empty((0, *(size or 0 for size in spec.shape[1:])), np.float32) for spec in self.outputs]
        joined = chunks[0] if len(chunks) == 1 else [np.concatenate(parts) for parts in zip(*chunks, strict=True)]
        return [_real(values, spec) for values, spec in zip(joined, self.outputs, strict=True)]

    def _run_chunk(self, backend: Backend, arrays: list[NDArray[Any]], fixed: int | None) -> list[NDArray[Any]]:
        count = len(arrays[0])
        if fixed is None or count == fixed:
            return backend.run(arrays)
        padded = [np.concatenate([array, np.zeros((fixed - count, *array.shape[1:]), array.dtype)]) for array in arrays]
        return [values[:count] for values in backend.run(padded)]

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


def load(
    path: str | os.PathLike[str], variant: str | None = None, *, threads: int = 1, backend: str | None = None
) -> Model:
    """Loads a variant of a bundle, or a lone `.tflite` or `.onnx` file.

    A file that lies in a bundle and is named in its manifest is loaded as that variant, digest checked.

    Args:
        path: A bundle's folder or a model file.
        variant: The variant's id; by default the first of the bundle whose engine is installed.
        threads: How many threads one call may use.
        backend: The engine's package ("ai-edge-litert", "tflite-runtime", "onnxruntime"); by default the preferred
            one that is installed.

    Raises:
        NotFoundError: If there is nothing at `path`.
        InvalidInputError: If it is neither a bundle nor a model file, or a name is unknown.
        IntegrityError: If the bundle or the file is damaged or edited.
        MissingDependencyError: If the engine is not installed.
        BackendError: If the engine refuses the file.
    """
    if threads < 1:
        raise InvalidInputError(f"threads is {threads}, expected at least 1")
    path = Path(path)
    if path.is_dir():
        return _load_variant(read_bundle(path), variant, threads, backend)
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist; expected a bundle folder, a .tflite or an .onnx file")
    if path.suffix not in (".tflite", ".onnx"):
        raise InvalidInputError(f"{path} is no model; expected a bundle folder, a .tflite or an .onnx file")
    if (path.parent / MANIFEST_FILE).is_file():
        bundle = read_bundle(path.parent)
        ids = {entry.file: entry.id for entry in bundle.manifest.variants}
        if path.name in ids and variant in (None, ids[path.name]):
            return _load_variant(bundle, ids[path.name], threads, backend)
    if variant is not None:
        raise InvalidInputError(f"{path} is one model file; variant {variant!r} can only be chosen in a bundle")
    return Model(choose_engine(path.suffix, backend).load(path.read_bytes(), threads), None, None)


def _load_variant(bundle: Bundle, variant_id: str | None, threads: int, backend: str | None) -> Model:
    chosen = variant_id or _first_runnable(bundle, backend)
    entry = bundle.manifest.variant(chosen)
    engine = choose_engine(Path(entry.file).suffix, backend)
    return Model(engine.load(bundle.read(chosen), threads), bundle.manifest, chosen)


def _first_runnable(bundle: Bundle, backend: str | None) -> str:
    first_error: LiteportError | None = None
    for entry in bundle.manifest.variants:
        try:
            choose_engine(Path(entry.file).suffix, backend)
        except LiteportError as error:
            first_error = first_error or error
        else:
            return entry.id
    raise first_error or InvalidInputError(f"{bundle.path} holds no variant")


def _as_is(given: NDArray[Any], spec: TensorSpec) -> NDArray[Any]:
    """Token ids, masks and the like: integers that are no pixels and have no quantization."""
    if not np.can_cast(given.dtype, spec.dtype, "same_kind") or given.ndim not in (
        len(spec.shape),
        len(spec.shape) - 1,
    ):
        raise InvalidInputError(
            f"values for {spec.name!r} are {given.dtype} of shape {given.shape}; expected {spec.dtype} of shape "
            f"{list(spec.shape)}"
        )
    batch = given if given.ndim == len(spec.shape) else given[None]
    return np.ascontiguousarray(batch, dtype=spec.dtype)


def _real(values: NDArray[Any], spec: TensorSpec) -> NDArray[Any]:
    if spec.scale is not None:
        return dequantize(values, spec)
    return values.astype(np.float32) if values.dtype == np.float16 else values


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: NDArray[np.float32] = exponents / exponents.sum(axis=-1, keepdims=True)
    return probabilities
