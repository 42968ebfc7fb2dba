import contextlib
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from liteport.errors import (
    AlreadyExistsError,
    ConversionError,
    InvalidInputError,
    LiteportWarning,
    NotFoundError,
    VerificationError,
)
from liteport.export import FORMATS, export, exporter
from liteport.export.formats import choose_formats
from liteport.export.verify import Tolerance
from liteport.files import sha256_of
from liteport.runtime import load, read_bundle
from liteport.train import TrainConfig, fit, load_dataset
from liteport.train.qat import float_model

ALL = [row.id for row in choose_formats("all")]


def pixels(model: keras.Model, count: int = 150) -> np.ndarray:
    """Raw pixels in the model's shape. Noise, as its weights are: only good for comparing a model with itself."""
    shape = model.inputs[0].shape if hasattr(model, "inputs") else model.get_build_config()["input_shape"]
    return np.random.default_rng(0).integers(0, 256, (count, *shape[1:]), np.uint8)


def probabilities(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


def test_the_manifest_describes_what_is_there(tiny_bundle: Path, tiny_run: Path) -> None:
    manifest = read_bundle(tiny_bundle).manifest
    training = json.loads((tiny_run / "training.json").read_text())
    assert [variant.id for variant in manifest.variants] == list(ALL)
    assert {path.name for path in tiny_bundle.iterdir()} == {
        "manifest.json",
        *(name for variant in manifest.variants for name in variant.file_names),
    }
    assert manifest.source.sha256 == sha256_of(tiny_run / "model.keras")
    assert manifest.source.training is not None
    assert manifest.source.training["dataset"] == training["dataset"]
    assert manifest.input.shape == (None, 28, 28, 1)
    assert (manifest.input.color, manifest.input.layout) == ("grayscale", "NHWC")
    assert manifest.input.preprocessing.scale == 1 / 255
    assert manifest.output.labels == tuple(map(str, range(10)))
    assert manifest.calibration is not None
    assert (manifest.calibration.split, manifest.calibration.count) == ("train", 500)
    for variant in manifest.variants:
        assert variant.sha256 == sha256_of(tiny_bundle / variant.file)
        assert variant.verification is not None
        assert variant.verification.data.endswith("validation")


@pytest.mark.parametrize("variant", [row.id for row in choose_formats("all") if not row.source_code])
def test_every_variant_answers_as_keras_does(tiny_bundle: Path, tiny_run: Path, tiny_data: Path, variant: str) -> None:
    test = load_dataset(tiny_data).test
    expected = keras.models.load_model(tiny_run / "model.keras").predict(
        test.images.astype(np.float32) / 255, verbose=0
    )
    with load(tiny_bundle, variant) as model:
        found = model.predict(test.images)
    # Mean over 300 images x 10 classes. Floating: order of additions, and three digits in half precision.
    # Integer: the output's own step is 1/256, and 8-bit steps inside add up to some of them.
    allowed = {"float32": 1e-6, "float16": 1e-3}.get(variant.split("-")[1], 1e-2)
    assert np.abs(found - expected).mean() < allowed
    assert (found.argmax(1) == expected.argmax(1)).mean() >= 0.98  # 6 of 300 images may be undecided ones


def test_foreign_models_keep_their_answers(foreign_model: keras.Model, tmp_path: Path) -> None:
    images = pixels(foreign_model)
    scale = 1.0 if foreign_model.name == "rescaling" else 1 / 255
    # By name, so that a refusal is a failure. Left out: int4, which wants larger dense layers, and what is made of the
    # tflite-int8 file or in its way.
    others = {"tflite-int4", "tflite-int8-float-io", "c-array"}
    formats = [name for name in ALL if name not in others]
    bundle = export(
        foreign_model,
        tmp_path / "b",
        formats,
        calibration=images,
        preprocessing={"scale": scale},
        seed=3,
        check_calibration=False,
        try_tflite_runtime=False,
    )
    expected = foreign_model.predict(images.astype(np.float32) * np.float32(scale), verbose=0)
    if bundle.manifest.output.activation == "linear":
        expected = probabilities(expected)
    for entry in bundle.manifest.variants:
        with load(bundle, entry.id) as model:
            found = model.predict(images)
        # Drawn weights keep all classes near each other, so values are compared instead of decisions: the same
        # tolerances as above, as these are probabilities too.
        allowed = {"float32": 1e-5, "float16": 1e-3}.get(entry.id.split("-")[1], 1e-2)
        assert np.abs(found - expected).mean() < allowed, entry.id


def both() -> keras.Model:
    """Two inputs of different kinds, two outputs: a class and a size."""
    keras.utils.set_random_seed(4)
    image, side = keras.Input((12, 12, 3), name="image"), keras.Input((5,), name="side")
    seen = keras.layers.Flatten()(keras.layers.Conv2D(8, 3, strides=2, activation="relu")(image))
    joined = keras.layers.Concatenate()([keras.layers.Dense(8, activation="relu")(seen), side])
    kind = keras.layers.Dense(3, activation="softmax", name="kind")(joined)
    return keras.Model([image, side], [kind, keras.layers.Dense(1, name="size")(joined)], name="both")


def test_several_inputs_and_outputs_go_through_every_engine(tmp_path: Path) -> None:
    model = both()
    generator = np.random.default_rng(0)
    data = {
        "image": generator.integers(0, 256, (150, 12, 12, 3), np.uint8),
        "side": generator.random((150, 5), np.float32),
    }
    formats = ["tflite-float32", "tflite-int8", "tflite-int8-float-io", "onnx-float32", "onnx-int8"]
    bundle = export(model, tmp_path / "b", formats, calibration=data, preprocessing={"scale": 1 / 255})
    manifest = bundle.manifest
    assert [manifest.input.name, *(info.name for info in manifest.other_inputs)] == ["image", "side"]
    assert [manifest.output.name, *(info.name for info in manifest.other_outputs)] == ["kind", "size"]
    assert manifest.input.preprocessing.scale == 1 / 255
    assert manifest.other_inputs[0].preprocessing.scale == 1.0  # one preprocessing is meant for the images
    few = {name: array[:7] for name, array in data.items()}
    expected = model.predict([few["image"] / np.float32(255), few["side"]], verbose=0)
    for entry in manifest.variants:
        with load(bundle, entry.id) as loaded:
            found = loaded.run(few)
            for name, values in zip(("kind", "size"), expected, strict=True):
                # Integer: some steps of 1/256 of an output's range, which of "size" is about 1.
                assert np.abs(found[name] - values).max() < (1e-5 if "float32" in entry.id else 0.05), entry.id
            with pytest.raises(InvalidInputError, match="one input and one output"):
                loaded.predict(few["image"])


def test_preprocessing_by_input(tmp_path: Path) -> None:
    given = {"image": {"scale": 0.5}, "side": {"offset": 1.0}}
    manifest = export(both(), tmp_path / "b", "tflite-float32", preprocessing=given).manifest
    assert (manifest.input.preprocessing.scale, manifest.other_inputs[0].preprocessing.offset) == (0.5, 1.0)
    with pytest.raises(InvalidInputError, match="unknown input in preprocessing 'imago'; did you mean 'image'"):
        export(both(), tmp_path / "c", "tflite-float32", preprocessing={"imago": {"scale": 0.5}})


def test_a_model_that_is_no_classifier_needs_no_labels(tmp_path: Path) -> None:
    image = keras.Input((8, 8, 3))
    up = keras.layers.Conv2DTranspose(2, 3, strides=2, padding="same")(keras.layers.Conv2D(4, 3, padding="same")(image))
    model = keras.Model(image, up, name="upwards")
    bundle = export(model, tmp_path / "b", ["tflite-float32", "onnx-int8"], calibration=pixels(model))
    assert bundle.manifest.output.shape == (None, 16, 16, 2)
    x = np.random.default_rng(0).random((3, 8, 8, 3), np.float32)
    for variant in ("tflite-float32", "onnx-int8"):
        with load(bundle, variant) as loaded:
            assert loaded.run({"input": x})["output"].shape == (3, 16, 16, 2)
            assert loaded.labels is None


def test_a_saved_model_and_a_fixed_batch(tiny_run: Path, tmp_path: Path) -> None:
    keras.models.load_model(tiny_run / "model.keras").export(tmp_path / "saved", verbose=False)
    images = load_dataset("mnist").test.images[:6]
    bundle = export(
        tmp_path / "saved",
        tmp_path / "b",
        ["tflite-int8", "onnx-float32"],
        calibration="mnist",
        batch=4,
        verify_count=10,
    )
    assert bundle.manifest.name == "saved"
    for variant in ("tflite-int8", "onnx-float32"):
        with load(bundle, variant) as model:
            assert model.inputs[0].shape == (4, 28, 28, 1)
            assert model.predict(images).shape == (6, 10)


def hard() -> keras.Model:
    """Has an operation of which 16-bit activations are not offered."""
    image = keras.Input((8, 8, 3))
    activated = keras.layers.Activation("hard_swish", name="swish")(keras.layers.Conv2D(4, 3)(image))
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(activated), name="hard")


