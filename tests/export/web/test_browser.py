"""The page in a real browser, used as its user would."""

import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Tab, page_of, served
from numpy.typing import NDArray

from liteport.runtime import load
from liteport.train import load_dataset

ROOT = Path(__file__).resolve().parents[3]
FAST = ROOT / "examples" / "fast"
IDS = ("tflite-float32", "tflite-int8", "onnx-int8")
# Integers come out the same. Floats are added up in another order: over 2,000 images of the test split the largest
# difference was 6e-7, by either build of LiteRT.js and by onnxruntime-web.
TOLERANCE = {"tflite-float32": 5e-6, "tflite-int8": 0.0, "onnx-int8": 5e-6}

# Strokes from 0 to 1 on the sheet, as a hand might draw them.
STROKES = {
    "1": [[(0.55, 0.2), (0.5, 0.5), (0.46, 0.8)]],
    "4": [[(0.35, 0.2), (0.3, 0.52), (0.7, 0.5)], [(0.66, 0.22), (0.62, 0.85)]],
    "7": [[(0.28, 0.22), (0.7, 0.2), (0.6, 0.45), (0.46, 0.84)]],
}
ASK_ALL = """
async ([id, text, size]) => {
  const { openVariant } = await import("./variant.js");
  const { loadManifest, loadFiles } = await import("./bundle.js");
  const manifest = await loadManifest();
  const variant = manifest.variants.find((each) => each.id === id);
  const predict = await openVariant(manifest, variant, (await loadFiles(manifest)).get(id));
  const pixels = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const answers = [];
  for (let at = 0; at < pixels.length; at += size) answers.push([...(await predict(pixels.slice(at, at + size)))]);
  return answers;
}
"""


@pytest.fixture(scope="module")
def shared(chromium: Any, address: str) -> Iterator[Tab]:
    """A tab with the page open: to load its engines takes two seconds of a processor."""
    tab = Tab(chromium)
    tab.open(address)
    yield tab
    tab.context.close()


@pytest.fixture
def opened(shared: Tab) -> Tab:
    """The same tab for each test that leaves nothing behind but answers."""
    shared.page.click("#clear")
    return shared


def draw(page: Any, strokes: list[list[tuple[float, float]]]) -> None:
    page.locator("#sheet").scroll_into_view_if_needed()
    box = page.locator("#sheet").bounding_box()
    for points in strokes:
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=6)
        page.mouse.up()


def test_strokes_by_mouse_are_recognised(opened: Tab) -> None:
    tab, page = opened, opened.page
    for label, strokes in STROKES.items():
        page.click("#clear")
        draw(page, strokes)
        page.wait_for_function(f"document.querySelector('#answer').textContent.startsWith('{label} (')")
        assert tab.answers(3) == dict.fromkeys(IDS, label)
    agreed, asked = page.inner_text("[data-variant=tflite-int8] dl").split("\n")[-1].split(" of ")
    assert agreed == asked
    page.wait_for_function("performance.getEntriesByName('measured').length", timeout=60_000)
    times = page.locator(".card dl div:first-child dd").all_inner_texts()
    assert len(times) == 3
    assert all(text.endswith((" µs", " ms")) and float(text.split()[0]) > 0 for text in times)
    assert tab.errors == []


@pytest.mark.parametrize("variant", IDS)
def test_the_page_computes_what_the_runtime_computes(opened: Tab, variant: str) -> None:
    images: NDArray[np.uint8] = load_dataset("mnist").test.images[:200]
    found = np.array(opened.page.evaluate(ASK_ALL, [variant, b64encode(images.tobytes()).decode(), images[0].size]))
    with load(FAST, variant) as model:
        expected = model.predict(images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[variant])
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).all()


def test_an_image_is_answered_by_keyboard_alone(opened: Tab) -> None:
    tab, page = opened, opened.page
    page.focus("[aria-label='Draw a 3']")
    page.keyboard.press("Enter")
    assert tab.answers(3) == dict.fromkeys(IDS, "3")
    page.focus("[aria-label='Example 7.png']")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#answer').textContent.startsWith('7')")
    page.focus("#sheet")
    for keys in (["Delete", "Space"], ["ArrowDown"] * 14, ["Space"]):
        for key in keys:
            page.keyboard.press(key)
    page.wait_for_function("document.querySelector('#answer').textContent.startsWith('1')")
    assert page.get_attribute("#answer", "aria-live") == "polite"
    assert tab.errors == []


def test_nothing_is_asked_of_the_network(tab: Tab, address: str) -> None:
    page = tab.open(address)
    page.wait_for_function("performance.getEntriesByName('kept').length", timeout=60_000)
    assert all(url.startswith((address, "blob:", "data:")) for url in tab.requests)
    tab.context.set_offline(True)
    draw(page, STROKES["7"])
    assert tab.answers(3) == dict.fromkeys(IDS, "7")
    assert tab.errors == []


