from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countermand.domain.cancelling.policy import policy_of
from countermand.domain.cancelling.rules import (
    RULES,
    PastActive,
    Refunded,
    Rule,
    examine,
    no_appointment_within,
    not_already_cancelled,
    nothing_paid,
    state_allows,
)
from countermand.domain.orders.order import OrderFacts
from countermand.domain.orders.order_state import CANCELLABLE_STATES, OrderState
from support.decisions import CONNECT, ENTRIES, LONGEST_NOTICE_H, MICROSECOND, facts, instants_near, limits, policies

STARTS_AT = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SYDNEY = ZoneInfo("Australia/Sydney")


@pytest.mark.parametrize("past_active", PastActive)
@pytest.mark.parametrize("notice_h", [1, 25, 26, 27, LONGEST_NOTICE_H])
@pytest.mark.parametrize(
    ("more_than_the_notice", "passed"),
    [
        (-SECOND, False),
        (-MICROSECOND, False),
        (timedelta(0), False),  # exactly 26 h 00 m 00 s is within
        (MICROSECOND, True),
        (SECOND, True),
    ],
)
def test_exactly_the_notice_is_within_and_the_least_bit_more_is_not(
    past_active, notice_h, more_than_the_notice, passed
):
    rule = no_appointment_within(notice_h=notice_h, past_active=past_active)
    now = STARTS_AT - timedelta(hours=notice_h) - more_than_the_notice

    finding = examine(rule, visit_at(STARTS_AT), now)

    assert finding.passed is passed
    assert finding.code == "appointment_within_notice"
    assert finding.value == "2026-11-23T01:00:00Z"


@pytest.mark.parametrize(
    ("starts_at", "limit"),
    [
        # The clocks go forward at 02:00 on 4 October: by the wall clock, 27 hours before.
        pytest.param(
            datetime(2026, 10, 4, 8, 0, tzinfo=SYDNEY),
            datetime(2026, 10, 2, 19, 0, tzinfo=UTC),
            id="into summer time",
        ),
        # They go back at 03:00 on 4 April: by the wall clock, 25 hours before.
        pytest.param(
            datetime(2027, 4, 4, 8, 0, tzinfo=SYDNEY), datetime(2027, 4, 2, 20, 0, tzinfo=UTC), id="out of summer time"
        ),
    ],
)
@pytest.mark.parametrize("kept_as", [UTC, SYDNEY], ids=["kept in UTC", "kept in local time"])
@pytest.mark.parametrize("asked_in", [UTC, SYDNEY], ids=["asked in UTC", "asked in local time"])
def test_across_a_clock_change_26_hours_are_26_hours(starts_at, limit, kept_as, asked_in):
    rule = no_appointment_within(notice_h=26)
    given = visit_at(starts_at.astimezone(kept_as))

    before = examine(rule, given, (limit - MICROSECOND).astimezone(asked_in))
    at = examine(rule, given, limit.astimezone(asked_in))

    assert before.passed
    assert before.turns_at == limit
    assert not at.passed
    assert f"cancellable until {limit.isoformat().replace('+00:00', 'Z')}" in at.sentence


@pytest.mark.parametrize(
    ("past_active", "since_start", "passed"),
    [
        (PastActive.BLOCKS, -MICROSECOND, False),
        (PastActive.BLOCKS, timedelta(0), False),
        (PastActive.BLOCKS, timedelta(days=400), False),
        (PastActive.IGNORED, -MICROSECOND, False),
        (PastActive.IGNORED, timedelta(0), True),
        (PastActive.IGNORED, MICROSECOND, True),
        (PastActive.IGNORED, timedelta(days=400), True),
    ],
)
def test_a_visit_that_began_and_was_not_closed_blocks_unless_it_is_to_be_ignored(past_active, since_start, passed):
    rule = no_appointment_within(notice_h=26, past_active=past_active)

    assert examine(rule, visit_at(STARTS_AT), STARTS_AT + since_start).passed is passed


