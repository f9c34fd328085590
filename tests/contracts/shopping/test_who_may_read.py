"""Which orders a shop sees: its own, all with the permission to, and one for whoever has its token."""

from countermand.domain.client import Permission
from support.shared_world import shared_world
from support.world import World

world = shared_world

USUAL = frozenset({Permission.READ})


async def test_without_the_permission_to_see_all_anothers_order_is_as_unknown_as_none(world: World):
    mine, other = await world.shopping_client(permissions=USUAL), await world.shopping_client(permissions=USUAL)
    uri = world.uri(await world.ticket_order(other))
    seen = await world.http.get(uri, headers=world.shopping_headers(mine))
    unknown = await world.http.get(uri[:-1] + ("0" if uri[-1] != "0" else "1"), headers=world.shopping_headers(mine))
    assert (seen.status_code, seen.content) == (404, unknown.content)
    assert (await world.http.get(uri, headers=world.shopping_headers(other))).status_code == 200


async def test_with_the_permission_every_shops_order_is_seen_and_none_of_another_contract(world: World):
    me = await world.shopping_client(permissions=USUAL | {Permission.READ_ALL, Permission.CANCEL})
    other, partner = await world.shopping_client(), await world.connect_client()
    uri = world.uri(await world.ticket_order(other))
    headers = world.shopping_headers(me)
    assert (await world.http.get(uri, headers=headers)).status_code == 200
    assert (await world.http.get(f"{uri}/cancellability", headers=headers)).status_code == 200
    # Seeing is not owning: it was not made with these credentials.
    refused = await world.http.post("/ordercancellation/", json={"order": uri, "reason": "x"}, headers=headers)
    assert (refused.status_code, refused.json()["type"]) == (404, "NOT_FOUND")
    assert await world.service_order(partner) == 1


async def test_an_orders_token_reads_that_order_without_any_credentials_and_does_nothing_else(world: World):
    me = await world.shopping_client()
    view, other = await world.ticket_order(me), await world.ticket_order(me)
    token = view.ticket_details.order_token
    seen = await world.http.get(world.uri(view), headers={"Order-Token": token})
    assert (seen.status_code, seen.headers["cache-control"]) == (200, "no-store")
    assert (
        await world.http.get(f"{world.uri(view)}/cancellability", headers={"Order-Token": token})
    ).status_code == 200
    assert (await world.http.get(world.uri(other), headers={"Order-Token": token})).status_code == 401
    body = {"order": world.uri(view), "reason": "x"}
    assert (await world.http.post("/ordercancellation/", json=body, headers={"Order-Token": token})).status_code == 401
    (row,) = await world.rows("orders", view.order.id)
    assert row["state"] == "pending"


async def test_no_other_token_reads_it(world: World):
    me = await world.shopping_client()
    view = await world.ticket_order(me)
    token = view.ticket_details.order_token
    for wrong in (token[:-1], token + "x", token[:32], "", "\xe9"):
        headers = {"Order-Token": wrong.encode("latin-1")}
        here = await world.http.get(world.uri(view), headers=headers)
        nowhere = await world.http.get(f"/orders/{'0' * 32}", headers=headers)
        assert (here.status_code, here.content) == (401, nowhere.content)


async def test_the_orders_token_is_told_to_the_operator_and_not_to_the_shop(world: World):
    me, operator = await world.shopping_client(), await world.manage_client()
    view = await world.ticket_order(me)
    token = view.ticket_details.order_token
    told = await world.http.get(f"/manage/v1/orders/{view.order.uid}", headers=world.manage_headers(operator))
    assert told.json()["order_token"] == token
    assert token not in (await world.http.get(world.uri(view), headers=world.shopping_headers(me))).text
