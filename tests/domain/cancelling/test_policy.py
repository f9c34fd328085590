import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countermand.domain.cancelling.decision import decide
from countermand.domain.cancelling.policy import Policy, policy_from_content, policy_of
from countermand.domain.cancelling.rules import nothing_paid
from support.decisions import CONNECT, DEFAULT_RULES, SHOPPING, facts, instants_near, policies

ALLOWS = {"name": "state_allows"}
NOTICE = {"name": "no_appointment_within", "notice_h": 26}


@pytest.mark.parametrize("contract", [CONNECT, SHOPPING])
def test_a_policy_without_the_table_of_moves_is_none(contract):
    with pytest.raises(ValueError, match=f"the {contract} policy must have the rule state_allows"):
        Policy(contract=contract, rules=(nothing_paid(),))
    with pytest.raises(ValueError, match="state_allows"):
        policy_of(contract, [])


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([{"name": "no_such_rule"}], ["'no_such_rule'", "state_allows, not_already_cancelled"]),
        ([{"notice_h": 26}], ["the rule None", "no_appointment_within"]),
        ([{"name": ["state_allows"]}], ["['state_allows']", "no_appointment_within"]),
        ([ALLOWS, {"name": "no_appointment_within"}], ["rule no_appointment_within", "notice_h"]),
        ([ALLOWS, {"name": "nothing_paid", "notice_h": 26}], ["rule nothing_paid", "notice_h"]),
        ([ALLOWS, NOTICE | {"notice_h": -1}], ["rule no_appointment_within", "notice_h", "not -1"]),
        ([ALLOWS, NOTICE | {"notice_h": 8785}], ["rule no_appointment_within", "notice_h", "8784", "not 8785"]),
        ([ALLOWS, NOTICE | {"notice_h": "soon"}], ["rule no_appointment_within", "notice_h", "whole", "'soon'"]),
        ([ALLOWS, NOTICE | {"notice_h": 26.5}], ["rule no_appointment_within", "notice_h", "whole", "26.5"]),
        ([ALLOWS, NOTICE | {"notice_h": True}], ["rule no_appointment_within", "notice_h", "whole", "True"]),
        ([ALLOWS, NOTICE | {"past_active": "maybe"}], ["rule no_appointment_within", "past_active", "'maybe'"]),
        (
            [ALLOWS, {"name": "nothing_paid", "refunded": "maybe"}],
            ["rule nothing_paid", "refunded must be blocks or ignored, not 'maybe'"],
        ),
        ([ALLOWS, {"name": "nothing_paid", "refunded": True}], ["rule nothing_paid", "not True"]),
        ([ALLOWS, {"name": "nothing_paid", "refunded": ["ignored"]}], ["rule nothing_paid", "not ['ignored']"]),
        ([ALLOWS | {"only": ["activated"]}], ["rule state_allows", "activated", "never be cancelled"]),
        ([ALLOWS | {"only": ["asleep"]}], ["rule state_allows", "'asleep'"]),
    ],
    ids=lambda value: str(value[-1]),
)
@pytest.mark.parametrize("contract", [CONNECT, SHOPPING])
def test_a_policy_that_cannot_be_made_says_contract_rule_and_value(contract, rules, said):
    with pytest.raises(ValueError, match=f"the {contract} policy") as refused:
        policy_of(contract, rules)

    assert [words for words in said if words not in str(refused.value)] == []


@pytest.mark.parametrize("notice_h", [0, 8784])
def test_the_shortest_and_the_longest_notice_can_be_asked_for(notice_h):
    policy = policy_of(CONNECT, [ALLOWS, NOTICE | {"notice_h": notice_h}])

    assert policy.rules[1].comparison.notice_h == notice_h


