"""The load is the share of the recent time in which batches of cancellations were under way."""

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

    assert load.share() == 0


def test_batches_all_the_time_are_a_full_load_and_fade_after_their_end(time: Time):
    load = CancellingLoad(time)
    with load.under_way():
        time.now_s += 60
        assert load.share() == pytest.approx(1)
    assert load.share() == pytest.approx(1)

    time.now_s += 60

    assert load.share() == pytest.approx(0)


def test_batches_half_of_the_time_are_half_a_load(time: Time):
    load = CancellingLoad(time)
    for _ in range(1000):
        with load.under_way():
            time.now_s += 0.005
        time.now_s += 0.005

    assert load.share() == pytest.approx(0.5, abs=0.01)


def test_batches_at_the_same_time_count_once_and_a_batch_that_fails_ends(time: Time):
    load = CancellingLoad(time)
    with suppress(RuntimeError), load.under_way(), load.under_way():
        time.now_s += 60
        raise RuntimeError
    assert load.share() == pytest.approx(1)

    time.now_s += 60

    assert load.share() == pytest.approx(0)
