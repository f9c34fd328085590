from datetime import timedelta

import pytest

from countermand.domain.client import Permission
from countermand.domain.contract import MANAGE, Channel
from support.connect_calls import cancel, send
from support.contracts import SHOPPING
from support.database_contents import contents
from support.shared_world import shared_both_worlds, shared_world
from support.world import EVERYTHING, ISSUER, NOON, Caller, World

world = shared_world
both_worlds = shared_both_worlds

NO_BEARER: list[str | bytes | None] = [
    None,
    "",
    "Bearer",
    "Bearer ",
    "Basic {token}",
    "{token}",
    "Token {token}",
    "Bearer=={token}",
    b"\xff\xfe",
]
NO_TOKEN: dict[str | bytes, str] = {
    "Bearer {token} x": "the bearer token is not valid",
    "Bearer {token}, Bearer {token}": "the bearer token is not valid",
    'Bearer "{token}"': "the bearer token is not valid",
    b"Bearer \xff": "a bearer token is needed: Authorization: Bearer <token>",
}


def refused_with(why: str) -> str:
    """The challenge to whoever sent a token that counts not (RFC 6750, section 3)."""
    return f'Bearer error="invalid_token", error_description="{why}"'


async def test_without_a_bearer_token_it_is_401_that_says_how(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me)
    before = await contents(world)
    for form in NO_BEARER:
        sent = form.format(token=world.token(me)) if isinstance(form, str) else form
        reply = await cancel(world, me, {"orderId": order_id}, headers={"Authorization": sent})
        assert (form, reply.status) == (form, 401)
        assert reply.headers["www-authenticate"] == "Bearer"  # no error, as no token was sent (RFC 6750, section 3.1)
        assert (reply.error["code"], reply.error["field"]) == ("unauthorized", "Authorization")
    assert await contents(world) == before


async def test_what_is_sent_as_a_token_and_is_none_is_401_that_says_why_and_repeats_nothing(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me)
    before = await contents(world)
    for form, why in NO_TOKEN.items():
        sent = form.format(token=world.token(me)) if isinstance(form, str) else form
        reply = await cancel(world, me, {"orderId": order_id}, headers={"Authorization": sent})
        assert (form, reply.status, reply.headers["www-authenticate"]) == (form, 401, refused_with(why))
    assert await contents(world) == before


async def test_the_scheme_may_be_written_in_any_case(both_worlds: World):
    me = await both_worlds.connect_client()
    for scheme in ("Bearer", "bearer", "BEARER"):
        order_id = await both_worlds.service_order(me)
        headers = {"Authorization": f"{scheme}  {both_worlds.token(me)} "}
        assert (await cancel(both_worlds, me, {"orderId": order_id}, headers=headers)).status == 200
        assert len(await both_worlds.rows("cancellations", order_id)) == 1


async def test_a_token_of_another_type_than_bearer_is_401(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me)
    before = await contents(world)
    for typ in ("ID", "Refresh", "bearer", "", "JWT", 1, True, ["Bearer"], None):
        headers = {"Authorization": f"Bearer {world.token(me, typ=typ)}"}
        reply = await cancel(world, me, {"orderId": order_id}, headers=headers)
        assert (typ, reply.status, reply.headers["www-authenticate"]) == (
            typ,
            401,
            refused_with("the bearer token is no access token"),
        )
    assert await contents(world) == before


async def test_a_valid_token_of_nobody_registered_is_401(both_worlds: World):
    world = both_worlds
    me = await world.connect_client("partner")
    order_id = await world.service_order(me)
    before = await contents(world)
    for name in ("nobody", "Partner", "partner ", "partner\0", "%"):
        headers = {"Authorization": f"Bearer {world.token(name)}"}
        reply = await cancel(world, me, {"orderId": order_id}, headers=headers)
        assert (reply.status, reply.headers["www-authenticate"]) == (
            401,
            refused_with("the credentials are not valid"),
        ), name
    assert await contents(world) == before


