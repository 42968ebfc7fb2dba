"""One worker of a training on several replicas, for tests that run it as a process and may have it killed.

Run as: training_worker.py STRATEGY DATA OUT DESIGN... [--killed-in EPOCH] [--terminated]
"""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import tensorflow as tf

from liteport.train import LiteportError, TrainConfig, fit, load_dataset, plots
from liteport.train.replicas import connect

EPOCHS, BATCH = 3, 60
KILLED_AT = 3
"""The step of an epoch after which `--killed-in` strikes."""


def small(classes: int, *, random: bool) -> keras.Model:
    """A model that trains fast; with random, it has what differs between replicas: dropout and batch norm."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    extra = [layers.BatchNormalization(), layers.Dropout(0.3)] if random else []
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(4, 3, strides=3, activation="relu"),
            *extra,
            layers.Flatten(),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def config() -> TrainConfig:
    """The training of both designs."""
    return TrainConfig(epochs=EPOCHS, batch_size=BATCH, precision="float32", seed=3)


def main() -> int:
    """Trains, and returns an exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("strategy")
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("designs", nargs="+")
    parser.add_argument("--killed-in", type=int, default=0)
    parser.add_argument("--terminated", action="store_true")
    given = parser.parse_args()

    def show(what: str, done: int, total: int, note: str) -> None:
        if what.startswith(f"epoch {given.killed_in}/") and done == KILLED_AT:
            os.kill(os.getpid(), signal.SIGKILL)

    plots._save = lambda figure, path: path.touch()
    if given.strategy == "mirrored":
        [cpu] = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    try:
        replicas = connect(given.strategy, timeout=240)
        data = load_dataset(given.data)
        for design in given.designs:
            model = small(10, random=design == "random")
            fit(model, data, config(), out=given.out / design, design=design, replicas=replicas, progress=show)
            print(f"{design}: {sum(float(abs(w).sum()) for w in model.get_weights())!r}", flush=True)
    except LiteportError as error:
        print(f"error: {error}", flush=True)
        return 1
    if given.terminated:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)  # TensorFlow alone would have taken the signal for itself
    return 0


if __name__ == "__main__":
    sys.exit(main())
