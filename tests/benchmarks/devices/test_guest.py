from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from liteport.benchmarks.devices import guest
from liteport.runtime import load

IMAGES = np.arange(24, dtype=np.uint8).reshape(6, 4)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done, in order: marks, and predictions by their image's first pixel."""
    done: list[str] = []
    monkeypatch.setattr(guest, "mark", lambda _: done.append("mark"))
    return done


def stand_in(asked: list[str]) -> SimpleNamespace:
    def predict(image: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        asked.append(f"predict {image[0, 0]}")
        return np.float32(image)

    return SimpleNamespace(predict=predict)


def test_each_image_has_a_mark_before_and_after_it(asked: list[str]) -> None:
    answers = guest.answer(stand_in(asked), IMAGES, 1e9)  # type: ignore[arg-type]
    np.testing.assert_array_equal(answers, IMAGES)
    counted = asked[asked.index("mark") :]
    assert set(asked[: asked.index("mark")]) == {"predict 0"}  # warm-up
    assert counted[: 2 * guest.EMPTY] == ["mark"] * 2 * guest.EMPTY
    assert counted[2 * guest.EMPTY :] == [step for image in IMAGES for step in ("mark", f"predict {image[0]}", "mark")]


def test_a_slow_model_answers_two_images(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(range(1000))
    monkeypatch.setattr(guest.time, "process_time", lambda: float(next(times)))
    answers = guest.answer(stand_in(asked), IMAGES, 0.5)  # type: ignore[arg-type]
    assert len(answers) == 2
    assert sum(step != "mark" for step in asked) == 4  # with two to warm up


def test_it_answers_as_the_runtime_does(tiny_bundle: Path, tiny_data: Path, tmp_path: Path) -> None:
    with np.load(tiny_data) as data:
        images = data["x_test"][:3]
    np.save(tmp_path / "images.npy", images)
    file, out = tiny_bundle / "tflite-int8.tflite", tmp_path / "out.npz"
    guest.main(str(file), str(tmp_path / "images.npy"), str(out), "1e9")
    with load(file) as model, np.load(out) as found:
        np.testing.assert_array_equal(found["answers"], model.predict(images))
        assert found["engine"].tolist() == [model.backend.name, model.backend.version, model.backend.provider]


def test_a_refusal_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no\.tflite does not exist; expected a bundle"):
        guest.main(str(tmp_path / "no.tflite"), "", "", "1")
