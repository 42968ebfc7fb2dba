import numpy as np
import pytest

from liteport.errors import VerificationError
from liteport.export.given_data import Samples
from liteport.export.verify import FLOAT16, FLOAT32, INT4, INT8, INT16, Reference, Tolerance, verify
from liteport.runtime.records import Verification

LABELS = np.zeros(200, np.int64)
REFERENCE = np.tile(np.array([[0.7, 0.2, 0.1]], np.float32), (200, 1))


def judged(
    answers: np.ndarray,
    tolerance: Tolerance,
    reference: np.ndarray = REFERENCE,
    activation: str = "softmax",
    labels: np.ndarray | None = LABELS,
) -> Verification:
    samples = Samples({"input": np.zeros((len(reference), 1), np.float32)}, labels, "made", "up")
    expected = Reference(samples, {"output": reference}, {"output": activation})
    return verify({"output": answers}, expected, tolerance)


def changed(row: int, values: list[float]) -> np.ndarray:
    answers = REFERENCE.copy()
    answers[row] = values
    return answers


@pytest.mark.parametrize("tolerance", [FLOAT32, FLOAT16, INT4, INT8, INT16])
def test_the_same_answers_pass_with_their_figures(tolerance: Tolerance) -> None:
    found = judged(REFERENCE.copy(), tolerance)
    assert (found.reference, found.data, found.samples) == ("keras", "made up", 200)
    assert (found.max_abs_error, found.top1_agreement) == (0.0, 1.0)
    assert (found.accuracy, found.reference_accuracy) == (1.0, 1.0)
    assert (found.mean_abs_error, found.won, found.lost, found.mcnemar_p) == (0.0, 0, 0, 1.0)


def test_figures_are_those_of_the_samples() -> None:
    found = judged(changed(3, [0.1, 0.8, 0.1]), INT8)  # one of 200 is just what INT8 lets through
    assert found.max_abs_error == pytest.approx(0.6, abs=1e-6)  # float32 subtraction
    assert found.top1_agreement == 1 - 1 / 200
    assert (found.accuracy, found.reference_accuracy) == (1 - 1 / 200, 1.0)
    assert found.mean_abs_error == pytest.approx(1.2 / 600, rel=1e-5)
    assert (found.won, found.lost, found.mcnemar_p) == (0, 1, 1.0)  # one of one says nothing
    assert found.worst[0] == 3


def test_mcnemar_counts_only_the_samples_on_which_the_two_differ() -> None:
    labels = np.array([1] * 6 + [0] * 194)  # Keras is wrong on the first six, where the undecided may change
    reference = REFERENCE.copy()
    reference[:7] = [0.4, 0.39, 0.21]
    answers = reference.copy()
    answers[:7] = [0.39, 0.4, 0.21]
    found = judged(answers, INT8, reference, labels=labels)
    assert (found.won, found.lost) == (6, 1)
    assert found.mcnemar_p == pytest.approx(2 * (1 + 7) / 2**7)  # two tails of a fair coin: 0 or 1 head of 7
    assert found.accuracy == pytest.approx(199 / 200)


def test_without_labels_there_is_no_accuracy() -> None:
    found = judged(REFERENCE.copy(), FLOAT32, labels=None)
    assert (found.accuracy, found.reference_accuracy, found.won, found.lost, found.mcnemar_p) == (None,) * 5


def test_a_single_value_decides_between_two() -> None:
    reference = np.linspace(0, 1, 200, dtype=np.float32)[:, None]
    found = judged(reference.copy(), FLOAT32, reference, "sigmoid", labels=(np.arange(200) >= 100).astype(np.int64))
    assert found.accuracy == 1.0
    with pytest.raises(VerificationError, match="decisions changed"):
        judged(1 - reference, Tolerance(None, 1.0, 0.2, 5e-3), reference, "sigmoid")


def test_a_slow_format_may_answer_the_first_samples_only() -> None:
    assert judged(changed(150, [0, 1, 0])[:100], FLOAT32).samples == 100


def test_every_output_is_judged_and_the_first_decides() -> None:
    samples = Samples({"input": np.zeros((200, 1), np.float32)}, None, "made", "up")
    outputs = {"kind": REFERENCE, "size": np.full((200, 1), 50, np.float32)}
    reference = Reference(samples, outputs, {"kind": "softmax", "size": "linear"})
    assert verify(dict(reversed(outputs.items())), reference, FLOAT32).top1_agreement == 1.0
    with pytest.raises(VerificationError, match="from the Keras model in 'size'"):
        verify(outputs | {"size": outputs["size"] + 1}, reference, INT8)


def test_one_clear_flip_is_too_much_for_floating_schemes() -> None:
    with pytest.raises(VerificationError, match=r"^too far .* largest error 0\.6.*worst samples: 3, 0, 1"):
        judged(changed(3, [0.1, 0.8, 0.1]), FLOAT16)


def test_many_clear_flips_are_too_much_for_integer_schemes() -> None:
    answers = REFERENCE.copy()
    answers[:2] = [0.1, 0.8, 0.1]
    with pytest.raises(VerificationError, match=r"2 of 200 decisions changed \(allowed 1\)"):
        judged(answers, INT8)


def test_flips_of_undecided_samples_are_let_through() -> None:
    undecided = np.tile(np.array([[0.4, 0.38, 0.22]], np.float32), (200, 1))
    assert judged(undecided[:, [1, 0, 2]], INT8, undecided).top1_agreement == 0.0


def test_a_mean_error_is_refused_even_if_no_decision_changes() -> None:
    with pytest.raises(VerificationError, match=r"mean error 0\.04"):
        judged(REFERENCE + np.float32(0.04), INT8)


@pytest.mark.parametrize("tolerance", [FLOAT32, FLOAT16, INT4, INT8, INT16])
def test_nan_is_refused(tolerance: Tolerance) -> None:
    with pytest.raises(VerificationError, match="mean error nan"):
        judged(changed(0, [np.nan, 0.2, 0.1]), tolerance)


def test_logits_are_judged_by_their_span() -> None:
    logits = REFERENCE * 100  # a span of 60: an error of 0.005 is as little as 8e-5 on probabilities
    judged(logits + np.float32(0.005), FLOAT32, logits, activation="linear")
    with pytest.raises(VerificationError):
        judged(logits + np.float32(0.005), FLOAT32, logits, activation="softmax")


def test_another_shape_is_refused() -> None:
    with pytest.raises(VerificationError, match=r"shape \(200, 2\), the model \(200, 3\)"):
        judged(REFERENCE[:, :2], FLOAT32)