def test_it_opens_again_where_no_server_answers(tab: Tab, page_folder: Path) -> None:
    with served(page_folder) as address:
        page = tab.open(address)
        page.wait_for_function("performance.getEntriesByName('kept').length", timeout=60_000)
    page = tab.open(address)
    page.click("[aria-label='Draw a 4']")
    assert tab.answers(3) == dict.fromkeys(IDS, "4")


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_an_image_is_dropped_or_pasted(opened: Tab, way: str) -> None:
    tab, page = opened, opened.page
    digit = (ROOT / "examples" / "digits" / "2.png").read_bytes()
    page.evaluate(
        """([way, bytes]) => {
          const data = new DataTransfer();
          data.items.add(new File([Uint8Array.from(bytes)], "2.png", { type: "image/png" }));
          const event = way === "drop"
            ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
            : new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
          document.body.dispatchEvent(event);
          if (way === "drop" && !event.defaultPrevented) throw new Error("the browser would leave the page");
        }""",
        [way, list(digit)],
    )
    assert tab.answers(3) == dict.fromkeys(IDS, "2")
    assert tab.errors == []


@pytest.mark.parametrize("name", ["tflite-int8.tflite", "onnx-int8.onnx", "manifest.json"])
def test_a_changed_byte_is_refused_by_name(tab: Tab, page_copy: Path, name: str) -> None:
    path = page_copy / "bundle" / name
    content = bytearray(path.read_bytes())
    at = content.index(b'"tiny"' if b'"tiny"' in content else b'"fast"') + 1 if name == "manifest.json" else 5000
    content[at] ^= 1
    path.write_bytes(content)
    with served(page_copy) as address:
        assert name in tab.refused(address)
    assert tab.page.is_hidden("#inputs")
    assert tab.page.is_hidden("#results")


def test_a_missing_file_is_told_by_name(tab: Tab, page_copy: Path) -> None:
    (page_copy / "bundle" / "onnx-int8.onnx").unlink()
    with served(page_copy) as address:
        assert "onnx-int8.onnx" in tab.refused(address)


def test_a_browser_without_simd_is_told(tab: Tab, address: str) -> None:
    tab.page.add_init_script("WebAssembly.validate = () => false")
    assert "WebAssembly SIMD" in tab.refused(address)


def test_a_browser_without_relaxed_simd_takes_the_other_build(tab: Tab, address: str) -> None:
    tab.page.route(
        "**/simd.js",
        lambda route: route.fulfill(
            content_type="text/javascript",
            body="export const hasSimd = () => true; export const hasRelaxedSimd = () => false;",
        ),
    )
    page = tab.open(address)
    page.click("[aria-label='Draw a 5']")
    assert tab.answers(3) == dict.fromkeys(IDS, "5")
    assert any("litert-compat.wasm" in url for url in tab.requests)


def test_a_page_from_another_machine_checks_too(tab: Tab, page_copy: Path) -> None:
    """Over plain HTTP browsers keep their SubtleCrypto from it."""
    tab.page.add_init_script("Object.defineProperty(crypto, 'subtle', { value: undefined })")
    with served(page_copy) as address:
        page = tab.open(address)
        page.click("[aria-label='Draw a 6']")
        assert tab.answers(3) == dict.fromkeys(IDS, "6")
        path = page_copy / "bundle" / "tflite-int8.tflite"
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        assert "tflite-int8.tflite" in tab.refused(address)


def test_a_page_opened_as_a_file_says_what_to_do(tab: Tab, page_folder: Path) -> None:
    assert "--serve" in tab.refused((page_folder / "index.html").as_uri())


def test_an_engine_that_is_missing_is_told_and_the_others_go_on(tab: Tab, page_copy: Path) -> None:
    (page_copy / "engines" / "onnx.wasm.gz").unlink()
    with served(page_copy) as address:
        page = tab.open(address)
        assert "onnx-int8: onnx.wasm.gz cannot be fetched" in page.inner_text("#refused")
        page.click("[aria-label='Draw a 1']")
        assert tab.answers(2) == {"tflite-float32": "1", "tflite-int8": "1"}


def test_what_is_no_image_is_told_and_the_page_goes_on(opened: Tab, tmp_path: Path) -> None:
    tab, page = opened, opened.page
    text = tmp_path / "notes.txt"
    text.write_text("no image")
    page.set_input_files("#file", text)
    page.wait_for_selector("#problem:not([hidden])")
    assert "notes.txt is no image" in page.inner_text("#problem")
    page.set_input_files("#file", ROOT / "examples" / "digits" / "2.png")
    assert tab.answers(3) == dict.fromkeys(IDS, "2")
    assert page.is_hidden("#problem")
    assert tab.errors == []


