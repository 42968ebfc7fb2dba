import signal
import threading

import pytest

from liteport.train.interruption import heeding_ctrl_c


@pytest.fixture(autouse=True)
def usual_handler() -> object:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell without job control has it ignored
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_comes_at_the_next_report() -> None:
    shown: list[int] = []

    def work() -> None:
        with heeding_ctrl_c(lambda what, done, total, note: shown.append(done)) as report:
            report("work", 1, 3, "")
            signal.raise_signal(signal.SIGINT)
            shown.append(-1)  # in the middle of a batch, nothing is raised
            report("work", 2, 3, "")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert shown == [1, -1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_interrupt_comes_at_once() -> None:
    reached: list[str] = []

    def work() -> None:
        with heeding_ctrl_c(lambda *_: None):
            signal.raise_signal(signal.SIGINT)
            reached.append("after the first")
            signal.raise_signal(signal.SIGINT)
            reached.append("after the second")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached == ["after the first"]


def test_an_interrupt_after_the_last_report_is_not_lost() -> None:
    with pytest.raises(KeyboardInterrupt), heeding_ctrl_c(lambda *_: None):
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_programs_keep_their_handlers_and_threads_work() -> None:
    def progress(what: str, done: int, total: int, note: str) -> None: ...

    given: list[object] = []

    def enter() -> None:
        with heeding_ctrl_c(progress) as report:
            given.append(report)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    enter()
    assert given == [progress, progress]
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