async def test_a_revoked_client_is_401_at_once_and_its_orders_stay(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    first, second = await world.service_order(me), await world.service_order(me)
    headers = world.connect_headers(me)
    assert (await cancel(world, me, {"orderId": first}, headers=headers)).status == 200
    await world.database.clients.revoke(me.client.id, world.clock())
    before = await contents(world)
    reply = await cancel(world, me, {"orderId": second}, headers=headers)
    assert (reply.status, reply.headers["www-authenticate"]) == (401, refused_with("the credentials are not valid"))
    assert await contents(world) == before


@pytest.mark.parametrize("channel", [SHOPPING.channel, MANAGE])
async def test_a_client_of_another_channel_with_the_same_identity_is_401(both_worlds: World, channel: Channel):
    world = both_worlds
    client = await world.database.clients.add(
        channel=channel,
        name="partner",
        permissions=EVERYTHING,
        key=None,
        secret_sha256=None,
        identity=(ISSUER, "partner"),
        now=NOON,
    )
    caller = Caller(client, subject="partner")
    order_id = await world.service_order(caller)
    before = await contents(world)
    reply = await cancel(world, caller, {"orderId": order_id})
    assert (reply.status, reply.headers["www-authenticate"]) == (401, refused_with("the credentials are not valid"))
    assert await contents(world) == before


async def test_the_operators_own_token_and_a_shops_key_open_no_connect_call(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me)
    shop, operator = await world.shopping_client(), await world.manage_client()
    before = await contents(world)
    for sent in (f"Bearer {operator.key}.{operator.secret}", shop.basic, f"Bearer {shop.key}.{shop.secret}"):
        reply = await cancel(world, me, {"orderId": order_id}, headers={"Authorization": sent})
        assert reply.status == 401
    assert await contents(world) == before


@pytest.mark.parametrize("permission", [Permission.CREATE, Permission.READ, Permission.RECORD])
async def test_only_the_permission_to_cancel_lets_one_cancel(both_worlds: World, permission: Permission):
    world = both_worlds
    without = await world.connect_client("without", permissions=frozenset({permission}))
    with_it = await world.connect_client("with", permissions=frozenset({Permission.CANCEL}))
    theirs, mine = await world.service_order(without), await world.service_order(with_it)
    unknown = await cancel(world, with_it, {"orderId": 999_999})
    before = await contents(world)
    assert await cancel(world, without, {"orderId": theirs}) == unknown
    assert unknown.status == 404
    assert await contents(world) == before
    assert (await cancel(world, with_it, {"orderId": mine})).status == 200


@pytest.mark.parametrize(
    ("method", "path", "permission"),
    [
        ("GET", "/api/connect/orders/1", Permission.READ),
        ("GET", "/api/connect/orders/1/cancellability", Permission.READ),
        ("POST", "/api/connect/orders/create", Permission.CREATE),
    ],
)
async def test_every_call_asks_for_its_own_permission_and_hides_what_lacks_it(
    world: World, method: str, path: str, permission: Permission
):
    caller = await world.connect_client(permissions=EVERYTHING - {permission})
    assert await world.service_order(caller) == 1
    before = await contents(world)
    reply = await send(world, method, path, world.connect_headers(caller).items(), b"{}")
    assert reply.status == 404
    assert reply.error["message"] == "You are not authorised or the id provided does not exist"
    assert await contents(world) == before


async def test_a_strangers_attempts_neither_change_nor_record_nor_hinder_anything(both_worlds: World):
    world = both_worlds
    me, stranger = await world.connect_client("me"), await world.connect_client("stranger")
    order_id = await world.service_order(me, appointment_in=timedelta(hours=25))
    before = await contents(world)
    replies = [await cancel(world, stranger, {"orderId": order_id}) for _ in range(20)]
    assert {reply.status for reply in replies} == {404}
    assert await contents(world) == before
    assert (await cancel(world, me, {"orderId": order_id})).status == 422