@settings(deadline=None)
@given(st.data(), policies(), facts)
def test_a_policy_read_back_from_json_has_the_same_version_and_decides_alike(data, policy, facts):
    stored = json.dumps(policy.content)

    read = policy_from_content(json.loads(stored))

    assert read == policy
    assert read.version == policy.version
    now = data.draw(instants_near(policy, facts))
    assert decide(facts, read, now) == decide(facts, policy, now)


@settings(deadline=None)
@given(policies(), policies())
def test_versions_are_the_same_just_when_the_contents_are(one, other):
    assert (one.version == other.version) == (one.content == other.content)


def test_the_order_in_which_states_are_named_makes_no_other_policy():
    one, other = (
        policy_of(CONNECT, [ALLOWS | {"only": only}]) for only in (["held", "accepted"], ["accepted", "held"])
    )

    assert one.version == other.version


def test_every_single_change_makes_another_version():
    policy = policy_of(CONNECT, [ALLOWS, NOTICE])
    allows, notice = policy.rules
    changed = [
        policy,
        replace(policy, contract=SHOPPING),
        replace(policy, rules=(notice, allows)),
        replace(policy, rules=(allows,)),
        replace(policy, rules=(allows, notice, notice)),
        replace(policy, rules=(allows, replace(notice, code="another"))),
        replace(policy, rules=(allows, replace(notice, name="another"))),
        replace(policy, rules=(allows, replace(notice, when_kept="another sentence"))),
        replace(policy, rules=(allows, replace(notice, when_broken="another sentence"))),
        policy_of(CONNECT, [ALLOWS, NOTICE | {"notice_h": 25}]),
        policy_of(CONNECT, [ALLOWS, NOTICE | {"past_active": "ignored"}]),
        policy_of(CONNECT, [ALLOWS | {"only": ["held"]}, NOTICE]),
        policy_of(CONNECT, [ALLOWS, NOTICE, {"name": "nothing_paid"}]),
        policy_of(CONNECT, [ALLOWS, NOTICE, {"name": "nothing_paid", "refunded": "ignored"}]),
    ]

    assert len({one.version for one in changed}) == len(changed)


def test_a_policy_lets_paid_orders_through_unless_a_rule_is_about_payments():
    paid = {"name": "nothing_paid"}
    assert policy_of(SHOPPING, [ALLOWS]).lets_paid_through
    assert policy_of(CONNECT, [ALLOWS, NOTICE]).lets_paid_through
    assert not policy_of(SHOPPING, [ALLOWS, paid]).lets_paid_through
    assert not policy_from_content(policy_of(SHOPPING, [paid, ALLOWS]).content).lets_paid_through
    assert not policy_of(SHOPPING, [ALLOWS, paid | {"refunded": "blocks"}]).lets_paid_through


def test_a_policy_that_ignores_refunded_payments_lets_those_orders_through():
    ignoring = policy_of(SHOPPING, [ALLOWS, {"name": "nothing_paid", "refunded": "ignored"}])
    assert ignoring.lets_paid_through
    assert policy_from_content(ignoring.content).lets_paid_through


def test_the_default_of_refunded_is_the_policy_of_before_it_and_ignored_is_another():
    paid = {"name": "nothing_paid"}
    without, blocks, ignored = (
        policy_of(SHOPPING, [ALLOWS, paid | more]) for more in ({}, {"refunded": "blocks"}, {"refunded": "ignored"})
    )
    assert without == blocks
    assert without.version == "563fac19415b4131"
    assert ignored.version != without.version


def test_a_version_fits_its_column():
    assert {len(policy_of(contract, rules).version) for contract, rules in DEFAULT_RULES.items()} == {16}


@pytest.mark.parametrize("change", [{"is": "larger"}, {"fact": "weather"}])
def test_a_stored_policy_that_this_version_does_not_know_is_not_guessed_at(change):
    content = policy_of(CONNECT, [ALLOWS]).content
    content["rules"][0]["comparison"] |= change

    with pytest.raises(ValueError, match=next(iter(change.values()))):
        policy_from_content(content)
