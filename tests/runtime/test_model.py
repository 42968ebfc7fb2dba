import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from liteport.errors import BackendError, IntegrityError, InvalidInputError, NotFoundError
from liteport.runtime import Manifest, Model, Prediction, Preprocessing, load

Edit = Callable[[Path, Callable[[Manifest], Manifest]], Path]

VARIANTS = (
    "tflite-float32",
    "tflite-float16",
    "tflite-dynamic",
    "tflite-int8",
    "tflite-int16x8",
    "onnx-float32",
    "onnx-float16",
    "onnx-int8",
)

# One image and a batch may run through different kernels, which add up in another order: float32 then differs in its
# last digits, float16 in one of its own steps near 1 (2**-11), dynamic range in one 8-bit step of an activation.
# Integers are exact.
BATCH_TOLERANCE = {
    "tflite-float32": 1e-6,
    "tflite-float16": 1e-6,
    "tflite-dynamic": 0.01,
    "onnx-float32": 1e-6,
    "onnx-float16": 2e-3,
}


@pytest.fixture(params=VARIANTS)
def model(request: pytest.FixtureRequest, tiny_bundle: Path) -> Iterator[Model]:
    with load(tiny_bundle, request.param) as loaded:
        yield loaded


@pytest.fixture
def float_model(tiny_bundle: Path) -> Iterator[Model]:
    with load(tiny_bundle, "tflite-float32") as loaded:
        yield loaded


def test_the_digits_are_recognised(model: Model, digits: NDArray[np.uint8], answers: NDArray[np.int64]) -> None:
    probabilities = model.predict(digits)
    assert probabilities.shape == (300, 10)
    assert probabilities.dtype == np.float32
    assert (probabilities >= 0).all()
    # Rounded to the output's steps of 1/256, ten probabilities sum to 1 within 10 * 1/512; the others are finer.
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=0.02)
    # The tiny model reaches about 90 % and chance is 10 %: what mangles pixels or classes falls far below 80 %.
    assert np.mean(probabilities.argmax(axis=1) == answers) > 0.8


def test_all_variants_agree(model: Model, float_model: Model, digits: NDArray[np.uint8]) -> None:
    # Quantization may turn a digit that was a toss-up: 2 % of 300 are six of them.
    agreement = np.mean(model.predict(digits).argmax(axis=1) == float_model.predict(digits).argmax(axis=1))
    assert agreement >= 0.98


def test_a_model_tells_what_it_is(model: Model, tiny_bundle: Path) -> None:
    assert (model.input.name, model.input.dtype, model.input.shape) == ("input", "float32", (None, 28, 28, 1))
    assert model.input.scale is None
    assert [spec.name for spec in model.outputs] == ["output"]
    assert model.labels == tuple("0123456789")
    assert model.backend.name == ("onnxruntime" if str(model.variant).startswith("onnx") else "ai-edge-litert")
    assert model.manifest is not None
    assert model.manifest.variant(str(model.variant)).inputs == model.inputs
    assert repr(model) == f"<liteport Model {model.variant} on {model.backend}>"


def test_every_form_of_an_image_gives_the_same(model: Model, digits: NDArray[np.uint8]) -> None:
    image = digits[0]
    expected = model.predict(image)
    assert expected.shape == (1, 10)
    forms = [image[..., None], image[None], image[None, ..., None], np.asfortranarray(image), list(image)]
    strided = np.zeros((56, 56), np.uint8)
    strided[::2, ::2] = image
    backwards = image[::-1, ::-1].copy()[::-1, ::-1]
    read_only = image.copy()
    read_only.flags.writeable = False
    for form in (*forms, strided[::2, ::2], backwards, read_only):
        np.testing.assert_array_equal(model.predict(form), expected)


def test_raw_pixels_are_prepared_as_the_manifest_says(model: Model, digits: NDArray[np.uint8]) -> None:
    prepared = (digits * (1 / 255)).astype(np.float32)
    expected = model.predict(digits)
    np.testing.assert_array_equal(model.predict(prepared), expected)
    np.testing.assert_array_equal(model.predict(prepared.astype(np.float64)), expected)
    np.testing.assert_array_equal(model.predict(prepared.astype(">f4")), expected)
    # float16 moves a pixel by 1/16 of a level at most, so int8 input rounds back to the same level; elsewhere the
    # answer moves a little: 0.002 was the largest seen, of dynamic range.
    atol = 0 if model.inputs[0].dtype == "int8" else 0.01
    np.testing.assert_allclose(model.predict(prepared.astype(np.float16)), expected, rtol=0, atol=atol)