def test_of_all_formats_those_that_are_impossible_are_left_out_with_the_reason(tmp_path: Path) -> None:
    model = hard()
    manifest = export(model, tmp_path / "b", calibration=pixels(model), verify_count=20).manifest
    refused = {entry.id: entry.reason for entry in manifest.refused}
    assert "HARD_SWISH in layer 'swish'" in refused["tflite-int16x8"]
    assert {variant.id for variant in manifest.variants} | set(refused) == set(ALL)
    assert {"tflite-float32", "tflite-int8", "onnx-float32", "onnx-int8"} <= {entry.id for entry in manifest.variants}


def spread() -> tuple[keras.Model, np.ndarray, np.ndarray]:
    """A classifier of which one layer quantizes badly, with data that it answers rightly in float.

    Its channels differ a thousandfold in the values that they take, and the small ones decide.
    """
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 4))
    depthwise = keras.layers.DepthwiseConv2D(1, use_bias=False, name="spread")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(depthwise(image)))
    dense = keras.layers.Dense(4, activation="softmax", name="decide")
    model = keras.Model(image, dense(pooled), name="uneven")
    factors = np.array([1000.0, 1.0, 1.0, 1.0], np.float32)
    depthwise.set_weights([factors.reshape(1, 1, 4, 1)])
    dense.set_weights([np.diag(20 / factors), np.zeros(4, np.float32)])
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, 600)
    images = generator.random((600, 8, 8, 4), np.float32) * 0.5
    images[np.arange(600), :, :, labels] += 0.2
    return model, images, labels


