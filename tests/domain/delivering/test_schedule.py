"""The schedule of attempts, and when an endpoint is probed, failing or paused, from both sides of each limit."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermand.domain.delivering.endpoint import PROBED_FROM, Health
from countermand.domain.delivering.schedule import USUAL_SCHEDULE, after_failure, after_success

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
CHANCES = st.floats(0, 1)
PAUSES_S = [5, 30, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]


def failed(health: Health, order: int, at: datetime = NOON, **how: object) -> Health:
    told = {"retry_after_s": None, "is_probe": False} | how
    return after_failure(health, order, at, USUAL_SCHEDULE, 0.5, **told)  # type: ignore[arg-type]


def after_orders(*orders: int) -> Health:
    health = Health()
    for order in orders:
        health = failed(health, order)
    return health


@given(attempts=st.integers(1, 30), chance=CHANCES)
def test_each_pause_is_that_of_the_schedule_within_a_fifth_and_the_last_one_repeats(attempts: int, chance: float):
    usual_s = PAUSES_S[min(attempts, len(PAUSES_S)) - 1]
    assert 0.8 * usual_s < USUAL_SCHEDULE.pause_after(attempts, chance).total_seconds() < 1.2 * usual_s


def test_an_event_has_eleven_attempts():
    assert USUAL_SCHEDULE.attempts == len(PAUSES_S) + 1 == 11


@given(asked_s=st.floats(0, 1e9), chance=CHANCES, attempts=st.integers(1, 12))
def test_a_receiver_may_ask_for_a_longer_pause_of_up_to_an_hour_and_never_for_a_shorter_one(asked_s, chance, attempts):
    usual = USUAL_SCHEDULE.pause_after(attempts, chance)
    asked = USUAL_SCHEDULE.pause_after(attempts, chance, asked_s)
    assert asked == max(usual, min(timedelta(seconds=asked_s), HOUR))


@pytest.mark.parametrize(
    ("attempts", "last_success_at", "is_given_up"),
    [
        (11, NOON + TICK, True),
        (12, NOON + HOUR, True),
        (10, NOON + TICK, False),
        (11, NOON, False),
        (11, None, False),
        (100, NOON - TICK, False),
    ],
)
def test_an_event_is_given_up_after_its_last_attempt_if_others_succeeded_since_its_first(
    attempts: int, last_success_at: datetime | None, is_given_up
):
    assert USUAL_SCHEDULE.is_given_up(attempts, NOON, last_success_at) is is_given_up


def test_an_endpoint_is_failing_after_an_hour_or_twenty_attempts_without_success():
    once = failed(Health(), 1)
    assert not USUAL_SCHEDULE.is_failing(once, NOON + HOUR - TICK)
    assert USUAL_SCHEDULE.is_failing(once, NOON + HOUR)
    assert not USUAL_SCHEDULE.is_failing(after_orders(*[1] * 19), NOON)
    assert USUAL_SCHEDULE.is_failing(after_orders(*[1] * 20), NOON)
    assert not USUAL_SCHEDULE.is_failing(after_success(after_orders(*[1] * 20), NOON), NOON + HOUR)


def test_an_endpoint_is_paused_after_five_days_without_success():
    once, days = failed(Health(), 1), timedelta(days=5)
    assert not USUAL_SCHEDULE.is_paused(once, NOON + days - TICK)
    assert USUAL_SCHEDULE.is_paused(once, NOON + days)
    assert not USUAL_SCHEDULE.is_paused(after_success(once, NOON), NOON + days)


@given(st.lists(st.integers(1, 2), max_size=PROBED_FROM - 1))
def test_few_failures_in_a_row_do_not_make_an_endpoint_probed(orders: list[int]):
    assert not after_orders(*orders).is_probed


@given(st.integers(1, 50))
def test_one_order_that_is_refused_again_and_again_never_makes_its_endpoint_probed(times: int):
    health = after_orders(*[7] * times)
    assert not health.is_probed
    assert health.not_before is None


def test_failures_of_several_orders_in_a_row_do_and_a_success_ends_it():
    health = after_orders(*range(PROBED_FROM))
    assert health.is_probed
    assert health.not_before is not None
    assert timedelta(seconds=4) < health.not_before - NOON < timedelta(seconds=6)
    assert after_success(health, NOON) == Health(last_success_at=NOON)


def test_only_probes_slow_the_probes_down_not_attempts_that_had_begun_before():
    health = after_orders(*range(PROBED_FROM))
    wave = health
    for order in range(100, 160):
        wave = failed(wave, order)
    assert wave.not_before == health.not_before
    probed = failed(wave, 1, is_probe=True)
    assert probed.not_before is not None
    assert timedelta(seconds=24) < probed.not_before - NOON < timedelta(seconds=36)


def test_an_endpoint_that_asks_for_time_gets_no_attempt_meanwhile():
    health = failed(Health(), 1, retry_after_s=90.0)
    assert health.not_before == NOON + timedelta(seconds=90)
    assert failed(Health(), 1, retry_after_s=1e6).not_before == NOON + HOUR


def test_an_earlier_success_does_not_make_the_last_one_earlier():
    health = after_success(Health(last_success_at=NOON), NOON - HOUR)
    assert health.last_success_at == NOON