def test_the_batch_size_does_not_count(model: Model, digits: NDArray[np.uint8]) -> None:
    one_by_one = np.concatenate([model.predict(image) for image in digits[:130]])
    for count in (1, 31, 32, 33, 1, 0, 130):  # 33 is the first that is run in parts
        found = model.predict(digits[:count])
        assert found.shape == (count, 10)
        atol = BATCH_TOLERANCE.get(str(model.variant), 0)
        np.testing.assert_allclose(found, one_by_one[:count], rtol=0, atol=atol)


def test_no_image_gives_no_answer(model: Model) -> None:
    for dtype in (np.uint8, np.float32):
        found = model.predict(np.empty((0, 28, 28), dtype))
        assert (found.shape, found.dtype) == ((0, 10), np.float32)


def test_results_are_copies_and_inputs_stay(model: Model, digits: NDArray[np.uint8]) -> None:
    images = digits[:2].copy()
    first = model.predict(images)
    kept = first.copy()
    model.predict(digits[2:4])
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(images, digits[:2])
    first[:] = 0  # writable, and not the engine's memory
    np.testing.assert_array_equal(model.predict(images), kept)


def test_threads_that_share_a_model_get_their_own_answers(model: Model, digits: NDArray[np.uint8]) -> None:
    batches = [digits[start : start + 1 + start % 3] for start in range(0, 296, 2)]
    serial = [model.predict(batch) for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        for found, expected in zip(pool.map(model.predict, batches), serial, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_threads_that_share_a_model_and_its_closing(tiny_bundle: Path, digits: NDArray[np.uint8]) -> None:
    with load(tiny_bundle, "tflite-int8") as model:
        expected = model.predict(digits[0])
        ended: list[bool] = []

        def ask() -> None:
            while True:
                try:
                    np.testing.assert_array_equal(model.predict(digits[0]), expected)
                except InvalidInputError as error:
                    ended.append("the model is closed" in str(error))
                    return

        with ThreadPoolExecutor(4) as pool:
            for _ in range(4):
                pool.submit(ask)
            model.close()
    assert ended == [True] * 4


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_side_by_side_give_the_same(workers: int, model: Model, digits: NDArray[np.uint8]) -> None:
    atol = BATCH_TOLERANCE.get(str(model.variant), 0)  # their parts may be of another size
    for images in (digits, digits[:1], digits[:0], digits[:5].astype(np.float32) / 255):
        found = model.predict(images, workers=workers)
        np.testing.assert_allclose(found, model.predict(images), rtol=0, atol=atol)


def test_one_image_after_the_other_is_the_same_in_every_way(model: Model, digits: NDArray[np.uint8]) -> None:
    first = [model.predict(image) for image in digits[:20]]
    for _ in range(2):  # with and without the channel, singly and in batches, in turn
        for image, expected in zip(digits[:20], first, strict=True):
            np.testing.assert_array_equal(model.predict(image), expected)
            np.testing.assert_array_equal(model.predict(image[..., None]), expected)
            np.testing.assert_array_equal(model.predict(image[None, ::-1][:, ::-1]), expected)
            assert model.predict(digits[:3]).shape == (3, 10)


def test_several_threads_inside_an_inference_change_nothing(tiny_bundle: Path, digits: NDArray[np.uint8]) -> None:
    for variant in ("tflite-int8", "onnx-int8"):
        with load(tiny_bundle, variant) as one, load(tiny_bundle, variant, threads=4) as four:
            np.testing.assert_array_equal(one.predict(digits[:20]), four.predict(digits[:20]))


@pytest.mark.parametrize(
    "images",
    [
        None,
        "text",
        3,
        [],
        [[1.0, 2.0], [3.0]],
        np.zeros((28, 28), np.int64),
        np.zeros((28, 28), bool),
        np.zeros((28, 28), object),
        np.zeros((28, 28), complex),
        np.zeros((27, 28), np.uint8),
        np.zeros((28, 28, 3), np.uint8),
        np.zeros((1, 1, 28, 28), np.uint8),
        np.zeros((1, 1, 28, 28, 1), np.uint8),
        np.full((28, 28), np.nan, np.float32),
        np.full((28, 28), np.inf, np.float16),
        np.full((28, 28), 1e300),
    ],
    ids=lambda images: f"{type(images).__name__} {getattr(images, 'dtype', '')}{getattr(images, 'shape', '')}",
)
def test_wrong_images_are_refused_and_the_model_goes_on(images: Any, model: Model, digits: NDArray[np.uint8]) -> None:
    before = model.predict(digits[0])
    for call in (model.predict, lambda wrong: model.run({"input": wrong})):
        with pytest.raises(InvalidInputError, match=r"^values for 'input' .*; expected ") as caught:
            call(images)
        assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(model.predict(digits[0]), before)


def test_huge_finite_values_saturate(model: Model) -> None:
    found = model.predict(np.full((28, 28), 3e38, np.float32))
    assert found.shape == (1, 10)
    if model.inputs[0].scale is not None:
        np.testing.assert_array_equal(found, model.predict(np.full((28, 28), 1.0, np.float32)))


def test_run_gives_what_predict_gives(model: Model, digits: NDArray[np.uint8]) -> None:
    results = model.run({"input": digits[:3]})
    assert list(results) == ["output"]
    np.testing.assert_array_equal(results["output"], model.predict(digits[:3]))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, r"inputs lack \['input'\]; expected \['input'\]"),
        ({"inptu": 1}, r"unknown input 'inptu'; did you mean 'input'\?"),
        ({1: 1}, "unknown input 1; known: input"),
        ([1, 2], r"inputs are a list; expected a dictionary with \['input'\]"),
        (np.zeros((28, 28)), "inputs are a ndarray; expected a dictionary"),
        (None, "inputs are a NoneType; expected a dictionary"),
    ],
)
def test_wrong_dictionaries_are_refused(inputs: Any, message: str, float_model: Model) -> None:
    with pytest.raises(InvalidInputError, match=message):
        float_model.run(inputs)


