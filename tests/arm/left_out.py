"""A pytest plugin for the emulated machines: what cannot run there is skipped, and says why.

A module, a fixture or a test that fails because a package is not installed which that machine cannot have, is skipped
with that reason. Tests that expect what is otherwise there are named one by one. Any other failure stays one.
"""

import platform
from collections.abc import Generator, Sequence
from typing import Any

import pytest

from liteport.errors import MissingDependencyError

MACHINE = platform.machine()

_EXPORT = frozenset({"h5py", "keras", "tensorflow", "tf2onnx"})  # too much to install for what only exporting needs
ABSENT = {
    "aarch64": _EXPORT,
    "armv7l": _EXPORT | {"ai_edge_litert", "cryptography", "onnx", "onnxruntime", "MNN"},  # or cffi has no wheel
}

_OTHER_ENGINE = "expects other engines to be installed"
_OLD_PILLOW = "needs Pillow 10, Debian has 9.4"
_SUBNORMAL = "Hypothesis needs subnormal floats, which the processor flushes to zero once tflite-runtime is loaded"
OTHERWISE = {
    "aarch64": {
        "test_a_crash_of_the_engine_is_an_error": "on Arm, LiteRT refuses the file that crashes it on x86",
        "test_a_model_that_wants_all_memory_is_refused": "QEMU does not hold programs to a limit of memory",
    },
    "armv7l": {
        "test_a_model_tells_what_it_is": _OTHER_ENGINE,
        "test_each_kind_of_file_has_its_engine": _OTHER_ENGINE,
        "test_a_backend_asked_for_chooses_among_the_variants": _OTHER_ENGINE,
        "test_tensors_are_described_as_the_file_has_them": _OTHER_ENGINE,
        "test_the_shape_changes_back_after_a_call_that_failed": _OTHER_ENGINE,
        "test_doctor_says_what_to_install": _OTHER_ENGINE,
        "test_mnn_prints_nothing": _OTHER_ENGINE,  # in a process of its own, whose failure names no package
        "test_predict_prints_a_table": _OTHER_ENGINE,
        "test_a_child_process_and_the_end_of_the_interpreter_change_nothing": _OTHER_ENGINE,
        "test_other_shapes_are_refused_with_those_that_would_do": "makes an array that 32 bits cannot address",
        "test_a_transparent_level_of_16_bits_is_laid_on_white": _OLD_PILLOW,
        "test_of_several_frames_the_first_is_taken": _OLD_PILLOW,
        "test_a_folder_without_images_is_told": _OLD_PILLOW,
    },
}


def excuse(error: BaseException | None) -> str | None:
    """Says what this machine cannot have that caused an error, following the errors it was raised from."""
    while error is not None:
        name = ""
        if isinstance(error, ModuleNotFoundError):
            name = (error.name or "").split(".")[0]
        elif isinstance(error, MissingDependencyError) and error.__cause__ is None:  # of an engine that was looked for
            name = str(error).split()[0].replace("-", "_")
        elif isinstance(error, FloatingPointError) and "subnormal" in str(error) and MACHINE == "armv7l":
            return _SUBNORMAL
        if name in ABSENT[MACHINE]:
            return f"needs {name}"
        error = getattr(error, "cause", None) or error.__cause__  # pytest keeps that of a conftest in `cause`
    return None


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Skips the tests that are named above."""
    for item in items:
        name = item.originalname if isinstance(item, pytest.Function) else item.name
        if reason := OTHERWISE[MACHINE].get(name):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Skips a file, or a folder with its conftest, that imports an absent package."""
    report = yield
    call: pytest.CallInfo[Any] | None = getattr(report, "call", None)
    if report.failed and call and call.excinfo and (reason := excuse(call.excinfo.value)):
        report.outcome = "skipped"
        report.longrepr = (str(collector.path), 0, f"Skipped: {reason}")
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Skips a test that meets an absent package, itself or in a fixture."""
    report = yield
    if report.failed and call.excinfo and (reason := excuse(call.excinfo.value)):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1] or 0, f"Skipped: {reason}")
    return report
