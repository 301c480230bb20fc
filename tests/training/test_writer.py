import threading

import pytest

from mrvae_zoo.training.writer import Writer


def test_it_writes_in_order_and_one_thing_at_a_time():
    written, release = [], threading.Event()

    def first():
        release.wait(10)
        written.append(1)

    with Writer() as writer:
        writer(first)
        assert written == []  # the caller goes on
        release.set()
        writer(lambda: written.append(2))
        writer(lambda: written.append(3))
    assert written == [1, 2, 3]


@pytest.mark.parametrize("then", ["next", "wait", "end"])
def test_what_goes_wrong_is_raised_where_the_caller_meets_it(then):
    def fail():
        raise OSError("no space left")

    def use():
        with Writer() as writer:
            writer(fail)
            if then == "next":
                writer(lambda: None)
            elif then == "wait":
                writer.wait()

    with pytest.raises(OSError, match="no space left"):
        use()


def test_an_error_of_the_caller_is_not_replaced_and_what_runs_is_finished():
    done = []

    def fail():
        done.append(1)
        raise OSError("no space left")

    def use():
        with Writer() as writer:
            writer(fail)
            raise FloatingPointError("the loss is not finite")

    with pytest.raises(FloatingPointError):
        use()
    assert done == [1]
