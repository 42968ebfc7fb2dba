import base64
import io
from dataclasses import replace
from pathlib import Path

from PIL import Image

from liteport.benchmarks.reports.drawings import draw_all
from liteport.benchmarks.reports.labels import Label, place_labels
from liteport.benchmarks.reports.panels import panels
from liteport.benchmarks.reports.plot_layers import in_order
from liteport.benchmarks.reports.plot_pictures import disputed
from liteport.benchmarks.results import Disagreement, Report, Row

ON_EACH_DEVICE = {"accuracy-latency", "latency", "roofline", "recall", "robustness", "disagreements"}
ONCE = {"size", "instructions", "layers"}


def test_every_figure_is_drawn_once_or_on_each_device(folder: Path) -> None:
    names = {path.name for path in (folder / "plots").iterdir()}
    of_devices = {f"{name}-{device}.png" for name in ON_EACH_DEVICE for device in ("laptop", "pi")}
    assert names == {f"{name}.png" for name in ONCE} | of_devices
    for path in (folder / "plots").iterdir():
        with Image.open(path) as picture:
            assert picture.width == 1080  # 5.4 inches of 200 dots, whatever is in it
            assert len(picture.convert("L").getcolors(256) or ()) > 10  # no empty page


def bare(row: Row) -> Row:
    """A row with nothing but a latency."""
    assert row.measurement is not None
    measurement = replace(row.measurement, answers=None, limit=None)
    return replace(row, measurement=measurement, instructions=(), layer_errors=())


def test_a_figure_without_data_is_left_out(report: Report) -> None:
    drawings = draw_all(replace(report, rows=tuple(bare(row) for row in report.rows if row.measurement)))
    assert [drawing.file for drawing in drawings] == ["size.png", "latency.png"]


def test_bundles_of_like_names_have_files_of_their_own(report: Report) -> None:
    rows = tuple(bare(row) for row in report.rows[:1])
    bundles = (report.bundles[0], replace(report.bundles[0], name="Digits!"))
    both = replace(report, bundles=bundles, rows=(*rows, *(replace(row, bundle="Digits!") for row in rows)))
    files = [drawing.file for drawing in draw_all(both)]
    assert files == ["size-digits.png", "size-digits-2.png", "latency-digits.png", "latency-digits-2.png"]


def test_what_does_not_depend_on_the_device_is_taken_from_where_it_is_known(merged: Report) -> None:
    rows = tuple(replace(row, instructions=()) if row.device == "laptop" else row for row in merged.rows)
    (panel,) = panels(replace(merged, rows=rows), lambda row: bool(row.instructions))
    assert [(row.device, row.variant[:11]) for row in panel.rows] == [("pi", "tflite-floa"), ("pi", "tflite-int8")]


def test_images_on_which_most_disagree_come_first(report: Report) -> None:
    def seeing(row: Row, *found: Disagreement) -> Row:
        assert row.measurement is not None
        assert row.measurement.answers is not None
        answers = replace(row.measurement.answers, disagreements=found)
        return replace(row, measurement=replace(row.measurement, answers=answers))

    _, row, _ = report.rows
    rows = (
        seeing(row, Disagreement(3, 0, 0, 1), Disagreement(7, 1, 1, 0), Disagreement(9, 1, 1, 2)),
        seeing(replace(row, variant="tflite-int4"), Disagreement(7, 1, 1, 2)),
        seeing(replace(row, variant="onnx-int8"), Disagreement(7, 1, 1, 0)),
    )
    pictures = tuple(replace(report.pictures[0], image=image) for image in (3, 7))  # none of image 9
    (panel,) = panels(replace(report, rows=rows, pictures=pictures), None)
    first, second = disputed(panel)
    assert (first.image, first.answers) == (7, {0: ["tflite-int8", "onnx-int8"], 2: ["tflite-int4"]})
    assert (second.image, second.answers) == (3, {1: ["tflite-int8"]})


def test_layers_stand_in_the_order_of_the_network() -> None:
    merged = in_order([["pool", "dense"], ["conv1", "conv2", "pool", "dense", "output"], ["conv2", "norm", "pool"]])
    assert merged == ["conv1", "conv2", "norm", "pool", "dense", "output"]


def test_many_classes_layers_and_colours_find_room(report: Report) -> None:
    """One hundred classes, eighty layers, a colour picture: all warnings are errors here."""
    reference, quantized, _ = report.rows
    buffer = io.BytesIO()
    Image.new("RGB", (8, 12), "red").save(buffer, "PNG")
    names = tuple(f"a rather long name {index}" for index in range(100))

    def wide(row: Row, step: float) -> Row:
        assert row.measurement is not None
        assert row.measurement.answers is not None
        recall, difference = (tuple(start + step * index for index in range(100)) for start in (0.9, 0.0))
        answers = replace(row.measurement.answers, recall=recall, recall_difference=difference)
        layers = tuple(replace(quantized.layer_errors[0], name=f"block_{index}_conv") for index in range(80))
        return replace(row, layer_errors=layers, measurement=replace(row.measurement, answers=answers))

    drawings = draw_all(
        replace(
            report,
            bundles=(replace(report.bundles[0], class_names=names),),
            rows=(wide(reference, 0), wide(quantized, 1e-4)),
            pictures=(replace(report.pictures[0], png=base64.b64encode(buffer.getvalue()).decode()),),
        )
    )
    assert {"recall.png", "layers.png", "disagreements.png"} <= {drawing.file for drawing in drawings}
    heights = {drawing.file: Image.open(io.BytesIO(drawing.png)).height for drawing in drawings}
    assert max(heights.values()) < 2 * 1080  # of all the one who looks is spared a page longer than two widths


def test_labels_of_crowded_points_do_not_overlap() -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    figure = Figure(figsize=(9, 5.5))
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    canvas.draw()
    place_labels(axes, [Label(f"variant-{i}", 50 + i / 4, 50, "black") for i in range(8)])
    canvas.draw()
    boxes = [Text.get_window_extent(text) for text in axes.texts]
    assert len(boxes) == 8
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