@pytest.mark.parametrize("variant", ["tflite-int8", "tflite-int8-float-io", "onnx-int8"])
def test_selective_quantization_keeps_the_layer_that_costs_accuracy(variant: str, tmp_path: Path) -> None:
    model, images, labels = spread()
    accuracy = (model.predict(images, verbose=0).argmax(1) == labels).mean()
    assert accuracy > 0.95
    bundle = export(
        model,
        tmp_path / "b",
        variant,
        calibration=(images, labels),
        calibration_count=200,
        verify_count=400,
        max_drop=0.5,
    )
    (entry,) = bundle.manifest.variants
    found = entry.selection
    assert found is not None
    assert found.full_drop > 5.0  # with a step of 1000/255 three of the four classes are lost
    assert found.drop <= found.max_drop == 0.5
    assert found.samples == 400
    assert 1 <= len(found.float_layers) <= 3
    assert any("spread" in layer.layer for layer in found.float_layers)
    with load(bundle, variant) as loaded:
        assert (loaded.predict(images).argmax(1) == labels).mean() >= accuracy - 0.01


def test_a_model_that_quantizes_well_keeps_no_layer(tiny_run: Path, tmp_path: Path) -> None:
    found = export(tiny_run, tmp_path / "b", "tflite-int8", max_drop=5.0).manifest.variants[0].selection
    assert found is not None
    assert (found.float_layers, found.drop) == ((), found.full_drop)


def test_selective_quantization_needs_labels(tmp_path: Path) -> None:
    model, images, _ = spread()
    with pytest.raises(InvalidInputError, match="max_drop needs labelled data"):
        export(model, tmp_path / "b", "tflite-int8", calibration=images, max_drop=0.5)
    assert not list(tmp_path.iterdir())


def test_the_manifest_says_which_runtimes_ran_a_variant(tiny_bundle: Path) -> None:
    runtimes = {
        entry.id: {trial.name: trial for trial in entry.runtimes}
        for entry in read_bundle(tiny_bundle).manifest.variants
    }
    assert runtimes["tflite-int8"]["ai-edge-litert"].ran
    assert runtimes["onnx-int8"]["onnxruntime"].ran
    assert runtimes["c-array"]["tflite-micro"].ran
    old = runtimes["tflite-int8"]["tflite-runtime"]
    assert old.version == "2.14.0"
    if old.ran is None:
        pytest.skip(f"tflite-runtime could not be tried here: {old.note}")
    assert [
        name for name, trials in runtimes.items() if "tflite-runtime" in trials and not trials["tflite-runtime"].ran
    ] == ["tflite-int4"]
    assert "FULLY_CONNECTED version 12" in (runtimes["tflite-int4"]["tflite-runtime"].note or "")


