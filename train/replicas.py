"""The devices that share the steps of a training: several of one machine, or those of several machines.

Each is a replica: it has a copy of all weights and takes its part of each batch; the gradients are added up, so that
all take the same step. Keras 3's own `fit` does not do this for several machines (keras-team/keras#20585), so its
training function is replaced by one that does; see `spread`.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from liteport.errors import InterruptedTrainingError, InvalidInputError
from liteport.foreign import one_line

from .distribution import Cluster, check_strategy, check_tf_config
from .meeting import meet

WAIT = 600.0
"""Seconds that a worker waits for the others: to come, and in each exchange while the chief measures or saves."""

_GRACE = 30.0
"""Seconds more before a wait that TensorFlow does not end by itself is ended with the process."""

_LOST = (
    tf.errors.UnavailableError,
    tf.errors.DeadlineExceededError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.FailedPreconditionError,
)

_T = TypeVar("_T")


class Replicas:
    """Where a training runs.

    Attributes:
        strategy: TensorFlow's; None for one device.
        cluster: The workers, where there are several processes; else None.
        timeout: Seconds to wait for the other workers.
    """

    def __init__(
        self, strategy: tf.distribute.Strategy | None = None, cluster: Cluster | None = None, timeout: float = WAIT
    ) -> None:
        self.strategy = strategy
        self.cluster = cluster
        self.timeout = timeout
        self._exchange = tf.function(_of_first(strategy), input_signature=[tf.TensorSpec([None], tf.float64)])

    @property
    def count(self) -> int:
        """The number of replicas over all workers."""
        return self.strategy.num_replicas_in_sync if self.strategy else 1

    @property
    def is_chief(self) -> bool:
        """Whether this process measures the model and writes the run folder."""
        return self.cluster is None or self.cluster.is_chief

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Has variables made inside become one on each replica."""
        if self.strategy is None:
            yield
        else:
            with self.strategy.scope():
                yield

    def placed(self, make: Callable[[], keras.Model]) -> keras.Model:
        """Makes a model of one input and one output whose variables are on each replica."""
        if self.strategy is None:
            return make()
        with self.strategy.scope():
            inside = make()
        # A model that knows of the strategy would have Keras distribute the batches by itself.
        [image], [answer] = inside.inputs, inside.outputs
        return keras.Model(image, answer, name=inside.name)

    @contextmanager
    def heeding_others(self) -> Iterator[None]:
        """Tells the loss of another worker in one line.

        Raises:
            InterruptedTrainingError: If another worker does not answer inside.
        """
        try:
            yield
        except _LOST as error:
            if self.cluster is None:
                raise
            raise InterruptedTrainingError(self._lost(_reason(error))) from error

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Ends the process where a wait inside has no end, not even by TensorFlow's own time limit.

        Nothing is lost by that: what is kept is renamed into place when it is whole.
        """
        if self.cluster is None:
            yield
            return
        alarm = threading.Timer(self.timeout + _GRACE, self._give_up)
        alarm.daemon = True
        alarm.start()
        try:
            yield
        finally:
            alarm.cancel()

    def _give_up(self) -> None:
        message = self._lost(f"no answer for {self.timeout + _GRACE:g} s")
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"error: {message}\n".encode())
        os._exit(1)

    def _lost(self, why: str) -> str:
        assert self.cluster is not None, "one process loses nobody"
        return (
            f"worker {self.cluster.index} lost the others ({why}); start the same command again on every worker: "
            "they go on after the last epoch that worker 0 kept"
        )

    def from_chief(self, make: Callable[[], _T]) -> _T:
        """Has the chief make something that JSON can hold, and gives it to all workers; tuples become lists.

        Raises:
            InterruptedTrainingError: If another worker does not answer.
        """
        if self.cluster is None:
            return make()
        text = np.frombuffer(json.dumps(make()).encode(), np.uint8) if self.is_chief else np.empty(0, np.uint8)
        size = int(self._of_chief(np.array([text.size]))[0])
        padded = np.zeros(size)
        padded[: text.size] = text
        message: _T = json.loads(self._of_chief(padded).astype(np.uint8).tobytes())
        return message

    def share(self, variables: Sequence[keras.Variable]) -> None:
        """Gives variables the chief's values on all replicas.

        Raises:
            InterruptedTrainingError: If another worker does not answer.
        """
        if self.cluster is None:
            return
        for variable in variables:
            value = np.asarray(keras.ops.convert_to_numpy(variable))
            shared = self._of_chief(value.astype(np.float64).ravel())
            variable.assign(shared.reshape(value.shape).astype(value.dtype))

    def _of_chief(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Returns the first replica's values: the sum of all, where the others add zeros. Exact for 52 bits."""
        with self.heeding_others(), self.waiting():
            return np.asarray(self._exchange(tf.constant(values, tf.float64)))

    def check_agreement(self, settings: Mapping[str, Any]) -> None:
        """Checks that this worker was started with the chief's settings.

        Raises:
            InvalidInputError: If one differs.
            InterruptedTrainingError: If another worker does not answer.
        """
        if self.cluster is None:
            return
        mine = json.loads(json.dumps(settings))
        theirs = self.from_chief(lambda: mine)
        for name in sorted({*mine, *theirs}):
            if mine.get(name) != theirs.get(name):
                raise InvalidInputError(
                    f"{name}: worker 0 has {theirs.get(name)}, worker {self.cluster.index} has {mine.get(name)}; "
                    "start the same command with the same data on every machine"
                )


