from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countermand.domain.cancelling.decision import Granted, Refused, decide
from countermand.domain.cancelling.policy import policy_of
from countermand.domain.cancelling.rules import examine
from countermand.domain.known import Unknown
from countermand.domain.orders.order import OrderFacts
from countermand.domain.orders.order_state import CANCELLABLE_STATES, OrderState
from support.decisions import CONNECT, DEFAULT_RULES, MICROSECOND, SHOPPING, facts, instants, instants_near, policies

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DEFAULT = {contract: policy_of(contract, rules) for contract, rules in DEFAULT_RULES.items()}


@pytest.mark.parametrize(
    ("contract", "given", "broken"),
    [
        (CONNECT, {"state": "accepted"}, []),
        (CONNECT, {"state": "accepted", "appointment_starts_at": NOW + 26 * HOUR + MICROSECOND}, []),
        (
            CONNECT,
            {"state": "accepted", "appointment_starts_at": NOW + 26 * HOUR},
            ["appointment_within_notice"],
        ),
        (CONNECT, {"state": "accepted", "appointment_starts_at": NOW - HOUR}, ["appointment_within_notice"]),
        (CONNECT, {"state": "activated"}, ["order_not_cancellable"]),
        (
            CONNECT,
            {"state": "past_no_return", "appointment_starts_at": NOW + HOUR},
            ["order_not_cancellable", "appointment_within_notice"],
        ),
        (CONNECT, {"state": "accepted", "first_payment_at": NOW}, []),  # connect asks nothing about money
        (SHOPPING, {"state": "pending"}, []),
        (SHOPPING, {"state": "completed"}, []),  # an order that cost nothing
        (SHOPPING, {"state": "completed", "first_payment_at": NOW}, ["payment_recorded"]),
        (SHOPPING, {"state": "expired"}, ["order_not_cancellable"]),
        (SHOPPING, {"state": "cancelled"}, ["order_already_cancelled", "order_not_cancellable"]),
        (
            SHOPPING,
            {"state": "cancelled", "first_payment_at": NOW},
            ["order_already_cancelled", "order_not_cancellable", "payment_recorded"],
        ),
        (SHOPPING, {"state": "pending", "appointment_starts_at": NOW}, []),  # nor shopping about visits
    ],
)
def test_the_published_rules_decide_in_their_order(contract, given, broken):
    decision = decide(OrderFacts(**given | {"state": OrderState(given["state"])}), DEFAULT[contract], NOW)

    assert isinstance(decision, Refused if broken else Granted)
    assert [finding.code for finding in decision.findings if not finding.passed] == broken


@settings(deadline=None)
@given(st.data(), policies(), facts)
def test_every_rule_is_asked_and_a_refusal_lists_all_that_are_broken_in_the_policys_order(data, policy, facts):
    now = data.draw(instants_near(policy, facts))

    decision = decide(facts, policy, now)

    assert decision.findings == tuple(examine(rule, facts, now) for rule in policy.rules)
    assert decision.policy_version == policy.version
    broken = tuple(finding for finding in decision.findings if not finding.passed)
    match decision:
        case Refused():
            assert decision.broken == broken
            assert broken
        case Granted():
            assert broken == ()


@settings(deadline=None, max_examples=200)
@given(st.data(), policies(), facts)
def test_cancellable_until_is_the_first_instant_of_no(data, policy, facts):
    now = data.draw(instants_near(policy, facts))
    decision = decide(facts, policy, now)
    if isinstance(decision, Refused):
        return
    until = decision.cancellable_until
    if until is not None:
        assert until > now
        assert isinstance(decide(facts, policy, until), Refused)
    last = now + timedelta(days=1000) if until is None else until - MICROSECOND
    between = data.draw(st.timedeltas(timedelta(0), last - now))
    assert isinstance(decide(facts, policy, now + between), Granted)
    assert isinstance(decide(facts, policy, last), Granted)


@pytest.mark.parametrize("past_active", ["blocks", "ignored"])
@pytest.mark.parametrize("notice_h", [0, 1, 26, 8784])
def test_it_is_cancellable_to_the_last_microsecond_and_not_at_the_instant_named(notice_h, past_active):
    rules = [
        {"name": "state_allows"},
        {"name": "no_appointment_within", "notice_h": notice_h, "past_active": past_active},
    ]
    policy = policy_of(CONNECT, rules)
    facts = OrderFacts(state=OrderState.HELD, appointment_starts_at=NOW)

    decision = decide(facts, policy, NOW - notice_h * HOUR - MICROSECOND)

    assert isinstance(decision, Granted)
    if notice_h == 0 and past_active == "ignored":  # without any notice, and a start that does not count either
        assert decision.cancellable_until is None
        assert isinstance(decide(facts, policy, NOW), Granted)
        return
    assert decision.cancellable_until == NOW - notice_h * HOUR
    assert isinstance(decide(facts, policy, decision.cancellable_until), Refused)


@settings(deadline=None)
@given(st.data(), policies(), facts)
def test_no_policy_widens_the_table(data, policy, facts):
    now = data.draw(instants_near(policy, facts))

    assert facts.state in CANCELLABLE_STATES or isinstance(decide(facts, policy, now), Refused)


def test_the_earliest_of_several_limits_is_the_first_instant_of_no():
    rules = [
        {"name": "state_allows"},
        {"name": "no_appointment_within", "notice_h": 2},
        {"name": "no_appointment_within", "notice_h": 26},
    ]
    facts = OrderFacts(state=OrderState.HELD, appointment_starts_at=NOW + 30 * HOUR)

    decision = decide(facts, policy_of(CONNECT, rules), NOW)

    assert isinstance(decision, Granted)
    assert decision.cancellable_until == NOW + 4 * HOUR


@given(policy=policies(), now=instants)
def test_an_order_in_a_state_that_nobody_knows_is_never_granted(policy, now):
    decision = decide(OrderFacts(state=Unknown("teleported")), policy, now)
    assert isinstance(decision, Refused)
    assert "order_not_cancellable" in {finding.code for finding in decision.broken}