def test_it_is_light(page_folder: Path) -> None:
    own = [path for path in page_folder.rglob("*") if path.is_file() and ".wasm" not in path.name]
    assert sum(path.stat().st_size for path in own if path.parent.name not in ("bundle", "examples")) < 300_000


LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1200, "height": 800}},
    "dark": {"viewport": {"width": 1200, "height": 800}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
}


@pytest.mark.parametrize("look", LOOKS)
def test_how_it_looks(chromium: Any, address: str, tmp_path: Path, look: str) -> None:
    tab = Tab(chromium, **LOOKS[look])
    page = tab.open(address)
    page.click("[aria-label='Draw a 8']")
    tab.answers(3)
    page.screenshot(path=tmp_path / f"{look}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")  # nothing scrolls sideways
    assert (
        min(
            page.evaluate(
                "[...document.querySelectorAll('p, dt, dd, li')].map((e) => parseFloat(getComputedStyle(e).fontSize))"
            )
        )
        >= 12
    )
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (look != "dark")
    assert tab.errors == []
    tab.context.close()


def test_what_cannot_run_here_is_listed_with_the_reason(tab: Tab, page_copy: Path) -> None:
    """As a bundle with ncnn variants has it: its manifest, digest and all, is made anew."""
    from liteport.runtime import Manifest

    path = page_copy / "bundle" / "manifest.json"
    fields = json.loads(path.read_text())
    for engine, file in (("ncnn", "ncnn-float32.param"), ("MNN", "mnn-float32.mnn")):
        fields["variants"].append({**fields["variants"][0], "id": f"{engine.lower()}-float32", "file": file})
    path.write_text(with_digest(fields))
    Manifest.from_json(path.read_bytes())  # that is a right manifest
    with served(page_copy) as address:
        page = tab.open(address)
        assert "ncnn-float32: ncnn has no engine" in page.inner_text("#refused")
        assert "mnn-float32: MNN has no engine" in page.inner_text("#refused")
        page.click("[aria-label='Draw a 0']")
        assert tab.answers(3) == dict.fromkeys(IDS, "0")


def test_a_bundle_without_labels_is_told(tab: Tab, page_copy: Path) -> None:
    path = page_copy / "bundle" / "manifest.json"
    fields = json.loads(path.read_text())
    fields["output"]["labels"] = None
    path.write_text(with_digest(fields))
    with served(page_copy) as address:
        assert "no labels" in tab.refused(address)


def with_digest(fields: dict[str, Any]) -> str:
    from liteport.runtime.manifest import _digest

    content = {key: value for key, value in fields.items() if key != "digest"}
    return json.dumps({"digest": _digest(content), **content})


def test_a_phone_is_drawn_on_by_finger(chromium: Any, address: str) -> None:
    """Taps too: each is a dot, and the page does not scroll away under the finger."""
    tab = Tab(chromium, **LOOKS["phone"])
    page = tab.open(address)
    box = page.locator("#sheet").bounding_box()
    for place in range(12):
        page.touchscreen.tap(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * (0.2 + place * 0.05))
    page.wait_for_function("document.querySelector('#answer').textContent.startsWith('1')")
    assert page.evaluate("getComputedStyle(document.querySelector('#sheet')).touchAction") == "none"
    assert tab.errors == []
    tab.context.close()


def test_a_model_of_colours_has_no_sheet(tab: Tab, tmp_path: Path) -> None:
    """Three channels by the same files would not do: a model of its own, the mean of each channel as its classes."""
    bundle = rgb_bundle(tmp_path / "bundle")
    from PIL import Image

    Image.fromarray(np.full((30, 40, 3), (20, 220, 60), np.uint8)).save(tmp_path / "green.png")
    folder = page_of(bundle, tmp_path / "page", examples=[tmp_path / "green.png"])
    with served(folder) as address:
        page = tab.open(address)
        assert page.is_hidden("#sheet")
        page.click("[aria-label='Example green.png']")
        assert tab.answers(2) == {"tflite-float32": "green", "onnx-float32": "green"}
    assert tab.errors == []


def rgb_bundle(out: Path) -> Path:
    """A softmax over the means of red, green and blue."""
    import keras

    from liteport.export import export

    image = keras.Input((8, 8, 3), name="input")
    means = keras.layers.GlobalAveragePooling2D(name="means")(image)
    answer = keras.layers.Activation("softmax", name="output")(keras.layers.Rescaling(9.0, name="rescaling")(means))
    data = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 3), dtype=np.uint8)
    export(
        keras.Model(image, answer, name="colours"),
        out,
        formats=["tflite-float32", "onnx-float32"],
        calibration=data,
        preprocessing={"scale": 1 / 255},
        labels=["red", "green", "blue"],
    )
    return out
