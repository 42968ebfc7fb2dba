"""Counting with stand-ins for the boards; `tests/arm` counts on emulated ones."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from liteport.benchmarks.devices import arm_system, counting
from liteport.benchmarks.devices.boards import BOARDS, Board
from liteport.benchmarks.results import Engine, InstructionCount
from liteport.errors import InvalidInputError
from liteport.terminal import ProgressCallback, no_progress

STAND_IN = str(Path(__file__).with_name("stand_in_board.py"))
IMAGES = np.array([[[9, 1, 2], [0, 0, 0]], [[1, 9, 2], [0, 0, 0]], [[1, 2, 9], [0, 0, 0]]], np.uint8)

Count = Callable[..., tuple[InstructionCount, ...]]


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Count:
    """Counts for one file; the arguments say how each board behaves."""

    def run(
        ways: dict[str, str],
        *,
        here: str = "answer",
        file: str = "a.tflite",
        progress: ProgressCallback = no_progress,
    ) -> tuple[InstructionCount, ...]:
        class StandIn:
            def command(self, board: Board, count_to: Path | None) -> list[str]:
                assert count_to is not None
                return [sys.executable, STAND_IN, ways[board.name], str(count_to)]

        @contextmanager
        def stand_ins(names: Sequence[str], progress: object) -> Iterator[dict[str, StandIn]]:
            yield {name: StandIn() for name in names}

        monkeypatch.setattr(counting, "environments", stand_ins)
        monkeypatch.setattr(counting, "_PROGRAM", (STAND_IN, here, "unused"))
        monkeypatch.setattr(counting, "check_machine", lambda: None)
        timeout = 0.5 if "hang" in ways.values() else 60
        files = {"a": tmp_path / file}
        return counting.count_instructions(files, IMAGES, list(ways), timeout=timeout, progress=progress)["a"]

    return run


def test_the_count_is_the_median_without_what_marking_costs(count: Count) -> None:
    found, other = count({"pi4": "answer", "pi5": "other class"})
    assert found == InstructionCount(
        board="pi4",
        cpu="cortex-a72",
        engine=Engine("an-engine", "1.0", "CPU"),
        instructions=5001,  # of 5000, 5001, 5002
        spread=2 / 5001,
        images=3,
        top1_agreement=1.0,
        max_abs_difference=0.0,
        failure=None,
    )
    assert other.cpu == "cortex-a76"
    assert other.top1_agreement == pytest.approx(2 / 3)  # of three images
    assert other.max_abs_difference == 248


REASONS = {
    "crash": "the process was ended by SIGSEGV: unhandled opcode",
    "refuse": "the engine refuses the model",
    "nothing": "the process gave no answers: INFO: done",
    "fewer": "expected 22 marks in the count of instructions, found 20",
    "garbage": "expected 22 marks in the count of instructions, found something else",
    "nan": "its answers are not finite",
}


@pytest.mark.parametrize("ways", [("crash", "refuse", "nothing"), ("fewer", "garbage", "nan")])
def test_what_goes_wrong_is_told_and_the_others_are_counted(count: Count, ways: tuple[str, ...]) -> None:
    *bad, good = count(dict(zip(BOARDS, (*ways, "answer"), strict=True)))
    for found, way in zip(bad, ways, strict=True):
        cpu = BOARDS[found.board].cpu
        assert found == InstructionCount(found.board, cpu, None, None, None, 0, None, None, REASONS[way])
    assert good.instructions == 5001


def test_a_board_that_hangs_is_told(count: Count) -> None:
    (found,) = count({"pi3": "hang"}, here="hang")
    assert found.failure == "no answer within 0.5 s"


def test_what_goes_wrong_on_this_machine_is_told(count: Count) -> None:
    (found,) = count({"pi3": "answer"}, here="refuse")
    assert found.failure == "on this machine, to compare with: the engine refuses the model"


def test_a_file_that_the_board_has_no_engine_for_is_told(count: Count) -> None:
    old, new = count({"pi2": "answer", "pi3": "answer"}, file="a.onnx")
    assert old.failure == "armv7l has no engine for .onnx files"
    assert new.failure is None


def test_progress_ends_with_all_runs(count: Count) -> None:
    told: list[tuple[str, int, int, str]] = []
    count({"pi3": "answer", "pi5": "answer"}, progress=lambda *step: told.append(step))
    assert told[-1] == ("instructions", 3, 3, "3 runs")  # two boards and this machine
    assert [done for _, done, _, _ in told] == [0, 1, 2, 3]


def test_one_image_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "check_machine", lambda: None)
    with pytest.raises(InvalidInputError, match="there are 1 images; expected two or more"):
        counting.count_instructions({}, IMAGES[:1], ["pi4"])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["pi6"], "unknown board 'pi6'; did you mean 'pi5'"),
        (["pi4", "pi4"], "boards are pi4, pi4; expected one or more, each once"),
        ([], "boards are none; expected one or more"),
    ],
)
def test_boards_are_checked(monkeypatch: pytest.MonkeyPatch, names: list[str], message: str) -> None:
    monkeypatch.setattr(counting, "check_machine", lambda: None)
    with pytest.raises(InvalidInputError, match=message):
        counting.check_boards(names)


def test_boards_are_refused_where_they_cannot_be_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm_system.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(arm_system.platform, "machine", lambda: "arm64")
    with pytest.raises(InvalidInputError, match="on Linux on x86-64 only; this is Darwin on arm64"):
        counting.check_boards(list(BOARDS))
