"""A stored word is a member where there is one, and otherwise stays a word that equals none."""

import pytest

from countermand.domain.client import Permission
from countermand.domain.known import Unknown, known
from countermand.domain.orders.order_kind import OrderKind
from countermand.domain.orders.order_state import (
    CANCELLABLE_STATES,
    TRANSITIONS,
    OrderState,
    Transition,
    state_after,
    transitions_from,
)


@pytest.mark.parametrize("kind", [OrderState, OrderKind, Permission])
def test_every_member_is_found_by_what_is_stored(kind):
    for member in kind:
        assert known(kind, member.value) is member


@pytest.mark.parametrize("stored", ["teleported", "", "SUBMITTED", "submitted "])
def test_any_other_word_is_kept_as_it_is_and_is_no_member(stored):
    found = known(OrderState, stored)
    assert isinstance(found, Unknown)
    assert (found, found.value, type(found.value)) == (stored, stored, str)
    assert found not in OrderState.__members__.values()
    assert found not in CANCELLABLE_STATES


def test_nothing_leads_out_of_a_state_that_nobody_knows():
    assert transitions_from(Unknown("teleported")) == {}
    assert {state_after(Unknown("teleported"), move) for move in Transition} == {None}
    assert all(transitions_from(state) == TRANSITIONS[state] for state in OrderState)
