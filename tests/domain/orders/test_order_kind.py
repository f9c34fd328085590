import pytest

from countermand.domain.contract import ContractName
from countermand.domain.known import Unknown
from countermand.domain.orders.order_kind import OrderKind, holding_tickets, kind_of
from countermand.domain.orders.order_state import CANCELLABLE_STATES, OrderState
from support.states import paths_from

KINDS = {
    ContractName("wholesale"): OrderKind.SERVICE,
    ContractName("museum"): OrderKind.TICKET,
    ContractName("fairground"): OrderKind.TICKET,
}


@pytest.mark.parametrize("kind", OrderKind)
def test_an_order_begins_in_a_state_that_may_still_be_cancelled(kind):
    assert kind.opening_state in CANCELLABLE_STATES


def test_each_kind_has_its_own_opening_state():
    assert {kind: kind.opening_state for kind in OrderKind} == {
        OrderKind.SERVICE: OrderState.SUBMITTED,
        OrderKind.TICKET: OrderState.PENDING,
    }


@pytest.mark.parametrize("kind", OrderKind)
def test_the_states_of_a_kind_are_those_that_its_orders_reach_each_once(kind):
    assert sorted(kind.states) == sorted(paths_from(kind.opening_state))


def test_telecom_and_ticket_orders_meet_in_cancelled_alone():
    assert set(OrderKind.SERVICE.states) & set(OrderKind.TICKET.states) == {OrderState.CANCELLED}
    assert {state for kind in OrderKind for state in kind.states} == set(OrderState), "no state is out of reach"


def test_every_contract_whose_orders_are_ticket_orders_holds_tickets_and_no_other():
    assert holding_tickets(KINDS) == {"museum", "fairground"}
    assert holding_tickets({ContractName("wholesale"): OrderKind.SERVICE}) == frozenset()


def test_the_kind_of_a_contract_is_the_declared_one_and_of_any_other_name_unknown():
    assert {name: kind_of(name, KINDS) for name in KINDS} == KINDS
    unknown = kind_of(ContractName("teleport"), KINDS)
    assert isinstance(unknown, Unknown)
    assert unknown == "teleport"
