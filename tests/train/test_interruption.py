import signal
import threading

import pytest

from liteport.train.interruption import heeding_ctrl_c


@pytest.fixture(autouse=True)
def usual_handler() -> object:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell without job control has it ignored
    yield
    signal.signal(signal.SIGINT, before)


class PressesCtrlCWhenDestroyed:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_dropped_interrupt_is_raised_at_the_next_report() -> None:
    shown: list[int] = []

    def work() -> None:
        with heeding_ctrl_c(lambda what, done, total, note: shown.append(done)) as report:
            report("work", 1, 3, "")
            PressesCtrlCWhenDestroyed()  # Python prints "Exception ignored in …" and goes on
            report("work", 2, 3, "")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert shown == [1]


def test_an_interrupt_comes_at_once_where_it_can_and_the_handler_is_put_back() -> None:
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
