from dataclasses import replace

import keras
import numpy as np
import pytest

from liteport.train import TrainConfig
from liteport.train.recipe import DistillationLoss, accuracy, compile_for_training, learning_rate

CONFIG = TrainConfig(learning_rate=0.008)


def test_one_cycle_rises_for_a_while_and_falls_to_nearly_nothing() -> None:
    schedule = learning_rate(CONFIG, 1000)
    rates = np.array([float(schedule(step)) for step in range(1001)])

    assert rates[0] == pytest.approx(0.0008)
    assert rates.argmax() == 150
    assert rates.max() == pytest.approx(0.008)
    np.testing.assert_allclose(np.diff(rates[:151]), 0.0072 / 150, rtol=1e-3)  # float32 differences of close values
    assert rates[575] == pytest.approx(0.008 * (1 + 1e-3) / 2, rel=1e-5)  # half of a cosine's fall
    assert rates[-1] == pytest.approx(8e-6, rel=1e-3)  # near the cosine's end float32 has three digits left


@pytest.mark.parametrize(("warm_up", "top"), [(0.05, 50), (0.6, 600), (0.0, 1)])
def test_one_cycle_rises_for_as_long_as_is_said(warm_up: float, top: int) -> None:
    schedule = learning_rate(replace(CONFIG, warm_up=warm_up), 1000)
    assert np.argmax([float(schedule(step)) for step in range(1000)]) == top


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_shortest_trainings_have_a_rate(steps: int) -> None:
    schedule = learning_rate(CONFIG, steps)
    assert all(0 < float(schedule(step)) <= 0.008 * (1 + 1e-6) for step in range(steps))


def test_constant_is_constant() -> None:
    assert learning_rate(replace(CONFIG, schedule="constant"), 1000) == 0.008


def test_cosine_only_falls() -> None:
    schedule = learning_rate(replace(CONFIG, schedule="cosine"), 100)
    rates = np.array([float(schedule(step)) for step in range(101)])
    assert rates[0] == pytest.approx(0.008)
    assert (np.diff(rates) < 0).all()
    assert rates[50] == pytest.approx(0.008 * (1 + 1e-3) / 2, rel=1e-5)


def probabilities(*logits: float) -> np.ndarray:
    powers = np.exp(np.array([logits], np.float32))
    return powers / powers.sum()


def test_a_student_that_answers_like_its_teacher_has_the_least_loss() -> None:
    loss = DistillationLoss(1.0, 2.0, 0.0)
    teacher = probabilities(0.5, 2.0, -1.0)
    target = np.concatenate([np.eye(3, dtype=np.float32)[:1], teacher], axis=1)
    soft = np.exp(np.log(teacher[0]) / 2)
    soft /= soft.sum()
    least = float(loss(target, teacher))
    # the entropy of the softened answers, times the temperature's square; float32
    assert least == pytest.approx(-4 * float((soft * np.log(soft)).sum()), rel=1e-5)
    for other in ((0.5, 2.0, -0.9), (0.6, 2.0, -1.0), (3.0, 0.0, 0.0)):
        assert float(loss(target, probabilities(*other))) > least


def test_the_labels_have_the_rest_of_the_loss() -> None:
    student, label = probabilities(0.5, 2.0, -1.0), np.eye(3, dtype=np.float32)[:1]
    target = np.concatenate([label, probabilities(1.0, 0.0, 0.0)], axis=1)
    hard, soft = (float(DistillationLoss(part, 3.0, 0.1)(target, student)) for part in (0.0, 1.0))
    assert float(DistillationLoss(0.25, 3.0, 0.1)(target, student)) == pytest.approx(0.75 * hard + 0.25 * soft)
    assert hard == pytest.approx(float(keras.losses.CategoricalCrossentropy(label_smoothing=0.1)(label, student)))


def test_accuracy_leaves_the_teacher_out() -> None:
    target = np.array([[1, 0, 0, 1], [1, 0, 0, 1]], np.float32)  # labels 0, 0; the teacher says 1
    assert np.asarray(accuracy(target, np.array([[0.9, 0.1], [0.2, 0.8]], np.float32))).tolist() == [1, 0]


def one_weight() -> keras.Model:
    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])


def test_the_average_follows_the_weights_and_leaves_them_alone() -> None:
    model = one_weight()
    config = TrainConfig(epochs=100, learning_rate=0.1, schedule="constant", weight_decay=0.0, ema=0.3)
    optimizer = compile_for_training(model, config, steps_per_epoch=10)
    (kernel,) = model.trainable_variables
    expected, taken = 0.0, []
    for momentum in (0, 2 / 11, 3 / 12, 0.3, 0.3):  # it grows up to what the config says
        optimizer.apply([np.ones((1, 1), np.float32)])
        taken.append(float(kernel.numpy()[0, 0]))
        expected = momentum * expected + (1 - momentum) * taken[-1]
    optimizer.finalize_variable_values(model.trainable_variables)
    assert float(kernel.numpy()[0, 0]) == taken[-1]
    optimizer.averaged_into(model.trainable_variables)
    assert float(kernel.numpy()[0, 0]) == pytest.approx(expected, rel=1e-5)  # five float32 roundings
