from dataclasses import replace

import keras
import numpy as np

from liteport.train import NO_AUGMENTATION, Augmentation, Dataset, TrainConfig
from liteport.train.pipeline import EpochPipeline, scaled

CONFIG = TrainConfig(batch_size=64, augmentation=NO_AUGMENTATION, seed=5)


def test_an_epoch_has_each_image_once_scaled_with_its_label(dataset: Dataset) -> None:
    pipeline = EpochPipeline(dataset.train, 10, CONFIG)
    batches = [(np.asarray(x), np.asarray(y)) for x, y in pipeline.batches(0)]

    assert [len(x) for x, _ in batches] == [64, 64, 64, 28]
    assert len(batches) == pipeline.steps
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    assert images.dtype == labels.dtype == np.float32
    assert labels.shape == (220, 10)
    # 255 · (p · (1/255)) is off p by two float32 roundings, far less than the half that rounding takes away
    raw = np.rint(images * 255).astype(np.uint8)
    given = sorted((x.tobytes(), int(y)) for x, y in zip(*dataset.train, strict=True))
    assert sorted((x.tobytes(), int(y.argmax())) for x, y in zip(raw, labels, strict=True)) == given
    assert set(np.unique(labels)) == {0.0, 1.0}


def test_nothing_tunes_the_pipeline_as_the_end_of_an_epoch_would_wait_for_it(dataset: Dataset) -> None:
    assert EpochPipeline(dataset.train, 10, CONFIG).batches(0).options().autotune.enabled is False


def test_order_depends_on_seed_and_epoch_alone(dataset: Dataset) -> None:
    def first(seed: int, epoch: int) -> bytes:
        pipeline = EpochPipeline(dataset.train, 10, replace(CONFIG, seed=seed, augmentation=Augmentation(erasing=0.5)))
        images, _ = next(iter(pipeline.batches(epoch)))
        return np.asarray(images).tobytes()

    assert first(5, 1) == first(5, 1)
    assert len({first(5, 1), first(5, 2), first(6, 1)}) == 3


def test_the_last_epochs_have_the_images_as_they_are(dataset: Dataset) -> None:
    config = TrainConfig(epochs=4, batch_size=220, augmentation=Augmentation(unaugmented=0.5))
    pipeline = EpochPipeline(dataset.train, 10, config)
    given = {image.tobytes() for image in np.asarray(scaled(dataset.train.images))}
    same = [sum(np.asarray(image).tobytes() in given for image in next(iter(pipeline.batches(e)))[0]) for e in range(4)]
    assert same == [0, 0, 220, 220]


def test_scaled_is_from_zero_to_one() -> None:
    values = np.asarray(scaled(np.array([0, 51, 255], np.uint8)))
    np.testing.assert_allclose(values, [0, 0.2, 1], rtol=1.2e-7)  # one float32 rounding


def test_a_teacher_answers_beside_the_labels(dataset: Dataset) -> None:
    teacher = keras.Sequential(
        [keras.Input((14, 14, 1)), keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    )
    images, learned = next(iter(EpochPipeline(dataset.train, 10, TrainConfig(seed=5), teacher).batches(0)))
    _, labels = next(iter(EpochPipeline(dataset.train, 10, TrainConfig(seed=5)).batches(0)))
    np.testing.assert_array_equal(learned[:, :10], labels)
    # the same images, the augmented ones; the sums are taken in another order inside the graph
    np.testing.assert_allclose(learned[:, 10:], teacher(images), atol=1e-6)