def _of_first(strategy: tf.distribute.Strategy | None) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function that gives to all replicas the value that the first one has."""

    def on_replica(mine: tf.Tensor) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        first = tf.cast(tf.equal(context.replica_id_in_sync_group, 0), mine.dtype)
        return context.all_reduce(tf.distribute.ReduceOp.SUM, mine * first)

    def everywhere(mine: tf.Tensor) -> tf.Tensor:
        assert strategy is not None, "one device has nobody to ask"
        return strategy.experimental_local_results(strategy.run(on_replica, args=(mine,)))[0]

    return everywhere


def _reason(error: Exception) -> str:
    """Returns the part of one of TensorFlow's errors that is about the other worker."""
    lines = [line for line in str(error).splitlines() if "Collective ops is aborted" in line]
    return " ".join(lines[0].split())[:160] if lines else one_line(error, 160)


ALONE = Replicas()
"""One process on one device."""


def connect(strategy: str | None, *, timeout: float = WAIT) -> Replicas:
    """Gets hold of the devices to train on. To be called before TensorFlow does anything else in the process.

    Args:
        strategy: `"mirrored"` for all GPUs of this machine, or where it has none, all logical CPU devices;
            `"multiworker"` for the workers named by the environment variable TF_CONFIG; None for one device.
        timeout: Seconds to wait for other workers, now and in each later exchange.

    Raises:
        InvalidInputError: If the strategy is unknown, TF_CONFIG is wrong, this worker's port is in use, or there is
            one device only to mirror on.
        DeviceError: If other workers do not come in time.
    """
    if strategy is None:
        return ALONE
    if check_strategy(strategy) == "mirrored":
        return _mirrored()
    cluster = check_tf_config(os.environ.get("TF_CONFIG"))
    if not 0 < timeout < threading.TIMEOUT_MAX - _GRACE:
        raise InvalidInputError(f"timeout: expected seconds above 0, found {timeout}")
    meet(cluster, timeout)
    with Replicas(None, cluster, timeout).waiting():
        options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=timeout)
        try:
            made = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
        except RuntimeError as error:
            raise InvalidInputError(f"multiworker: {one_line(error)}; connect first, then build models") from error
        finally:
            _give_signals_back()
    return Replicas(made, cluster, timeout)


def _mirrored() -> Replicas:
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) < 2:
        only = devices[0].name.removeprefix("/device:")
        raise InvalidInputError(
            f"strategy mirrored: expected at least two devices of one kind, found {only}; "
            "drop --strategy to train on it"
        )
    return Replicas(tf.distribute.MirroredStrategy([device.name for device in devices]))


def _give_signals_back() -> None:
    """Undoes that TensorFlow's notice of preemption takes SIGTERM, and then does nothing with it."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM) or signal.SIG_DFL)