def test_classify_takes_an_image_in_each_form(model: Model, digits: NDArray[np.uint8], tmp_path: Path) -> None:
    path = tmp_path / "digit.png"
    Image.fromarray(digits[0]).save(path)
    expected = model.classify(digits[0])
    for form in (
        path,
        str(path),
        path.read_bytes(),
        Image.open(path),
        digits[0, ..., None],
        digits[:1],
        list(digits[0]),
    ):
        assert model.classify(form) == expected


def test_classify_fits_an_array_of_another_size(float_model: Model, digits: NDArray[np.uint8]) -> None:
    frame = np.kron(digits[0], np.ones((10, 10), np.uint8))
    expected = float_model.classify(Image.fromarray(frame))
    colours = np.repeat(frame[..., None], 3, axis=2)
    for form in (frame, frame[..., None], colours, colours[..., ::-1], frame.astype(np.uint16) * 257):
        assert float_model.classify(form) == expected


def test_classify_ranks_no_nan(float_model: Model) -> None:
    with pytest.raises(BackendError, match="the model's answer is NaN"):
        float_model.classify(np.full((28, 28), 3e38, np.float32))  # finite, but not what comes of it


def test_classify_takes_ink_on_paper(model: Model, digits: NDArray[np.uint8]) -> None:
    paper = np.full((300, 200), 245, np.uint8)
    paper[120:176, 90:146] -= (np.kron(digits[0], np.ones((2, 2), np.uint8)) * 0.9).astype(np.uint8)
    best = model.classify(digits[0])[0].label
    assert model.classify(paper, invert="auto")[0].label == best
    assert model.classify(paper, invert=True)[0].label == best
    assert model.classify(255 - digits[0], invert="auto")[0].label == best  # of the model's own size
    # Light on dark already: nothing is changed.
    assert model.classify(digits[0], invert="auto") == model.classify(digits[0])


def test_classify_names_the_likeliest_first(float_model: Model, digits: NDArray[np.uint8]) -> None:
    probabilities = float_model.predict(digits[0])[0]
    order = np.argsort(-probabilities, kind="stable")
    everything = [Prediction(str(i), int(i), float(probabilities[i])) for i in order]
    assert float_model.classify(digits[0]) == everything[:3]
    assert float_model.classify(digits[0], top_k=1) == everything[:1]
    assert float_model.classify(digits[0], top_k=99) == everything
    assert [entry.label for entry in everything] == [str(entry.index) for entry in everything]


