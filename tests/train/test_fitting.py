import csv
import json
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.util.tensor_util import make_ndarray

from liteport.errors import (
    AlreadyExistsError,
    IntegrityError,
    InterruptedTrainingError,
    InvalidInputError,
    NotFoundError,
)
from liteport.files import sha256_of
from liteport.train import (
    NO_AUGMENTATION,
    Dataset,
    Run,
    TrainConfig,
    build_model,
    fit,
    load_dataset,
    quantize_aware,
    resume,
)
from liteport.train.record import CHECKPOINT

# The pictures of `run` are drawn, as it is made before a test's own fixtures are.
pytestmark = pytest.mark.usefixtures("undrawn")

CONFIG = TrainConfig(epochs=3, batch_size=32, learning_rate=0.01, seed=4)
PLOTS = {"labels.png", "samples.png", "curves.png", "confusion.png", "mistakes.png"}

MakeModel = Callable[[], Any]


def stop_in(epoch: int, error: BaseException) -> Callable[[str, int, int, str], None]:
    """Makes a progress callback that raises in the middle of an epoch."""

    def show(what: str, done: int, total: int, note: str) -> None:
        if what.startswith(f"epoch {epoch}/") and done == 3:
            raise error

    return show


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def figures(run: Run) -> dict[str, list[float]]:
    """All of a history that does not depend on the machine's speed."""
    return {name: values for name, values in run.history.items() if name != "seconds"}


def assert_same_weights(first: Any, second: Any) -> None:
    for ours, theirs in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.fixture(scope="module")
