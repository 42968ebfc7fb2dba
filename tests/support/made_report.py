"""A report with made-up figures: two variants measured, one that crashed, on one device."""

import base64
import io
from dataclasses import replace

from PIL import Image

from liteport.benchmarks.accuracy import Accuracy
from liteport.benchmarks.conditions import Conditions
from liteport.benchmarks.environment import Environment
from liteport.benchmarks.latency import Interval, Percentiles
from liteport.benchmarks.results import (
    Answers,
    Bandwidth,
    BundleInfo,
    Control,
    Device,
    Disagreement,
    Engine,
    InstructionCount,
    Latency,
    LayerCost,
    LayerError,
    Limit,
    Measurement,
    Memory,
    Peak,
    Picture,
    Report,
    Robustness,
    Roofline,
    Row,
    Settings,
    Stages,
    Throughput,
)


def made_accuracy(correct: int = 980, lost: int = 0, won: int = 0, images: int = 1000) -> Accuracy:
    share, difference = correct / images, 100 * (won - lost) / images
    return Accuracy(
        images=images,
        correct=correct,
        accuracy=share,
        interval=Interval(share - 0.01, min(1.0, share + 0.01)),
        lost=lost,
        won=won,
        difference_points=difference,
        difference_interval=Interval(difference - 0.2, difference + 0.2) if lost + won else Interval(0.0, 0.0),
        p_value=1.0 if lost == won else 0.25,
        top1_agreement=1 - (lost + won) / images,
    )


def made_measurement(p50_ns: int = 300_000, ratio: float = 1.0, accuracy: Accuracy | None = None) -> Measurement:
    accuracy = accuracy or made_accuracy()
    # Two launches of five rounds of three inferences, 1 % apart, whose median is `p50_ns`.
    rounds = [tuple(round(p50_ns * (1 + step / 100)) for step in (-1, 0, 1))] * 5
    return Measurement(
        engine=Engine("ai-edge-litert", "2.3.0", "XNNPACK"),
        latency=Latency(
            percentiles=Percentiles(p50_ns, p50_ns * 1.01, p50_ns * 1.01),
            minimum_ns=round(p50_ns * 0.99),
            variation=0.008,
            ratio=ratio,
            ratio_interval=Interval(1.0, 1.0) if ratio == 1 else Interval(ratio * 0.99, ratio * 1.01),
            warm_up_runs=60,
            steady=True,
            involuntary_switches=2,
            samples_ns=(tuple(rounds), tuple(rounds)),
        ),
        stages=Stages((20_000_000, 19_000_000), (900_000, 800_000), 2_000.0, p50_ns - 4_000.0, 1_000.0),
        throughput=(
            Throughput(1, 1, 32, 32e9 / (20 * p50_ns), (20 * p50_ns, 20 * p50_ns)),
            Throughput(1, 2, 32, 64e9 / (21 * p50_ns), (21 * p50_ns, 21 * p50_ns)),
        ),
        memory=Memory(48_000_000, 120_000),
        answers=Answers(
            accuracy=accuracy,
            calibration_error=0.012,
            recall=(0.99, 0.97, None),
            recall_difference=(0.0, -0.002 * accuracy.lost, None),
            robustness=(Robustness("rotated", "up to ±15°", made_accuracy(930, accuracy.lost, accuracy.won)),),
            disagreements=(Disagreement(7, 1, 1, 0),) if accuracy.lost else (),
        ),
        agreement=None,
        limit=Limit(p50_ns * 0.5, 0.5, "compute", None),
    )


def made_row(variant: str, measurement: Measurement | None, failure: str | None = None, size: int = 4_800_000) -> Row:
    suffix = variant.partition("-")[0]
    count = InstructionCount(
        "pi4", "cortex-a72", Engine("ai-edge-litert", "2.3.0", "XNNPACK"), 4_200_000, 0.0004, 64, 1.0, 0.004, None
    )
    return Row(
        device="laptop",
        bundle="digits",
        variant=variant,
        scheme=variant.partition("-")[2],
        file=f"{variant}.{suffix}",
        sha256=f"{variant:x<64}".encode().hex()[:64],
        size_bytes=size,
        compressed_bytes=size * 9 // 10,
        layers=(LayerCost("conv1", "CONV_2D", "float32", 200_000, 1_280, 90_000),),
        layer_errors=(LayerError("conv1", 38.5),) if "int8" in variant else (),
        instructions=(count,) if measurement else (),
        measurement=measurement,
        failure=failure,
    )


def made_report() -> Report:
    """The report; change it by `dataclasses.replace`."""
    buffer = io.BytesIO()
    Image.new("L", (8, 8), 128).save(buffer, "PNG")
    device = Device(
        name="laptop",
        created="2026-01-01T00:00:00+00:00",
        settings=Settings(duration_s=10.0, launches=2, core=1, robustness=1000),
        environment=Environment(
            cpu="A CPU",
            board=None,
            architecture="x86_64",
            cpu_features=("avx2",),
            physical_cores=2,
            usable_cores=2,
            max_frequency_mhz=None,
            memory_bytes=8_000_000_000,
            system="Linux 6",
            python="3.11.0 (CPython)",
            packages={"liteport": "0.1.0", "numpy": "2.4.6", "ai-edge-litert": "2.3.0", "onnxruntime": None},
        ),
        base_memory_bytes=30_000_000,
        before=Conditions(None, None, None, None, 0.1),
        after=Conditions(None, None, None, None, 0.9),
        controls=(Control("digits", "tflite-float32", 1.001, Interval(0.995, 1.006), 0.02),),
        roofline=Roofline(
            (Peak("float32", "numpy", 8e10), Peak("int8", "onnxruntime", 3e11)), (Bandwidth(1 << 20, 5e10),)
        ),
    )
    reference = made_measurement()
    quantized = made_measurement(90_000, 0.3, made_accuracy(978, 3, 1))
    return Report(
        created="2026-01-01T00:00:00+00:00",
        devices=(device,),
        bundles=(BundleInfo("digits", "bundle", "mnist", "d" * 64, 1000, ("zero", "one", "two"), ()),),
        rows=(
            made_row("tflite-float32", reference),
            made_row(
                "tflite-int8",
                replace(quantized, limit=Limit(9_000.0, 0.1, "memory", "narrow channels")),
                None,
                1_200_000,
            ),
            made_row("onnx-float32", None, "latency: the worker was ended by SIGSEGV"),
        ),
        pictures=(Picture("d" * 64, 7, base64.b64encode(buffer.getvalue()).decode()),),
    )
