"""The terms of an approval, its hour, and the persons whose confirmation does not count."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from countermand.domain.actor import Actor
from countermand.domain.cancelling.approval import (
    APPROVAL_LASTS,
    Approval,
    ApprovalId,
    ApprovalState,
    Difference,
    StaffChange,
    Terms,
    not_independent_of,
)
from countermand.domain.client import ClientId
from countermand.domain.known import Unknown
from countermand.domain.money import Money
from countermand.domain.orders.order import OrderId
from countermand.domain.staff_id import StaffId

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
EUROS, DOLLARS = Money(minor=2500, currency="EUR"), Money(minor=700, currency="USD")
TERMS = Terms(order_version=3, codes=("payment_recorded", "appointment_within_notice"), due=(EUROS, DOLLARS))
APPROVAL = Approval(
    id=ApprovalId("a" * 32),
    order_id=OrderId(1),
    terms=TERMS,
    reason="called off",
    asker=Actor(ClientId(1), staff_id=StaffId("kim")),
    asked_at=NOON,
    last_change=0,
)


@pytest.mark.parametrize(
    ("found", "differences"),
    [
        (TERMS, ()),
        (replace(TERMS, codes=TERMS.codes[::-1], due=(DOLLARS, EUROS)), ()),
        (replace(TERMS, order_version=4), (Difference.VERSION,)),
        (replace(TERMS, codes=("payment_recorded",)), (Difference.CODES,)),
        (replace(TERMS, due=(EUROS,)), (Difference.AMOUNT,)),
        (replace(TERMS, due=(DOLLARS, Money(minor=2501, currency="EUR"))), (Difference.AMOUNT,)),
        (Terms(order_version=4, codes=(), due=()), tuple(Difference)),
    ],
)
def test_terms_differ_in_the_version_the_codes_or_the_amounts_whatever_their_order(found, differences):
    assert TERMS.differences(found) == differences


def test_an_approval_is_open_for_an_hour_and_expires_at_its_end():
    last = NOON + APPROVAL_LASTS - timedelta(microseconds=1)
    assert timedelta(hours=1) == APPROVAL_LASTS
    assert APPROVAL.state_at(last) is ApprovalState.OPEN
    assert APPROVAL.state_at(APPROVAL.expires_at) is ApprovalState.EXPIRED


@pytest.mark.parametrize(
    "state", [ApprovalState.CONFIRMED, ApprovalState.WITHDRAWN, ApprovalState.OUTDATED, Unknown("x")]
)
def test_an_approval_that_is_not_open_never_expires(state):
    assert replace(APPROVAL, state=state).state_at(NOON + 2 * APPROVAL_LASTS) == state


@pytest.mark.parametrize(
    ("changes", "persons"),
    [
        ([], {"kim"}),
        ([("lee", "kim")], {"kim", "lee"}),
        ([("lee", "ann")], {"kim"}),
        ([("lee", None)], {"kim", "lee"}),
        ([("lee", "lee")], {"kim"}),
        ([("lee", "kim"), ("lee", "ann")], {"kim", "lee"}),  # a later change by another person hides nothing
        ([("lee", "kim"), ("joe", "lee"), ("mia", "joe")], {"kim", "lee", "joe", "mia"}),
        ([("mia", "joe"), ("joe", "lee"), ("lee", None)], {"kim", "lee", "joe", "mia"}),
        ([("kim", "ann"), ("ann", "ann")], {"kim"}),
    ],
)
def test_whom_the_asker_or_nobody_known_has_changed_and_whom_such_a_person_has_changed_does_not_count(changes, persons):
    made = [
        StaffChange(
            number=number,
            staff_id=StaffId(person),
            changed_at=NOON,
            changed_by=None if by is None else StaffId(by),
        )
        for number, (person, by) in enumerate(changes)
    ]
    assert not_independent_of(StaffId("kim"), made) == persons
