"""What the contracts of the service declare, and which declarations are refused."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from countermand.actions.delivering.dialects import ShownOrder
from countermand.actions.ordering.read_orders import read_order
from countermand.bootstrap.api_modules import api_modules, connect_of, shopping_of
from countermand.contracts.http.contract import Contract, Deployment
from countermand.contracts.registry import CONTRACTS, accesses_of, kinds_of
from countermand.domain.cancelling.policy import policy_of
from countermand.domain.client import DESK_PERMISSIONS, Permission
from countermand.domain.contract import ContractName
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_kind import OrderKind
from countermand.settings import Settings
from support.contracts import CONNECT, SHOPPING
from support.decisions import DEFAULT_RULES
from support.shared_world import shared_world
from support.world import PUBLIC_URL, World

world = shared_world


def test_the_published_policies_are_the_default():
    assert {contract.name: contract.default_rules for contract in CONTRACTS} == DEFAULT_RULES
    names = {one.name: [rule.name for rule in policy_of(one.name, one.default_rules).rules] for one in CONTRACTS}
    assert names == {
        "connect": ["state_allows", "no_appointment_within"],
        "shopping": ["not_already_cancelled", "state_allows", "nothing_paid"],
    }


def test_each_contract_has_orders_of_one_kind():
    assert kinds_of(CONTRACTS) == {"connect": OrderKind.SERVICE, "shopping": OrderKind.TICKET}


def test_nobody_administers_by_default_and_no_application_cancels_tickets():
    usual = {access.channel: access.default_permissions for access in accesses_of(CONTRACTS)}
    assert list(usual) == ["connect", "shopping", "manage"]
    assert [Permission.ADMINISTER in permissions for permissions in usual.values()] == [False] * 3
    assert [Permission.CANCEL in permissions for permissions in usual.values()] == [True, False, True]


def test_a_client_can_have_each_permission_that_a_call_of_its_channel_asks_for_and_no_other():
    settings = Settings()
    terms = (connect_of(settings), shopping_of(settings, "http://shop.test"))
    asked: dict[str, set[Permission]] = {}
    for module in api_modules(CONTRACTS, Deployment(public_url="http://shop.test", terms=terms), None, None):
        operations = [call.operation for call in module.calls] + ([module.cancel[1]] if module.cancel else [])
        asked[module.name] = {permission for one in operations for permission in one.permissions}
    for contract in CONTRACTS:
        asked[contract.name] |= asked["partner"]  # a client of the contract calls the partners' API
    asked["shopping"].add(Permission.READ_ALL)  # what a read call shows depends on it
    asked["manage"] |= DESK_PERMISSIONS  # act_as is for a header, and roles have some that no call asks for yet
    for access in accesses_of(CONTRACTS):
        assert access.default_permissions | access.more_permissions == asked[access.channel], access.channel
        strange = frozenset(Permission) - asked[access.channel]
        assert all(one in str(access.unknown([one])) for one in strange)
        assert access.unknown(asked[access.channel]) is None


@pytest.mark.parametrize("name", ["manage", "partner", "", "Museum", "a museum", "museum' OR '1", "a" * 17, "7th"])
def test_a_name_that_a_statement_or_a_column_cannot_have_is_refused(name: str):
    with pytest.raises(ValueError, match="a contract's name"):
        replace(CONNECT, name=ContractName(name))


def test_two_contracts_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two contracts have one name: connect, shopping, connect"):
        kinds_of([*CONTRACTS, CONNECT])


def test_a_contract_whose_terms_nobody_made_says_so():
    with pytest.raises(LookupError, match="the deployment has no Shopping"):
        SHOPPING.api(Deployment(public_url="http://shop.test"))


@pytest.mark.parametrize(
    ("contracts", "names"),
    [(CONTRACTS, ["connect", "manage", "partner", "shopping"]), ([SHOPPING], ["manage", "partner", "shopping"])],
)
def test_a_service_has_the_calls_of_its_contracts_and_the_operators(contracts: list[Contract], names: list[str]):
    settings = Settings()
    terms = (connect_of(settings), shopping_of(settings, "http://shop.test"))
    modules = api_modules(contracts, Deployment(public_url="http://shop.test", terms=terms), None, None)
    assert [module.name for module in modules] == names


async def test_an_order_of_connect_in_an_event_is_what_its_owner_reads(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=40))
    shown = await shown_order(world, CONNECT, order_id)
    read = await world.http.get(f"/api/connect/orders/{order_id}", headers=world.connect_headers(me))
    assert msgspec.json.encode(shown.whole) == read.content
    assert shown.link == {"id": order_id, "href": f"{PUBLIC_URL}/api/connect/orders/{order_id}"}
    assert [row["version"] for row in await world.rows("orders", order_id)] == [shown.version]


async def test_an_order_of_shopping_in_an_event_is_what_its_owner_reads(world: World):
    me = await world.shopping_client()
    order = await world.ticket_order(me)
    shown = await shown_order(world, SHOPPING, order.order.id)
    read = await world.http.get(f"/orders/{order.order.uid}", headers={"Authorization": me.basic})
    assert read.status_code == 200, read.text
    assert msgspec.json.encode(shown.whole) == read.content
    assert shown.link == {"_links": {"self": read.json()["_links"]["self"]}}
    assert [row["version"] for row in await world.rows("orders", order.order.id)] == [shown.version]
    secret = order.ticket_details.order_token
    assert secret
    assert secret.encode() not in msgspec.json.encode(shown.whole)


async def shown_order(world: World, contract: Contract, order_id: OrderId) -> ShownOrder:
    view = await read_order(world.database.store, order_id, contract=contract.name, owner=None)
    terms = (connect_of(world.settings), shopping_of(world.settings, PUBLIC_URL))
    return contract.order_in_event(view, Deployment(public_url=PUBLIC_URL, terms=terms))
