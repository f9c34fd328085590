import random
from datetime import UTC, datetime, timedelta

import pytest

from countermand.domain.delivering.endpoint import PROBED_FROM, Health
from countermand.domain.delivering.schedule import USUAL_SCHEDULE, after_failure, after_success

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def failed(health: Health, order: int, *, is_probe: bool = False, asks_for_s: float | None = None) -> Health:
    return after_failure(health, order, NOW, USUAL_SCHEDULE, 0.5, asks_for_s, is_probe=is_probe)


@pytest.mark.parametrize("refused", [0.1, 0.5])
def test_a_receiver_that_refuses_up_to_half_of_the_events_is_not_taken_for_one_that_is_down(refused: float):
    """With probes at the pace of the schedule alone, its backlog would grow for ever."""
    chance = random.Random(4711)
    health = Health()
    for order in range(50_000):
        health = failed(health, order) if chance.random() < refused else after_success(health, NOW)
        assert not health.is_probed


def test_an_endpoint_is_probed_after_failures_of_many_orders_in_a_row_and_no_longer_after_a_success():
    health = Health()
    for order in range(PROBED_FROM):
        assert not health.is_probed
        assert health.not_before is None
        health = failed(health, order)
    assert health.is_probed
    assert health.not_before == NOW + USUAL_SCHEDULE.pauses[0]
    assert not after_success(health, NOW).is_probed


def test_failures_of_one_order_alone_do_not_make_an_endpoint_probed():
    health = Health()
    for _ in range(3 * PROBED_FROM):
        health = failed(health, 7)
    assert not health.is_probed
    assert health.failures == 3 * PROBED_FROM


@pytest.mark.parametrize(
    ("since", "is_probed"), [(timedelta(seconds=2) - timedelta(microseconds=1), False), (timedelta(seconds=2), True)]
)
def test_an_endpoint_that_took_an_event_lately_is_not_down(since: timedelta, is_probed):
    health = Health(last_success_at=NOW - since)
    for order in range(PROBED_FROM):
        health = failed(health, order)
    assert health.is_probed is is_probed
    later = after_failure(health, 99, NOW + since, USUAL_SCHEDULE, 0.5, None, is_probe=False)
    assert later.is_probed


def test_the_success_of_an_attempt_under_way_does_not_shorten_the_time_that_the_receiver_asked_for():
    health = after_success(failed(Health(), 1, asks_for_s=30), NOW)
    assert health.not_before == NOW + timedelta(seconds=30)
    assert (health.failures, health.failing_orders) == (0, 0)

    assert after_success(health, NOW + timedelta(seconds=29)).not_before == NOW + timedelta(seconds=30)
    assert after_success(health, NOW + timedelta(seconds=30)).not_before is None


def test_a_later_answer_that_asks_for_less_time_does_not_shorten_it():
    health = failed(failed(Health(), 1, asks_for_s=30), 2, asks_for_s=2)
    assert health.not_before == NOW + timedelta(seconds=30)
    assert failed(health, 3, asks_for_s=31).not_before == NOW + timedelta(seconds=31)


def test_an_endpoint_that_asked_for_time_is_not_probed_before_it_has_passed():
    health = failed(Health(), 0, asks_for_s=3600)
    for order in range(1, PROBED_FROM):
        health = failed(health, order)
    assert health.is_probed
    assert health.not_before == NOW + timedelta(hours=1)


def test_the_success_of_a_probe_ends_the_pause():
    health = Health()
    for order in range(PROBED_FROM):
        health = failed(health, order, asks_for_s=3600)
    assert health.not_before == NOW + timedelta(hours=1)
    assert after_success(health, NOW).not_before is None