def test_a_visit_that_began_blocks_when_nothing_is_said_about_it():
    assert not examine(no_appointment_within(notice_h=26), visit_at(STARTS_AT), STARTS_AT + SECOND).passed


def test_without_an_appointment_no_notice_is_too_short():
    finding = examine(no_appointment_within(notice_h=LONGEST_NOTICE_H), visit_at(None), STARTS_AT)

    assert (finding.passed, finding.value, finding.turns_at) == (True, None, None)


@pytest.mark.parametrize(
    ("past_active", "before_start", "turns_in"),
    [
        (PastActive.BLOCKS, timedelta(hours=30), timedelta(hours=4)),
        (PastActive.BLOCKS, timedelta(hours=26), None),
        (PastActive.BLOCKS, -SECOND, None),
        (PastActive.IGNORED, timedelta(hours=30), timedelta(hours=4)),
        (PastActive.IGNORED, timedelta(hours=26), timedelta(hours=26)),
        (PastActive.IGNORED, timedelta(0), None),
    ],
)
def test_a_finding_says_when_it_turns(past_active, before_start, turns_in):
    rule = no_appointment_within(notice_h=26, past_active=past_active)
    now = STARTS_AT - before_start

    assert examine(rule, visit_at(STARTS_AT), now).turns_at == (None if turns_in is None else now + turns_in)


@pytest.mark.parametrize("past_active", PastActive)
@pytest.mark.parametrize("notice_h", [0, 1, 26, LONGEST_NOTICE_H])
def test_a_finding_turns_at_just_the_instant_it_names(notice_h, past_active):
    entry = {"name": "no_appointment_within", "notice_h": notice_h, "past_active": past_active}
    policy = policy_of(CONNECT, [{"name": "state_allows"}, entry])
    (_, rule), given = policy.rules, visit_at(STARTS_AT)
    tried = limits(policy, given)

    for now in tried:
        assert_holds_until_it_turns(rule, given, now, [later - now for later in tried if later >= now])


@settings(deadline=None, max_examples=200)
@given(st.data(), policies(), facts)
def test_a_finding_holds_until_the_very_instant_it_names(data, policy, facts):
    now = data.draw(instants_near(policy, facts))
    later = data.draw(st.lists(st.timedeltas(timedelta(0), timedelta(days=1000)), max_size=3))
    for rule in policy.rules:
        assert_holds_until_it_turns(rule, facts, now, later)


@pytest.mark.parametrize("state", OrderState)
def test_the_rules_about_states_follow_the_table(state):
    facts = OrderFacts(state=state)

    assert examine(state_allows(), facts, STARTS_AT).passed is (state in CANCELLABLE_STATES)
    assert examine(not_already_cancelled(), facts, STARTS_AT).passed is (state is not OrderState.CANCELLED)
    assert not examine(state_allows(only=[]), facts, STARTS_AT).passed


@pytest.mark.parametrize("only", sorted(CANCELLABLE_STATES))
def test_a_narrowed_rule_allows_the_states_named_and_no_others(only):
    rule = state_allows(only=[only])

    assert {state for state in OrderState if examine(rule, OrderFacts(state=state), STARTS_AT).passed} == {only}


@pytest.mark.parametrize("forbidden", sorted(set(OrderState) - CANCELLABLE_STATES))
def test_a_rule_cannot_allow_what_the_table_forbids(forbidden):
    with pytest.raises(ValueError, match=f"an order that is {forbidden} can never be cancelled"):
        state_allows(only=["submitted", forbidden])


def test_any_recorded_payment_blocks_even_one_of_the_future():
    facts = OrderFacts(state=OrderState.COMPLETED, first_payment_at=STARTS_AT)

    for now in (STARTS_AT - SECOND, STARTS_AT, STARTS_AT + SECOND):
        assert not examine(nothing_paid(), facts, now).passed
    assert examine(nothing_paid(), OrderFacts(state=OrderState.COMPLETED), STARTS_AT).passed


