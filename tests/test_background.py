import threading

import pytest

from repro.background import Background


class Broken(Exception):
    pass


def fail() -> None:
    raise Broken("disk full")


def test_work_is_done_in_order_on_another_thread() -> None:
    done: list[tuple[int, bool]] = []
    here = threading.get_ident()
    with Background() as background:
        for i in range(20):
            background.submit(lambda i=i: done.append((i, threading.get_ident() != here)))
    assert done == [(i, True) for i in range(20)]


def test_it_lags_by_one_thing_at_most() -> None:
    go_on, done = threading.Event(), []
    with Background() as background:
        background.submit(lambda: (go_on.wait(10), done.append("first")))
        assert not done  # submit did not wait for what it was given
        threading.Timer(0.05, go_on.set).start()
        background.submit(lambda: done.append("second"))
        assert done[0] == "first"  # but for what was given before
    assert done == ["first", "second"]


def test_an_error_is_raised_by_the_next_call_and_once() -> None:
    done: list[int] = []
    with Background() as background:
        background.submit(fail)
        with pytest.raises(Broken, match="disk full"):
            background.submit(lambda: done.append(1))
        background.flush()
        background.submit(lambda: done.append(2))
    assert done == [2]


def test_an_error_of_the_last_work_is_raised_at_the_end() -> None:
    with pytest.raises(Broken), Background() as background:
        background.submit(fail)


def test_an_error_inside_the_block_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), Background() as background:
        background.submit(fail) or 1 / 0
