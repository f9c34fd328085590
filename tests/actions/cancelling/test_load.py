"""The load is how many cancellations were under way at a time, lately and on average."""

from contextlib import suppress

import pytest

from countermand.actions.cancelling.load import CancellingLoad


class Time:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def time() -> Time:
    return Time()


def test_nothing_under_way_is_no_load(time: Time):
    load = CancellingLoad(time)
    time.now_s += 60

    assert load.average() == 0


def test_a_batch_under_way_counts_with_its_commands_and_fades_after_its_end(time: Time):
    load = CancellingLoad(time)
    with load.under_way(9):
        time.now_s += 60
        assert load.average() == pytest.approx(9)
    assert load.average() == pytest.approx(9)

    time.now_s += 60

    assert load.average() == pytest.approx(0)


def test_batches_half_of_the_time_count_half(time: Time):
    load = CancellingLoad(time)
    for _ in range(1000):
        with load.under_way(8):
            time.now_s += 0.005
        time.now_s += 0.005

    assert load.average() == pytest.approx(4, abs=0.1)


def test_batches_at_the_same_time_add_up_and_a_batch_that_fails_ends(time: Time):
    load = CancellingLoad(time)
    with suppress(RuntimeError), load.under_way(3), load.under_way(4):
        time.now_s += 60
        raise RuntimeError
    assert load.average() == pytest.approx(7)

    time.now_s += 60

    assert load.average() == pytest.approx(0)