def run(make_model: MakeModel, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(make_model(), dataset, CONFIG, out=tmp_path_factory.mktemp("whole") / "run", design="small")


@pytest.fixture(scope="module")
def stopped(make_model: MakeModel, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training of `run`, stopped in its second epoch."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.raises(InterruptedTrainingError, match=f"epoch 1 of 3 is kept in .*--resume {folder}"):
        fit(make_model(), dataset, CONFIG, out=folder, progress=stop_in(2, KeyboardInterrupt()))
    return folder


@pytest.fixture
def interrupted(stopped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped, tmp_path / "run"))


def test_learns(make_model: MakeModel, dataset: Dataset) -> None:
    done = fit(make_model(), dataset, replace(CONFIG, epochs=8, batch_size=8, augmentation=NO_AUGMENTATION))
    assert done.path is None
    # 220 digits are enough for about 70 % here; guessing gives 10 %
    assert done.test.accuracy > 0.5
    assert done.history["loss"][-1] < done.history["loss"][0] / 2


def test_run_folder_describes_the_run(run: Run, dataset: Dataset, npz: Path) -> None:
    folder = run.path
    assert folder is not None
    assert files(folder) == {"model.keras", "model.weights.h5", "training.json", *(f"plots/{name}" for name in PLOTS)}
    record = json.loads((folder / "training.json").read_text())
    assert record["schema_version"] == 2
    assert (record["status"], record["design"], record["epochs_done"]) == ("finished", "small", 3)
    assert record["dataset"] == {
        "name": "digits", "source": str(npz), "digest": dataset.digest, "seed": 0,
        "image_size": None, "skip_corrupt": False,
        "train": 220, "validation": 20, "test": 100,
    }  # fmt: skip
    assert record["class_names"] == [*"0123456789"]
    assert record["input_shape"] == [14, 14, 1]
    assert record["preprocessing"] == {"scale": 1 / 255, "offset": 0.0}
    assert record["precision"] == {"policy": "float32", "measured_ratio": None}
    assert set(record["versions"]) == {"python", "keras", "tensorflow", "numpy", "liteport"}
    assert {name: len(values) for name, values in record["history"].items()} == dict.fromkeys(
        ("loss", "accuracy", "val_loss", "val_accuracy", "seconds"), 3
    )
    assert record["validation"]["accuracy"] == max(record["history"]["val_accuracy"]) == run.validation.accuracy
    assert record["test"] == run.test._asdict()
    assert record["parameters"] == run.model.count_params()
    assert record["model_sha256"] == sha256_of(folder / "model.keras")


def test_saved_model_is_the_one_measured(run: Run, dataset: Dataset) -> None:
    assert run.path is not None
    loaded = keras.models.load_model(run.path / "model.keras")
    assert_same_weights(loaded, run.model)
    answers = loaded.predict(dataset.test.images / np.float32(255), verbose=0).argmax(axis=1)
    assert (answers == dataset.test.labels).mean() == run.test.accuracy


def test_given_model_gets_the_weights_and_keeps_its_compilation(make_model: MakeModel, dataset: Dataset) -> None:
    model = make_model()
    model.compile("sgd", "mse")
    done = fit(model, dataset, replace(CONFIG, epochs=1))
    assert_same_weights(model, done.model)
    assert type(model.optimizer).__name__ == "SGD"


def test_same_seed_same_result(run: Run, make_model: MakeModel, dataset: Dataset) -> None:
    again = fit(make_model(), dataset, CONFIG)
    other = fit(make_model(), dataset, replace(CONFIG, seed=5))
    assert_same_weights(again.model, run.model)
    assert figures(again) == figures(run)
    assert figures(other) != figures(run)


def test_stopped_run_is_whole(interrupted: Path) -> None:
    record = json.loads((interrupted / "training.json").read_text())
    assert (record["status"], record["epochs_done"], record["test"]) == ("interrupted", 1, None)
    assert record["model_sha256"] == sha256_of(interrupted / "model.keras")


def test_resumed_run_equals_an_unbroken_one(interrupted: Path, run: Run) -> None:
    with pytest.raises(InterruptedTrainingError, match="epoch 2 of 3 is kept"):
        resume(interrupted, progress=stop_in(3, KeyboardInterrupt()))
    resumed = resume(interrupted)
    assert_same_weights(resumed.model, run.model)
    assert (figures(resumed), resumed.test) == (figures(run), run.test)
    assert run.path is not None
    assert files(interrupted) == files(run.path)


def test_resumed_run_equals_an_unbroken_one_in_bfloat16(
    make_model: MakeModel, dataset: Dataset, tmp_path: Path
) -> None:
    config = replace(CONFIG, epochs=2, precision="mixed_bfloat16")
    with pytest.raises(InterruptedTrainingError, match="epoch 1 of 2 is kept"):
        fit(make_model(), dataset, config, out=tmp_path / "run", progress=stop_in(2, KeyboardInterrupt()))
    assert_same_weights(resume(tmp_path / "run").model, fit(make_model(), dataset, config).model)


KILLED = """
import os, signal, sys
from liteport.train import TrainConfig, build_model, fit, load_dataset
data = load_dataset(sys.argv[1])
config = TrainConfig(epochs=4, batch_size=32, seed=3)

def show(what, done, total, note):
    if what.startswith("epoch 3/") and done == 2:
        os.kill(os.getpid(), signal.SIGKILL)

fit(build_model("baseline", data.input_shape, 10, seed=3), data, config, out=sys.argv[2], progress=show)
"""


def test_killed_run_goes_on_to_the_same_weights(npz: Path, dataset: Dataset, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(npz), str(tmp_path / "run")]
    assert subprocess.run(command, capture_output=True, timeout=120).returncode == -signal.SIGKILL
    assert json.loads((tmp_path / "run" / "training.json").read_text())["epochs_done"] == 2
    model = build_model("baseline", dataset.input_shape, 10, seed=3)
    whole = fit(model, dataset, TrainConfig(epochs=4, batch_size=32, seed=3))
    resumed = resume(tmp_path / "run")
    assert_same_weights(resumed.model, whole.model)
    assert figures(resumed) == figures(whole)


def test_killed_between_two_renames(interrupted: Path, run: Run) -> None:
    for name in ("model.keras", CHECKPOINT):  # as they are when the record was renamed and they were not
        (interrupted / name).rename(interrupted / f".next-{name}")
    (interrupted / "model.keras").write_bytes(b"that of an earlier epoch")
    assert_same_weights(resume(interrupted).model, run.model)
    assert run.path is not None
    assert files(interrupted) == files(run.path)


def test_best_epoch_is_kept(make_model: MakeModel, dataset: Dataset, tmp_path: Path) -> None:
    # so large a rate that some epochs are worse than those before
    config = replace(CONFIG, epochs=6, learning_rate=0.05, schedule="constant", ema=0.0)
    done = fit(make_model(), dataset, config, out=tmp_path / "run")
    accuracies = done.history["val_accuracy"]
    assert done.best_epoch < 6, "the seed is to be chosen so"
    assert done.validation.accuracy == max(accuracies) == accuracies[done.best_epoch - 1]
    saved = keras.models.load_model(tmp_path / "run" / "model.keras")
    assert_same_weights(saved, done.model)
    answers = saved.predict(dataset.validation.images / np.float32(255), verbose=0).argmax(axis=1)
    assert (answers == dataset.validation.labels).mean() == pytest.approx(done.validation.accuracy)


def test_the_best_epoch_is_one_of_those_on_images_as_they_are(make_model: MakeModel, dataset: Dataset) -> None:
    config = replace(CONFIG, epochs=6, learning_rate=0.05, schedule="constant", ema=0.0).changed(unaugmented=0.2)
    done = fit(make_model(), dataset, config)
    *before, last = done.history["val_accuracy"]
    assert max(before) > last, "the seed is to be chosen so"
    assert (done.best_epoch, done.validation.accuracy) == (6, last)


def test_stops_early_and_can_go_on_to_there(make_model: MakeModel, dataset: Dataset, tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=30, learning_rate=1e-6, schedule="constant", ema=0.0, patience=2)
    done = fit(make_model(), dataset, config, out=tmp_path / "run")
    assert done.epochs_done == done.best_epoch + 2 < 30
    assert json.loads((tmp_path / "run" / "training.json").read_text())["status"] == "finished"


def test_history_is_logged_on_request(make_model: MakeModel, dataset: Dataset, tmp_path: Path) -> None:
    done = fit(make_model(), dataset, CONFIG, out=tmp_path / "run", logs=["csv", "tensorboard"])
    with (tmp_path / "run" / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [float(row["val_loss"]) for row in rows] == done.history["val_loss"]
    for split, name in (("train", "accuracy"), ("validation", "val_accuracy")):
        events = event_accumulator.EventAccumulator(str(tmp_path / "run" / "logs" / split)).Reload()
        read = [float(make_ndarray(event.tensor_proto)) for event in events.Tensors("accuracy")]
        assert read == pytest.approx(done.history[name])  # float32 in the event files


def test_a_teacher_is_recorded_and_needed_to_go_on(
    make_model: MakeModel, dataset: Dataset, run: Run, tmp_path: Path
) -> None:
    assert run.path is not None
    teacher = shutil.copytree(run.path, tmp_path / "teacher")
    whole = fit(make_model(), dataset, CONFIG, teacher=teacher)
    alone = fit(make_model(), dataset, CONFIG)
    assert any((a != b).any() for a, b in zip(whole.model.get_weights(), alone.model.get_weights(), strict=True))
    with pytest.raises(InterruptedTrainingError):
        fit(
            make_model(), dataset, CONFIG, teacher=teacher, out=tmp_path / "run",
            progress=stop_in(2, KeyboardInterrupt()),
        )  # fmt: skip
    stopped = shutil.copytree(tmp_path / "run", tmp_path / "stopped")
    assert_same_weights(resume(tmp_path / "run").model, whole.model)
    make_model().save(teacher / "model.keras")
    with pytest.raises(IntegrityError, match="is not the teacher that"):
        resume(stopped)


def test_a_teacher_that_does_not_fit(make_model: MakeModel, dataset: Dataset, tmp_path: Path) -> None:
    sequential(layers.Dense(9, "softmax")).save(tmp_path / "teacher.keras")
    with pytest.raises(InvalidInputError, match=r"the teacher .* to \(None, 9\), but digits needs"):
        fit(make_model(), dataset, CONFIG, teacher=tmp_path / "teacher.keras")
    with pytest.raises(NotFoundError, match="absent does not exist"):
        fit(make_model(), dataset, CONFIG, teacher=tmp_path / "absent")


def test_trains_quantization_aware_and_goes_on(make_model: MakeModel, dataset: Dataset, tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=2, ema=0.0)
    whole = fit(quantize_aware(make_model()), dataset, config)
    with pytest.raises(InterruptedTrainingError):
        fit(
            quantize_aware(make_model()), dataset, config, out=tmp_path / "run",
            progress=stop_in(2, KeyboardInterrupt()),
        )  # fmt: skip
    assert_same_weights(resume(tmp_path / "run").model, whole.model)
    with pytest.raises(InvalidInputError, match="trains in float32, found mixed_bfloat16"):
        fit(quantize_aware(make_model()), dataset, replace(config, precision="mixed_bfloat16"))


def test_prunes_and_shares_and_goes_on(make_model: MakeModel, dataset: Dataset, tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=4, ema=0.0, sparsity=0.5, clusters=8)
    whole = fit(make_model(), dataset, config)
    kernels = [weight for weight in whole.model.get_weights() if weight.ndim > 1]
    assert sum((kernel == 0).sum() for kernel in kernels) / sum(kernel.size for kernel in kernels) >= 0.5
    for epoch in (2, 4):
        with pytest.raises(InterruptedTrainingError):
            fit(
                make_model(), dataset, config, out=tmp_path / "run", force=True,
                progress=stop_in(epoch, KeyboardInterrupt()),
            )  # fmt: skip
        assert_same_weights(resume(tmp_path / "run").model, whole.model)


def test_stopped_before_the_first_epoch_leaves_nothing(make_model: MakeModel, dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(make_model(), dataset, CONFIG, out=tmp_path / "run", progress=stop_in(1, KeyboardInterrupt()))
    assert list(tmp_path.iterdir()) == []


def test_older_run_stays_until_the_new_one_has_an_epoch(
    run: Run, make_model: MakeModel, dataset: Dataset, tmp_path: Path
) -> None:
    assert run.path is not None
    folder = shutil.copytree(run.path, tmp_path / "run")
    before = sha256_of(folder / "training.json")
    with pytest.raises(AlreadyExistsError, match="--force"):
        fit(make_model(), dataset, CONFIG, out=folder)
    with pytest.raises(KeyboardInterrupt):
        fit(make_model(), dataset, CONFIG, out=folder, force=True, progress=stop_in(1, KeyboardInterrupt()))
    assert sha256_of(folder / "training.json") == before
    fit(make_model(), dataset, replace(CONFIG, epochs=1), out=folder, force=True)
    assert json.loads((folder / "training.json").read_text())["epochs_done"] == 1
    assert list(tmp_path.iterdir()) == [folder]


def test_folder_of_something_else_is_never_replaced(make_model: MakeModel, dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InvalidInputError, match=r"holds no training\.json"):
        fit(make_model(), dataset, CONFIG, out=tmp_path, force=True)
    assert files(tmp_path) == {"letter.txt"}


def test_diverging_training_leaves_nothing_or_the_last_good_epoch(
    make_model: MakeModel, dataset: Dataset, tmp_path: Path, interrupted: Path
) -> None:
    with pytest.raises(InterruptedTrainingError, match=r"epoch 1/3: the loss became nan; try a lower learning rate$"):
        fit(make_model(), dataset, replace(CONFIG, learning_rate=1e38), out=tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == [interrupted]

    record = json.loads((interrupted / "training.json").read_text())
    record["config"]["learning_rate"] = 1e38
    (interrupted / "training.json").write_text(json.dumps(record))
    with pytest.raises(
        InterruptedTrainingError,
        match=r"epoch 2/3: the loss became nan.*has all up to epoch 1, and the model of the best",
    ):
        resume(interrupted)
    assert json.loads((interrupted / "training.json").read_text()) == record


def test_read_only_target_fails_before_training(make_model: MakeModel, dataset: Dataset) -> None:
    shown: list[str] = []
    with pytest.raises(OSError, match="/proc"):
        fit(make_model(), dataset, CONFIG, out="/proc/run", progress=lambda what, *_: shown.append(what))
    assert shown == []


def sequential(*parts: Any, shape: tuple[int, int, int] = (14, 14, 1)) -> Any:
    return keras.Sequential([keras.Input(shape), layers.Flatten(), *parts])


@pytest.mark.parametrize(
    ("make", "config", "message"),
    [
        (lambda: sequential(layers.Dense(9, "softmax")), CONFIG, r"to \(None, 9\), but digits needs .* \(None, 10\)"),
        (lambda: sequential(layers.Dense(10, "softmax"), shape=(28, 28, 1)), CONFIG, r"from \(None, 28, 28, 1\)"),
        (lambda: sequential(layers.Dense(10)), CONFIG, "expected probabilities, as softmax gives them"),
        (
            lambda: sequential(layers.Dense(10, "softmax")),
            replace(CONFIG, batch_size=221),
            "batch_size: expected at most the 220 training images of digits, found 221",
        ),
    ],
)
def test_model_that_does_not_fit_the_data(dataset: Dataset, make: MakeModel, config: TrainConfig, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        fit(make(), dataset, config)


def test_few_images_are_no_reason_to_name_a_batch_size(dataset: Dataset, tmp_path: Path) -> None:
    done = fit(sequential(layers.Dense(10, "softmax")), dataset, TrainConfig(epochs=1), out=tmp_path / "run")
    assert done.config.batch_size == 16, "220 images, and 100 steps an epoch would be batches of 2"
    assert json.loads((tmp_path / "run" / "training.json").read_text())["config"]["batch_size"] == 16


def test_resume_refuses_what_it_cannot_go_on_with(interrupted: Path, npz: Path, tmp_path: Path) -> None:
    text = (interrupted / "training.json").read_text()

    def refused(kind: type[Exception], message: str, changed: str = text) -> None:
        (interrupted / "training.json").write_text(changed)
        with pytest.raises(kind, match=message):
            resume(interrupted)

    with pytest.raises(NotFoundError, match=r"training\.json does not exist"):
        resume(tmp_path)
    refused(InvalidInputError, "is not JSON", text[:100])
    refused(InvalidInputError, "expected schema_version 2", "[]")
    refused(InvalidInputError, "config missing or of a wrong type", text.replace('"config"', '"konfig"'))
    refused(InvalidInputError, "is damaged: .*epoks", text.replace('"epochs"', '"epoks"'))
    refused(InvalidInputError, "is finished; to train further .*--from", text.replace("interrupted", "finished"))
    refused(IntegrityError, "is not the data that", text.replace(json.loads(text)["dataset"]["digest"], "0" * 64))
    refused(NotFoundError, r"other\.npz does not exist", text.replace(str(npz), str(tmp_path / "other.npz")))
    with (interrupted / CHECKPOINT).open("r+b") as file:
        file.truncate(1000)
    refused(IntegrityError, r"checkpoint\.weights\.h5 is missing or damaged")


def test_resume_with_data_given(interrupted: Path, dataset: Dataset) -> None:
    record = json.loads((interrupted / "training.json").read_text())
    record["dataset"]["source"] = "memory"
    (interrupted / "training.json").write_text(json.dumps(record))
    with pytest.raises(InvalidInputError, match="unknown data source 'memory'"):
        resume(interrupted)
    assert resume(interrupted, dataset=dataset).epochs_done == 3


def test_saved_model_holds_no_compilation(run: Run) -> None:
    assert run.path is not None
    with zipfile.ZipFile(run.path / "model.keras") as archive:
        assert json.loads(archive.read("config.json"))["compile_config"] == {}


FULL_DISK = """
import resource, signal, sys
from liteport.train import TrainConfig, build_model, fit, load_dataset
data = load_dataset(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for limit in map(int, sys.argv[3:]):
    model = build_model("baseline", data.input_shape, 10, seed=0)
    # a file cannot grow past it, as on a disk that is full
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        fit(model, data, TrainConfig(epochs=1, batch_size=32), out=sys.argv[2])
    except OSError as error:
        print("OSError", error)
"""


def test_full_disk_is_an_error_and_leaves_nothing(npz: Path, tmp_path: Path) -> None:
    limits = ["1000", "1500000"]  # in the first plot; in the checkpoint, which holds more than the model
    command = [sys.executable, "-c", FULL_DISK, str(npz), str(tmp_path / "run"), *limits]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.count("OSError ") == 2, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_image_that_vanishes_stops_the_training(
    arrays: dict[str, Any], make_model: MakeModel, tmp_path: Path
) -> None:
    for number, (image, label) in enumerate(zip(arrays["x_train"], arrays["y_train"], strict=True)):
        folder = tmp_path / "digits" / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    data = load_dataset(tmp_path / "digits", stream=True)
    gone = Path(data.train.images.paths[20])
    first = fit(make_model(), data, replace(CONFIG, epochs=1))
    assert first.history["loss"][0] > 0
    gone.unlink()
    with pytest.raises(InterruptedTrainingError, match=rf"epoch 1: .*{gone.name}"):
        fit(make_model(), data, replace(CONFIG, epochs=1))
