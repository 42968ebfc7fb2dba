import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from liteport.benchmarks.inputs import resolve
from liteport.errors import IntegrityError, InvalidInputError, NotFoundError
from liteport.train import Dataset, load_dataset

MakeBundle = Callable[..., Path]


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    images, labels = np.zeros((24, 4, 4), np.uint8), np.arange(24) % 10
    np.savez(tmp_path / "data.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    return tmp_path / "data.npz"


def test_takes_the_bundles_own_data(make_bundle: MakeBundle, npz: Path) -> None:
    digest = load_dataset(npz, seed=3).digest
    bundle = make_bundle(training={"dataset": {"source": str(npz), "digest": digest, "seed": 3}})
    (subject,) = resolve(bundle, None, None)
    assert subject.data.digest == digest
    assert [entry.name for entry in subject.candidates] == ["tflite-float32", "tflite-int8", "onnx-float32"]


def test_chooses_variants_in_the_bundles_order(make_bundle: MakeBundle, data: Dataset) -> None:
    (subject,) = resolve(str(make_bundle()), data, ["onnx-float32", "tflite-float32"])
    assert [entry.name for entry in subject.candidates] == ["tflite-float32", "onnx-float32"]


def test_bundles_of_one_name_are_told_apart(make_bundle: MakeBundle, data: Dataset) -> None:
    paths = [make_bundle(folder="a"), make_bundle(folder="b")]
    assert [subject.name for subject in resolve(paths, data, None)] == [str(path) for path in paths]


def test_a_folder_of_images_is_brought_to_each_bundles_size(make_bundle: MakeBundle, digit_folder: Path) -> None:
    bundles = [make_bundle(folder="a"), make_bundle(folder="b", shape=(6, 5, 1)), make_bundle(folder="c")]
    subjects = resolve(bundles, str(digit_folder), None)
    assert [subject.data.input_shape for subject in subjects] == [(4, 4, 1), (6, 5, 1), (4, 4, 1)]
    assert subjects[0].data is subjects[2].data


def test_its_own_data_is_read_as_it_was_for_the_training(
    make_bundle: MakeBundle, digit_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "digits"
    shutil.copytree(digit_folder, folder)
    (folder / "3" / "broken.png").write_bytes(b"")
    trained = load_dataset(folder, seed=3, image_size=4, skip_corrupt=True)
    (subject,) = resolve(make_bundle(training={"dataset": trained.recorded}), None, None)
    assert subject.data.recorded == trained.recorded
    assert len(subject.data.skipped) == 1


def test_refuses_other_data_than_it_was_trained_on(make_bundle: MakeBundle, npz: Path) -> None:
    bundle = make_bundle(training={"dataset": {"source": str(npz), "digest": "0" * 64, "seed": 0}})
    with pytest.raises(InvalidInputError, match=r"is not the data that .* was trained on: its digest is .* --data"):
        resolve(bundle, None, None)


def test_says_that_its_own_data_is_gone(make_bundle: MakeBundle) -> None:
    bundle = make_bundle(training={"dataset": {"source": "/nowhere/data.npz", "digest": "0" * 64, "seed": 0}})
    with pytest.raises(NotFoundError, match=r"the data that .* was trained on: .*/nowhere/data.npz.*--data"):
        resolve(bundle, None, None)


def test_asks_for_data_where_the_bundle_knows_none(make_bundle: MakeBundle) -> None:
    with pytest.raises(InvalidInputError, match="does not tell what it was trained on; name the data: --data"):
        resolve(make_bundle(), None, None)


def test_refuses_bad_bundles(make_bundle: MakeBundle, data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="missing does not exist"):
        resolve(tmp_path / "missing", data, None)
    with pytest.raises(InvalidInputError, match="is no bundle"):
        resolve(tmp_path, data, None)
    with pytest.raises(InvalidInputError, match="no bundle was given"):
        resolve([], data, None)
    good = make_bundle()
    with pytest.raises(InvalidInputError, match="given twice"):
        resolve([good, str(good)], data, None)
    model = good / "tflite-int8.tflite"
    model.write_bytes(model.read_bytes()[:-1] + b"!")
    with pytest.raises(IntegrityError, match=r"tflite-int8.tflite .*SHA-256"):
        resolve(good, data, None)
    (good / "manifest.json").write_text((good / "manifest.json").read_text().replace("ten-net", "other"))
    with pytest.raises(IntegrityError, match="edited or damaged"):
        resolve(good, data, None)


def test_refuses_an_unknown_variant(make_bundle: MakeBundle, data: Dataset) -> None:
    with pytest.raises(InvalidInputError, match=r"unknown variant .*'tflite-int9'; did you mean 'tflite-int8'\?"):
        resolve(make_bundle(), data, ["tflite-int9"])


def test_refuses_data_that_does_not_fit(make_bundle: MakeBundle, data: Dataset) -> None:
    with pytest.raises(InvalidInputError, match=r"ten has images of shape \(4, 4, 1\); .* expects \(8, 8, 3\)"):
        resolve(make_bundle(shape=(8, 8, 3)), data, None)
    with pytest.raises(InvalidInputError, match=r"ten has 9 classes; .* has 10"):
        resolve(make_bundle(folder="other"), dataclasses.replace(data, class_names=data.class_names[:9]), None)


def test_refuses_an_unknown_source(make_bundle: MakeBundle) -> None:
    with pytest.raises(InvalidInputError, match=r"unknown data source 'mnits'; did you mean 'mnist'\?"):
        resolve(make_bundle(), "mnits", None)