@pytest.mark.parametrize(
    ("refunded", "refunded_in_full", "passed"),
    [("blocks", False, False), ("blocks", True, False), ("ignored", False, False), ("ignored", True, True)],
)
def test_a_payment_that_was_refunded_in_full_blocks_unless_it_is_to_be_ignored(refunded, refunded_in_full, passed):
    rule = nothing_paid(refunded=refunded)
    paid = OrderFacts(state=OrderState.COMPLETED, first_payment_at=STARTS_AT, refunded_in_full=refunded_in_full)

    finding = examine(rule, paid, STARTS_AT)

    assert (finding.code, finding.passed, finding.turns_at) == ("payment_recorded", passed, None)
    assert finding.value == (None if passed else "2026-11-23T01:00:00Z")
    assert examine(rule, OrderFacts(state=OrderState.COMPLETED), STARTS_AT).passed


def test_a_rule_that_is_kept_says_which_payments_it_looked_for():
    kept = [
        examine(nothing_paid(refunded=refunded), OrderFacts(state=OrderState.PENDING), STARTS_AT).sentence
        for refunded in Refunded
    ]
    assert kept == ["no payment is recorded", "no payment is recorded that was not refunded in full"]


@pytest.mark.parametrize(
    ("finding", "sentence"),
    [
        (
            examine(
                no_appointment_within(notice_h=26), OrderFacts(state="held", appointment_starts_at=STARTS_AT), STARTS_AT
            ),
            "the appointment on 2026-11-23T01:00:00Z starts within 26 hours; cancellable until 2026-11-21T23:00:00Z",
        ),
        (
            examine(
                no_appointment_within(notice_h=26, past_active="ignored"),
                OrderFacts(state="held", appointment_starts_at=STARTS_AT),
                STARTS_AT - SECOND,
            ),
            (
                "the appointment on 2026-11-23T01:00:00Z starts within 26 hours; "
                "cancellable until 2026-11-21T23:00:00Z, and again from 2026-11-23T01:00:00Z"
            ),
        ),
        (
            examine(state_allows(), OrderFacts(state=OrderState.ACTIVATED), STARTS_AT),
            "the order is activated, which cannot be cancelled",
        ),
        (
            examine(not_already_cancelled(), OrderFacts(state=OrderState.CANCELLED), STARTS_AT),
            "the order is already cancelled",
        ),
        (
            examine(nothing_paid(), OrderFacts(state=OrderState.COMPLETED, first_payment_at=STARTS_AT), STARTS_AT),
            "a payment was recorded on 2026-11-23T01:00:00Z; refunds are not supported here",
        ),
        (
            examine(
                nothing_paid(refunded="ignored"),
                OrderFacts(state=OrderState.COMPLETED, first_payment_at=STARTS_AT),
                STARTS_AT,
            ),
            (
                "a payment was recorded on 2026-11-23T01:00:00Z and was not refunded in full; once it is, the order "
                "can be cancelled"
            ),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else value.rule,
)
def test_a_refusing_finding_says_the_fact_and_the_limit(finding, sentence):
    assert not finding.passed
    assert finding.sentence == sentence


def test_every_rule_that_a_settings_file_can_name_is_among_those_tried_here():
    assert ENTRIES.keys() == RULES.keys()


def assert_holds_until_it_turns(rule: Rule, facts: OrderFacts, now: datetime, later: list[timedelta]) -> None:
    """`later` are further instants to try, counted from `now`; those beyond the turn prove nothing and are left out."""
    finding = examine(rule, facts, now)
    if finding.turns_at is not None:
        assert finding.turns_at > now
        assert examine(rule, facts, finding.turns_at - MICROSECOND) == finding
        assert examine(rule, facts, finding.turns_at).passed is not finding.passed
    for by in later:
        if finding.turns_at is None or now + by < finding.turns_at:
            assert examine(rule, facts, now + by) == finding


def visit_at(starts_at: datetime | None) -> OrderFacts:
    return OrderFacts(state=OrderState.ACCEPTED, appointment_starts_at=starts_at)