def test_calibration_says_how_stable_it_is(tiny_bundle: Path, tiny_run: Path, tmp_path: Path) -> None:
    calibration = read_bundle(tiny_bundle).manifest.calibration
    assert calibration is not None
    found = calibration.stability
    assert found is not None
    assert found.variant == "onnx-int8"
    assert 0 < found.median_range_difference <= found.max_range_difference < 1
    assert found.top1_agreement is not None
    assert found.top1_agreement > 0.9
    without = export(tiny_run, tmp_path / "b", "onnx-int8", check_calibration=False).manifest.calibration
    assert without is not None
    assert without.stability is None


KILLED = """
import os, signal, sys
from liteport.export import export, variants
make = variants.Maker.make
def stop(self, row):
    made = make(self, row)
    if row.id == "onnx-float32":
        os.kill(os.getpid(), signal.SIGKILL)
    return made
variants.Maker.make = stop
export(sys.argv[1], sys.argv[2], ["tflite-float32", "onnx-float32"], force=True)
"""


def test_a_kill_leaves_the_old_bundle_whole(tiny_run: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    """Killed when one of the new variants is written and the other is made."""
    out = shutil.copytree(tiny_bundle, tmp_path / "b")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    done = subprocess.run([sys.executable, "-c", KILLED, tiny_run, out], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_preprocessing_per_channel_reaches_every_engine(tmp_path: Path) -> None:
    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(4, activation="softmax")], name="flat"
    )
    mean, std = [124.0, 116.0, 104.0], [58.0, 57.0, 57.0]
    images = pixels(model)
    formats = ["tflite-float32", "tflite-int8", "onnx-int8"]
    bundle = export(
        model,
        tmp_path / "b",
        formats,
        calibration=images,
        preprocessing={"mean": mean, "std": std},
        labels=["a", "b", "c", "d"],
    )
    expected = model.predict((images - np.array(mean)) / np.array(std), verbose=0)
    for entry in bundle.manifest.variants:
        with load(bundle, entry.id) as loaded:
            # an input step of about 4.5/255 on 192 inputs with weights of up to 0.18 each
            assert np.abs(loaded.predict(images) - expected).max() < (1e-5 if "float" in entry.id else 0.05)
            assert loaded.classify(images[0], top_k=1)[0].label in "abcd"


def test_same_seed_same_files(tiny_run: Path, tmp_path: Path) -> None:
    first, second = (export(tiny_run, tmp_path / name, ["tflite-int8", "onnx-float16", "onnx-int8"]) for name in "ab")
    assert [entry.sha256 for entry in first.manifest.variants] == [entry.sha256 for entry in second.manifest.variants]
    assert first.manifest.calibration == second.manifest.calibration


@pytest.mark.usefixtures("undrawn")
def test_a_run_is_verified_on_what_was_held_out_of_its_own_training(tiny_data: Path, tmp_path: Path) -> None:
    dataset = load_dataset(tiny_data, seed=7)
    flat = keras.Sequential(
        [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")], name="flat"
    )
    run = tmp_path / "run"
    fit(flat, dataset, TrainConfig(epochs=1, seed=7, precision="float32"), out=run)
    answers = flat.predict(dataset.validation.images / np.float32(255), verbose=0).argmax(1)
    everything = {"verify_count": len(dataset.validation.labels)}
    for number, named in enumerate(({}, {"calibration": str(tiny_data)}, {"verify": str(tiny_data)})):
        bundle = export(run, tmp_path / str(number), "tflite-float32", **named, **everything)  # type: ignore[arg-type]
        verification = bundle.manifest.variants[0].verification
        assert verification is not None
        assert verification.reference_accuracy == (answers == dataset.validation.labels).mean(), named


def test_data_that_changed_since_the_training_is_told(tiny_run: Path, tiny_data: Path, tmp_path: Path) -> None:
    record = json.loads((tiny_run / "training.json").read_text())
    record["dataset"]["digest"] = "0" * 64
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / "training.json").write_text(json.dumps(record))
    with pytest.raises(InvalidInputError, match=r"is no longer the data that .*model\.keras was trained on"):
        export(run, tmp_path / "b", "tflite-int8")
    assert export(run, tmp_path / "b", "tflite-int8", calibration=tiny_data).manifest.calibration is not None


