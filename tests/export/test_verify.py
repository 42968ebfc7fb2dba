import numpy as np
import pytest

from liteport.errors import VerificationError
from liteport.export.calibration import Samples
from liteport.export.verify import FLOAT16, FLOAT32, INT8, INT16, Tolerance, verify
from liteport.runtime import TensorSpec


class Answering:
    """Stands in for a model: gives prepared answers, so that the judgement alone is tested."""

    def __init__(self, answers: np.ndarray) -> None:
        self.input = TensorSpec("input", "float32", (None, 1))
        self._answers = answers

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert list(inputs) == ["input"]
        return {"output": self._answers}


REFERENCE = np.tile(np.array([[0.7, 0.2, 0.1]], np.float32), (200, 1))


def judged(answers: np.ndarray, tolerance: Tolerance, reference: np.ndarray = REFERENCE, probabilities: bool = True):
    samples = Samples(np.zeros((len(answers), 1), np.float32), np.zeros(len(answers), np.int64), "made", "up")
    return verify("x", Answering(answers), samples, reference, tolerance, probabilities=probabilities)  # type: ignore[arg-type]


def changed(row: int, values: list[float]) -> np.ndarray:
    answers = REFERENCE.copy()
    answers[row] = values
    return answers


@pytest.mark.parametrize("tolerance", [FLOAT32, FLOAT16, INT8, INT16])
def test_the_same_answers_pass_with_their_figures(tolerance: Tolerance) -> None:
    found = judged(REFERENCE.copy(), tolerance)
    assert (found.reference, found.data, found.samples) == ("keras", "made up", 200)
    assert (found.max_abs_error, found.top1_agreement) == (0.0, 1.0)
    assert (found.accuracy, found.reference_accuracy) == (1.0, 1.0)


def test_figures_are_those_of_the_samples() -> None:
    found = judged(changed(3, [0.1, 0.8, 0.1]), INT8)  # one of 200 is just what INT8 lets through
    assert found.max_abs_error == pytest.approx(0.6, abs=1e-6)  # float32 subtraction
    assert found.top1_agreement == 1 - 1 / 200
    assert (found.accuracy, found.reference_accuracy) == (1 - 1 / 200, 1.0)


def test_one_clear_flip_is_too_much_for_floating_schemes() -> None:
    with pytest.raises(VerificationError, match=r"x is too far .* largest error 0\.6.*worst sample: 3"):
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


@pytest.mark.parametrize("tolerance", [FLOAT32, FLOAT16, INT8, INT16])
def test_nan_is_refused(tolerance: Tolerance) -> None:
    with pytest.raises(VerificationError, match="mean error nan"):
        judged(changed(0, [np.nan, 0.2, 0.1]), tolerance)


def test_logits_are_judged_by_their_span() -> None:
    logits = REFERENCE * 100  # a span of 60: an error of 0.005 is as little as 8e-5 on probabilities
    judged(logits + np.float32(0.005), FLOAT32, logits, probabilities=False)
    with pytest.raises(VerificationError):
        judged(logits + np.float32(0.005), FLOAT32, logits, probabilities=True)


def test_another_shape_is_refused() -> None:
    with pytest.raises(VerificationError, match=r"shape \(200, 2\), the model \(200, 3\)"):
        judged(REFERENCE[:, :2], FLOAT32)
