"""What pruning and clustering do to files: makes the bundles of the table in docs/compression.md.

    python tests/measure/compression.py demo/run OUT
    liteport bench OUT/*/bundle --robustness 0

Each is the run's model after two more epochs on 12,000 images, in the same order and without augmentation; `dense` has
had these epochs too, without compression. Nothing here is a test.
"""

import sys
from pathlib import Path

import keras
import numpy as np

from liteport.export import export
from liteport.train import Dataset, load_dataset
from liteport.train.compression import Compression
from liteport.train.compression.attached import Attached
from liteport.train.compression.clustering import codes_of
from liteport.train.compression.kernels import kernels_of
from liteport.train.evaluate import evaluate

_IMAGES, _BATCH, _EPOCHS, _LEARNING_RATE = 12_000, 128, 2, 3e-4

_WISHES = {
    "dense": Compression(),
    "sparsity-50": Compression(sparsity=0.5),
    "sparsity-80": Compression(sparsity=0.8),
    "sparsity-90": Compression(sparsity=0.9),
    "clusters-16": Compression(clusters=16),
    "clusters-32": Compression(clusters=32),
    "sparsity-80-clusters-16": Compression(sparsity=0.8, clusters=16),
    "sparsity-90-clusters-16": Compression(sparsity=0.9, clusters=16),
}


def fine_tuned(run: Path, dataset: Dataset, wish: Compression) -> keras.Model:
    """Returns the run's model, trained further."""
    keras.utils.set_random_seed(0)
    images = (dataset.train.images[:_IMAGES] / 255).astype(np.float32)
    labels = keras.utils.to_categorical(dataset.train.labels[:_IMAGES], len(dataset.class_names))
    steps = -(-_IMAGES // _BATCH)
    model = keras.models.load_model(run / "model.keras", compile=False)
    attached = Attached(wish, model, steps * _EPOCHS)
    rate = keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, steps * _EPOCHS, alpha=1e-3)
    model.compile(keras.optimizers.AdamW(rate, weight_decay=0.0), "categorical_crossentropy", jit_compile=False)
    for epoch in range(_EPOCHS):
        attached.start_epoch(epoch * steps)

        def after_batch(batch: int, logs: object, done: int = epoch * steps) -> None:
            attached.after_step(done + batch + 1)

        callback = keras.callbacks.LambdaCallback(on_train_batch_end=after_batch)
        model.fit(images, labels, _BATCH, epochs=epoch + 1, initial_epoch=epoch, verbose=0, callbacks=[callback])
    return model


def describe(name: str, model: keras.Model, dataset: Dataset) -> None:
    """Prints a model's accuracy on the validation split, its sparsity, and the most int8 codes that a kernel has."""
    kernels = [(np.asarray(kernel.variable), kernel.channels) for kernel in kernels_of(model)]
    zeros = sum(np.count_nonzero(values == 0) for values, _ in kernels) / sum(values.size for values, _ in kernels)
    codes = max(len(np.unique(codes_of(values, channels))) for values, channels in kernels)
    accuracy = evaluate(model, dataset.validation).accuracy
    print(f"{name:>24}: validation {accuracy:.2%}, sparsity {zeros:.1%}, at most {codes} codes", flush=True)


def main(run: Path, out: Path) -> None:
    """Trains and exports what is not there yet."""
    dataset = load_dataset("mnist")
    for name, wish in _WISHES.items():
        path = out / name / "model.keras"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            fine_tuned(run, dataset, wish).save(path)
        describe(name, keras.models.load_model(path, compile=False), dataset)
        if not (out / name / "bundle").is_dir():
            formats = ["tflite-float32", "tflite-int8"]
            export(path, out / name / "bundle", formats, calibration=dataset, preprocessing={"scale": 1 / 255})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