def test_a_run_whose_data_is_gone_needs_other_data_or_none(tiny_run: Path, tiny_data: Path, tmp_path: Path) -> None:
    record = json.loads((tiny_run / "training.json").read_text())
    record["dataset"]["source"] = str(tmp_path / "gone.npz")
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / "training.json").write_text(json.dumps(record))
    with pytest.raises(NotFoundError, match=r"was trained on: .*gone\.npz.*; name other: --calibration"):
        export(run, tmp_path / "b", "tflite-float32")
    assert export(run, tmp_path / "b", "tflite-float32", verify=False).manifest.output.labels is not None


def test_a_data_set_lends_its_class_names_to_a_model_of_as_many_classes(tiny_data: Path, tmp_path: Path) -> None:
    for classes, labels in ((10, tuple("0123456789")), (4, None)):
        model = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(classes)])
        with contextlib.nullcontext() if labels else pytest.warns(LiteportWarning, match="accuracy is not measured"):
            bundle = export(model, tmp_path / str(classes), "tflite-float32", calibration=load_dataset(tiny_data))
        assert bundle.manifest.output.labels == labels
        found = bundle.manifest.variants[0].verification
        assert found is not None
        assert (found.accuracy is None) == (labels is None)


@pytest.mark.parametrize("foreign_model", ["mobile"], indirect=True)
def test_integer_formats_need_calibration_data(tmp_path: Path, foreign_model: keras.Model) -> None:
    with pytest.raises(InvalidInputError, match="tflite-int8, onnx-int8 need calibration data"):
        export(foreign_model, tmp_path / "b", ["tflite-int8", "onnx-int8", "tflite-float32"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("foreign_model", ["mobile"], indirect=True)
def test_floating_formats_do_without_and_say_what_they_were_verified_on(
    tmp_path: Path, foreign_model: keras.Model
) -> None:
    bundle = export(foreign_model, tmp_path / "b", "tflite-float32")
    assert bundle.manifest.calibration is None
    verification = bundle.manifest.variants[0].verification
    assert verification is not None
    assert verification.data == "random input in [0, 1)"
    assert verification.accuracy is None


def test_verification_can_be_left_out_and_is_then_missing(tiny_run: Path, tmp_path: Path) -> None:
    bundle = export(tiny_run, tmp_path / "b", "onnx-float32", verify=False)
    assert bundle.manifest.variants[0].verification is None


def test_an_existing_bundle_is_replaced_only_by_force(tiny_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "b"
    export(tiny_run, out, "tflite-float32")
    before = (out / "manifest.json").read_bytes()
    with pytest.raises(AlreadyExistsError, match="--force"):
        export(tiny_run, out, "onnx-float32")
    assert (out / "manifest.json").read_bytes() == before
    export(tiny_run, out, "onnx-float32", force=True)
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "onnx-float32.onnx"]
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_folder_that_is_no_bundle_is_never_replaced(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InvalidInputError, match=r"holds no manifest.json"):
        export(tiny_run, tmp_path, "onnx-float32", force=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_refused_variant_leaves_the_old_bundle_and_nothing_else(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "b"
    export(tiny_run, out, "tflite-float32")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    strict = {**vars(FORMATS["tflite-int8"]), "tolerance": Tolerance(0.0, 0.0, 0.0, 0.0)}
    monkeypatch.setattr(exporter, "choose_formats", lambda _, **__: [type(FORMATS["tflite-int8"])(**strict)])
    with pytest.raises(VerificationError, match="tflite-int8: too far from the Keras model"):
        export(tiny_run, out, "tflite-int8", force=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_what_a_format_cannot_express_is_refused_with_its_name(tmp_path: Path) -> None:
    model = hard()
    with pytest.raises(ConversionError, match=r"tflite-int16x8: .*HARD_SWISH.*leave this format out"):
        export(model, tmp_path / "b", "tflite-int16x8", calibration=pixels(model))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["one"]}, r"labels are \['one'\]; expected 10 names"),
        ({"labels": "0123456789"}, "expected 10 names"),
        ({"preprocessing": {"scale": "x"}}, "preprocessing .* cannot be used"),
        ({"preprocessing": {"gamma": 2}}, "expected scale and offset, or mean and std"),
        ({"calibration": np.zeros((9, 32, 32, 3), np.uint8)}, "expected .28, 28, 1"),
        ({"calibration_count": 0}, "calibration_count is 0; expected a whole number from 1"),
        ({"seed": -1}, "seed is -1; expected a whole number from 0"),
        ({"max_drop": float("nan")}, "max_drop is nan"),
        ({"preprocessing": {"scale": [1, 2]}}, "preprocessing has 2 channels, the input 1"),
        ({"labels": []}, r"labels are \[\]; expected 10 names"),
        ({"formats": "tflite-int2"}, "unknown format 'tflite-int2'; did you mean"),
        ({"calibration": "minst"}, "did you mean 'mnist'"),
    ],
)
def test_unusable_arguments_are_refused_before_anything_is_written(
    tiny_run: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        export(tiny_run, tmp_path / "b", **changes)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_folder_is_not_replaced_while_the_export_reads_from_it(tiny_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "b"
    export(tiny_run, out, "tflite-float32", try_tflite_runtime=False)
    shutil.copy(tiny_run / "model.keras", out / "mine.keras")
    with pytest.raises(InvalidInputError, match=r"b holds .*mine\.keras, which would be replaced with it"):
        export(out / "mine.keras", out, "tflite-float32", force=True)
    assert (out / "mine.keras").is_file()


def test_formats_may_come_from_any_iterable_and_must_then_come_out(tmp_path: Path) -> None:
    model = hard()
    with pytest.raises(ConversionError, match="tflite-int16x8"):
        export(model, tmp_path / "b", (name for name in ("tflite-int16x8", "tflite-float32")), pixels(model))
    assert not list(tmp_path.iterdir())


def test_packages_that_are_not_installed_have_no_version(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "_VERSIONS", ("liteport", "no-such-package"))
    bundle = export(tiny_run, tmp_path / "b", "tflite-float32", verify=False, try_tflite_runtime=False)
    assert list(bundle.manifest.source.versions) == ["liteport"]


def test_a_missing_model_or_data_set_is_told(tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.keras does not exist"):
        export(tmp_path / "none.keras", tmp_path / "b")
    with pytest.raises(NotFoundError, match=r"none\.npz"):
        export(tiny_run, tmp_path / "b", calibration=str(tmp_path / "none.npz"))
    with pytest.raises(NotFoundError, match=r"none\.npz"):
        export(tiny_run, tmp_path / "b", verify=tmp_path / "none.npz")


def test_a_quantization_aware_model_is_exported_as_it_was_trained(
    aware_models: dict[int, keras.Model], noise: np.ndarray, tmp_path: Path
) -> None:
    model = aware_models[4]
    formats = ["tflite-float32", "tflite-int8", "tflite-int8w4", "onnx-float32", "onnx-int8"]
    bundle = export(
        model, tmp_path / "b", formats, verify=noise, preprocessing={"scale": 1 / 255}, try_tflite_runtime=False
    )
    assert bundle.manifest.calibration is None
    expected = model.predict(noise, verbose=0)
    plain = float_model(model).predict(noise, verbose=0)
    assert np.abs(expected - plain).max() > 0.01  # the two references are told apart
    for variant in bundle.manifest.variants:
        assert variant.verification is not None
        with load(bundle, variant.id) as made:
            found = made.predict(noise)
        if "float32" in variant.id:
            assert (variant.verification.reference, variant.scheme) == ("keras", "float32")
            assert np.abs(found - plain).max() < 1e-5  # order of additions
        else:
            assert variant.verification.reference == "keras, fake-quantized"
            assert variant.scheme.endswith("; ranges learned in training")
            # The output's own step is 1/256 in TensorFlow Lite, and now and then a value within is rounded elsewhere.
            assert np.abs(found - expected).mean() < 2e-3
    sizes = {variant.id: variant.size_bytes for variant in bundle.manifest.variants}
    assert sizes["tflite-int8w4"] < sizes["tflite-int8"]


def test_without_data_only_what_must_be_calibrated_is_left_out(
    aware_models: dict[int, keras.Model], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        exporter, "choose_formats", lambda *_, **__: [FORMATS["tflite-int8"], FORMATS["tflite-int16x8"]]
    )
    bundle = export(aware_models[8], tmp_path / "b", try_tflite_runtime=False)
    assert [variant.id for variant in bundle.manifest.variants] == ["tflite-int8"]
    assert [(refused.id, refused.reason) for refused in bundle.manifest.refused] == [
        ("tflite-int16x8", "integer activations need calibration data")
    ]


def test_weights_trained_for_8_bits_do_not_get_4(aware_models: dict[int, keras.Model], tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"tflite-int8w4: .* trained for 8-bit weights; .*weight_bits=4"):
        export(aware_models[8], tmp_path / "b", "tflite-int8w4", verify=False)