@pytest.mark.parametrize(
    ("image", "top_k", "message"),
    [
        (np.zeros((28, 28), np.uint8), 0, "top_k is 0, expected a whole number from 1"),
        (np.zeros((2, 28, 28), np.uint8), 1, "classify takes one image"),
        (np.zeros((0, 28, 28), np.uint8), 1, "classify takes one image"),
        (b"no image", 1, "no image that Pillow can read"),
        (None, 1, "the image is a NoneType"),
        (np.zeros((27, 28, 28), np.int64), 1, "have dtype int64"),
        (np.zeros((5, 27, 28, 1), np.uint8), 1, r"array of uint8 \(5, 27, 28, 1\); expected uint8 \(H, W\)"),
        ([[1], [1, 2]], 1, "are no array"),
    ],
)
def test_classify_refuses(image: Any, top_k: int, message: str, float_model: Model) -> None:
    with pytest.raises(InvalidInputError, match=message):
        float_model.classify(image, top_k)


def test_a_missing_image_is_told(float_model: Model, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nope\.png' does not exist"):
        float_model.classify(tmp_path / "nope.png")


def test_without_labels_the_index_stands_in(bundle_copy: Path, edit: Edit, digits: NDArray[np.uint8]) -> None:
    edit(bundle_copy, lambda manifest: replace(manifest, output=replace(manifest.output, labels=None)))
    with load(bundle_copy) as model:
        assert model.labels is None
        best = model.classify(digits[0])[0]
        assert best.label == str(best.index)


def test_logits_are_put_through_softmax(bundle_copy: Path, edit: Edit, digits: NDArray[np.uint8]) -> None:
    with load(bundle_copy, "tflite-float32") as model:
        plain = model.predict(digits).astype(np.float64)
    edit(bundle_copy, lambda manifest: replace(manifest, output=replace(manifest.output, activation="linear")))
    with load(bundle_copy, "tflite-float32") as model:
        expected = np.exp(plain) / np.exp(plain).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(model.predict(digits), expected, rtol=1e-6)  # float32 has 7 digits
        np.testing.assert_array_equal(model.run({"input": digits})["output"], plain)  # run gives what the file gives
        assert model.predict(digits[:0]).shape == (0, 10)


def test_preprocessing_comes_from_the_manifest(bundle_copy: Path, edit: Edit, digits: NDArray[np.uint8]) -> None:
    inverted = Preprocessing(-1 / 255, 1.0)
    edit(bundle_copy, lambda manifest: replace(manifest, input=replace(manifest.input, preprocessing=inverted)))
    with load(bundle_copy, "tflite-int8") as model:
        found = model.predict(255 - digits)
    with load(bundle_copy, "tflite-int8") as model:
        np.testing.assert_array_equal(found, model.predict((digits / 255).astype(np.float32)))


def test_a_closed_model_says_so(tiny_bundle: Path, digits: NDArray[np.uint8]) -> None:
    for variant in ("tflite-int8", "onnx-int8"):
        with load(tiny_bundle, variant) as model:
            model.predict(digits[0])
        model.close()  # a second time
        calls: list[Callable[[], object]] = [
            lambda: model.predict(digits[0]),
            lambda: model.predict(digits[:0]),
            lambda: model.classify(digits[0]),
            lambda: model.run({"input": digits[0]}),
        ]
        for call in calls:
            with pytest.raises(InvalidInputError, match="the model is closed; load it again"):
                call()
        assert model.labels == tuple("0123456789")


def test_the_engine_is_freed_when_the_block_fails(tiny_bundle: Path, digits: NDArray[np.uint8]) -> None:
    with pytest.raises(ZeroDivisionError), load(tiny_bundle) as model:
        raise ZeroDivisionError
    with pytest.raises(InvalidInputError, match="is closed"):
        model.predict(digits[0])


@pytest.fixture(params=["tflite-float32.tflite", "tflite-int8.tflite", "onnx-float32.onnx"])
def lone_file(request: pytest.FixtureRequest, tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(tiny_bundle / request.param, tmp_path))


def test_a_file_alone_says_itself_what_it_is(lone_file: Path, tiny_bundle: Path, digits: NDArray[np.uint8]) -> None:
    with load(lone_file) as model, load(tiny_bundle, lone_file.stem) as whole:
        assert (model.variant, model.manifest) == (lone_file.stem, None)
        assert model.labels == whole.labels == tuple(map(str, range(10)))
        assert model.card == whole.card
        np.testing.assert_array_equal(model.predict(digits[:5]), whole.predict(digits[:5]))
        assert model.classify(Image.fromarray(digits[0])) == whole.classify(digits[0])


def test_a_changed_byte_of_a_file_alone_is_told(lone_file: Path) -> None:
    content = bytearray(lone_file.read_bytes())
    for position in (len(content) // 3, len(content) // 2, len(content) - 1):
        changed = bytearray(content)
        changed[position] ^= 1
        lone_file.write_bytes(changed)
        with pytest.raises(IntegrityError, match=r"damaged|edited"):
            load(lone_file)


def stripped(path: Path) -> None:
    """Takes off a file what liteport adds to it: it is then anybody's."""
    import onnx

    from liteport.export.tflite_parts import take_apart

    content = path.read_bytes()
    if path.suffix == ".tflite":
        path.write_bytes(take_apart(content).model)
    else:
        model = onnx.load_from_string(content)
        del model.metadata_props[:]
        path.write_bytes(model.SerializeToString())


def test_a_foreign_file_takes_prepared_input_only(
    lone_file: Path, tiny_bundle: Path, digits: NDArray[np.uint8]
) -> None:
    stripped(lone_file)
    prepared = (digits[:5] / 255).astype(np.float32)
    with load(lone_file) as model, load(tiny_bundle, lone_file.stem) as whole:
        assert (model.variant, model.manifest, model.card, model.labels) == (None, None, None, None)
        np.testing.assert_array_equal(model.predict(prepared), whole.predict(prepared))
        assert model.classify(prepared[0])[0].label == whole.classify(prepared[0])[0].label
        for raw in (digits, Image.fromarray(digits[0])):
            with pytest.raises(InvalidInputError, match=r"got raw pixels .*; load the bundle, or pass floating values"):
                model.predict(np.asarray(raw))
        with pytest.raises(InvalidInputError, match="got raw pixels"):
            model.classify(Image.fromarray(digits[0]))


def test_a_lone_file_has_no_variants(lone_file: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"is one model file; variant 'x' can only be chosen in a bundle"):
        load(lone_file, "x")


def test_a_file_in_its_bundle_is_that_variant(tiny_bundle: Path, digits: NDArray[np.uint8]) -> None:
    path = tiny_bundle / "onnx-int8.onnx"
    for variant in (None, "onnx-int8"):
        with load(path, variant) as model:
            assert model.variant == "onnx-int8"
            assert model.predict(digits[0]).shape == (1, 10)
    with pytest.raises(InvalidInputError, match="is one model file"):
        load(path, "tflite-int8")


def test_a_file_beside_a_bundle_is_a_lone_one(bundle_copy: Path) -> None:
    path = Path(shutil.copy(bundle_copy / "onnx-float32.onnx", bundle_copy / "other.onnx"))
    with load(path) as model:
        assert (model.variant, model.manifest) == ("onnx-float32", None)


@pytest.mark.parametrize("name", ["model.h5", "model", "model.TFLITE", "manifest.json"])
def test_another_kind_of_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(
        InvalidInputError, match=r"is no model; expected a bundle folder, a \.tflite, an \.onnx, an \.mnn or"
    ):
        load(tmp_path / name)


@pytest.mark.parametrize("name", ["nowhere", "nowhere.tflite", "file/below", "nul\0"])
def test_a_path_that_is_not_there_is_told(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        NotFoundError, match=r"does not exist; expected a bundle folder, a \.tflite, an \.onnx, an \.mnn or"
    ):
        load(tmp_path / name)


def test_an_unknown_variant_is_told(tiny_bundle: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"unknown variant 'tflite-int9'; did you mean 'tflite-int8'\?"):
        load(tiny_bundle, "tflite-int9")
    with pytest.raises(InvalidInputError, match="unknown variant ''; known: tflite-float32"):
        load(tiny_bundle, "")  # not the same as none: no silent choice


@pytest.mark.parametrize("threads", [0, -1, 257, 10**12, 1.5, "2", None])
def test_threads_are_a_sensible_whole_number(threads: Any, tiny_bundle: Path) -> None:
    with pytest.raises(InvalidInputError, match="expected a whole number from 1 to 256"):
        load(tiny_bundle, threads=threads)
