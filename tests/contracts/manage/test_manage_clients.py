"""Who may call, over the operator's own API."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from countermand.actions.identity.secrets import hash_of
from countermand.contracts.registry import CONTRACTS, accesses_of
from countermand.domain.client import Permission
from support.contracts import SHOPPING
from support.shared_world import shared_world
from support.world import ISSUER, NOON, Caller, World

world = shared_world

CLIENTS = "/manage/v1/clients"
USUAL = {access.channel: access.default_permissions for access in accesses_of(CONTRACTS)}


async def test_a_shop_is_let_in_given_a_new_secret_and_let_in_no_more(world: World):
    admin = await world.manage_client()
    made = await post(world, admin, CLIENTS, {"contract": "shopping", "name": "Shop", "permissions": ["read"]})
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    client, key, secret = (made.json()[name] for name in ("client", "key", "secret"))
    assert (client["name"], client["permissions"], client["revoked_at"]) == ("Shop", ["read"], None)
    assert await status(world, key, secret) == 404  # known, and there is no such order
    assert secret not in str(await world.rows("clients"))

    rotated = (await post(world, admin, f"{CLIENTS}/{client['id']}/rotate", {"overlap_s": 0})).json()
    assert rotated["client"]["id"] == client["id"]
    assert rotated["client"]["previous_secret_until"] is None
    assert await status(world, key, secret) == 401
    assert await status(world, rotated["key"], rotated["secret"]) == 404

    revoked = await post(world, admin, f"{CLIENTS}/{client['id']}/revoke", None)
    assert revoked.json()["revoked_at"] is not None
    assert "secret" not in revoked.json()
    assert await status(world, rotated["key"], rotated["secret"]) == 401


async def test_a_rotation_leaves_the_old_secret_a_day_or_as_long_as_it_is_told(world: World):
    admin, shop, operator = await world.manage_client(), await world.shopping_client(), await world.manage_client()
    rotated = await post(world, admin, f"{CLIENTS}/{shop.client.id}/rotate", None)
    assert rotated.status_code == 200, rotated.text
    new = rotated.json()
    assert new["key"] == shop.key
    assert new["client"]["previous_secret_until"] == written(NOON + timedelta(days=1))
    for body in ({}, {"overlap_s": None}):
        empty = await post(world, admin, f"{CLIENTS}/{operator.client.id}/rotate", body)
        assert empty.json()["client"]["previous_secret_until"] == written(NOON + timedelta(days=1))
        assert await world.database.clients.rotate(
            operator.client.id, secret_sha256=hash_of(operator.secret), now=world.clock(), overlap=timedelta(0)
        )
    short = (await post(world, admin, f"{CLIENTS}/{operator.client.id}/rotate", {"overlap_s": 3600})).json()
    tokens = [f"{operator.key}.{operator.secret}", short["token"]]
    assert await tokens_work(world, *tokens) == [200, 200]
    world.clock.forward(hours=1)
    assert await tokens_work(world, *tokens) == [401, 200]
    assert [await status(world, shop.key, one) for one in (shop.secret, new["secret"])] == [404, 404]
    world.clock.forward(hours=23)
    assert [await status(world, shop.key, one) for one in (shop.secret, new["secret"])] == [401, 404]


async def test_a_rotation_that_is_sent_again_leaves_the_working_secret_alone(world: World):
    admin, shop = await world.manage_client(), await world.shopping_client()
    path = f"{CLIENTS}/{shop.client.id}/rotate"
    early = await post(world, admin, path, {"keep_old": True})
    assert (early.status_code, early.json()["code"]) == (409, "no_secret_overlap")
    lost = (await post(world, admin, path, None)).json()
    before = await world.rows("clients")
    for body in (None, {"overlap_s": 1}):
        refused = await post(world, admin, path, body)
        assert (refused.status_code, refused.json()["code"]) == (409, "secret_overlap")
        said = refused.json()["detail"]
        assert all(text in said for text in (written(NOON + timedelta(days=1)), "keep_old", "overlap_s 0"))
    both = await post(world, admin, path, {"keep_old": True, "overlap_s": 3600})
    assert [one["field"] for one in both.json()["errors"]] == ["overlap_s"]
    assert await world.rows("clients") == before

    world.clock.forward(hours=1)
    again = (await post(world, admin, path, {"keep_old": True})).json()
    assert again["client"]["previous_secret_until"] == written(NOON + timedelta(days=1)), "the overlap grew"
    secrets = [shop.secret, lost["secret"], again["secret"]]
    assert [await status(world, shop.key, one) for one in secrets] == [404, 401, 404]
    at_once = (await post(world, admin, path, {"overlap_s": 0})).json()
    assert [await status(world, shop.key, one) for one in (*secrets, at_once["secret"])] == [401, 401, 401, 404]


async def test_once_the_overlap_is_over_a_client_is_rotated_again(world: World):
    admin, shop = await world.manage_client(), await world.shopping_client()
    path = f"{CLIENTS}/{shop.client.id}/rotate"
    first = (await post(world, admin, path, {"overlap_s": 60})).json()
    world.clock.forward(seconds=59)
    assert (await post(world, admin, path, None)).status_code == 409
    world.clock.forward(seconds=1)
    assert (await post(world, admin, path, {"keep_old": True})).json()["code"] == "no_secret_overlap"
    second = (await post(world, admin, path, None)).json()
    secrets = (shop.secret, first["secret"], second["secret"])
    assert [await status(world, shop.key, one) for one in secrets] == [401, 404, 404]


async def test_a_client_of_another_issuer_is_told_where_its_secret_is(world: World):
    admin, partner = await world.manage_client(), await world.connect_client()
    before = await world.rows("clients")
    for body in (None, {"overlap_s": 0}, {"keep_old": True}):
        refused = await post(world, admin, f"{CLIENTS}/{partner.client.id}/rotate", body)
        assert (refused.status_code, refused.json()["code"]) == (409, "client_without_secret")
        assert ISSUER in refused.json()["detail"]
    given = await post(world, admin, f"{CLIENTS}/{partner.client.id}/rotate", {"public_key": "x"})
    assert [one["field"] for one in given.json()["errors"]] == ["public_key"]
    assert await world.rows("clients") == before


async def test_no_secret_from_before_a_rotation_comes_back_with_a_restored_client(world: World):
    admin, shop = await world.manage_client(), await world.shopping_client()
    path = f"{CLIENTS}/{shop.client.id}"
    new = (await post(world, admin, f"{path}/rotate", None)).json()
    revoked = await post(world, admin, f"{path}/revoke", None)
    restored = await post(world, admin, f"{path}/restore", None)
    assert [one.json()["previous_secret_until"] for one in (revoked, restored)] == [None, None]
    assert [await status(world, shop.key, one) for one in (shop.secret, new["secret"])] == [401, 404]
    document = (await world.http.get("/docs/manage/openapi.json")).json()
    summary = document["paths"][f"{CLIENTS}/{{client}}/restore"]["post"]["summary"]
    assert "A secret from before a rotation stays stopped" in summary


async def test_a_revoked_client_is_restored_and_never_rotated(world: World):
    admin, shop = await world.manage_client(), await world.shopping_client()
    path = f"{CLIENTS}/{shop.client.id}"
    await post(world, admin, f"{path}/revoke", None)
    before = await world.rows("clients")
    refused = await post(world, admin, f"{path}/rotate", None)
    assert (refused.status_code, refused.json()["code"]) == (409, "client_revoked")
    assert "restore it first" in refused.json()["detail"]
    assert await world.rows("clients") == before
    assert await status(world, shop.key, shop.secret) == 401
    restored = await post(world, admin, f"{path}/restore", None)
    assert (restored.status_code, restored.json()["revoked_at"]) == (200, None)
    assert await status(world, shop.key, shop.secret) == 404
    assert (await post(world, admin, f"{path}/restore", None)).json() == restored.json()


async def test_name_and_permissions_are_changed_and_count_at_once(world: World):
    admin, shop = await world.manage_client(), await world.shopping_client()
    path = f"{CLIENTS}/{shop.client.id}/change"
    named = await post(world, admin, path, {"name": "Zoë's shop"})
    assert (named.status_code, named.json()["name"]) == (200, "Zoë's shop")
    assert named.json()["permissions"] == sorted(shop.client.permissions)
    assert await status(world, shop.key, shop.secret) == 404
    narrowed = await post(world, admin, path, {"permissions": ["create"]})
    assert (narrowed.json()["name"], narrowed.json()["permissions"]) == ("Zoë's shop", ["create"])
    assert await status(world, shop.key, shop.secret) == 403
    assert narrowed.json() == (await listed(world, admin))[shop.client.id]


async def test_a_change_that_does_not_hold_is_named_and_changes_nothing(world: World):
    admin, shop = await world.manage_client(), await world.shopping_client()
    before, path = await world.rows("clients"), f"{CLIENTS}/{shop.client.id}"
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("change", {"name": " "}, "name"),
        ("change", {"name": "x" * 201}, "name"),
        ("change", {"permissions": []}, "permissions"),
        ("change", {"permissions": ["fly"]}, "permissions[0]"),
        ("change", {"permissions": ["record"]}, "permissions"),
        ("rotate", {"overlap_s": -1}, "overlap_s"),
        ("rotate", {"overlap_s": 30 * 24 * 3600 + 1}, "overlap_s"),
        ("rotate", {"overlap_s": "soon"}, "overlap_s"),
        ("rotate", {"public_key": "x"}, "public_key"),
    ]
    for call, body, field in wrong:
        reply = await post(world, admin, f"{path}/{call}", body)
        assert (reply.status_code, [one["field"] for one in reply.json()["errors"]]) == (422, [field]), body
    for body in ({}, {"name": None, "permissions": None}):
        nothing = await post(world, admin, f"{path}/change", body)
        assert [one["field"] for one in nothing.json()["errors"]] == ["name", "permissions"]
    assert (await post(world, admin, f"{CLIENTS}/999999/change", {"name": "x"})).status_code == 404
    assert (await post(world, admin, f"{CLIENTS}/999999/restore", None)).status_code == 404
    assert await world.rows("clients") == before


async def test_without_permissions_a_client_may_do_what_is_usual_and_never_cancel_tickets(world: World):
    admin = await world.manage_client()
    for contract in ("shopping", "manage"):
        made = await post(world, admin, CLIENTS, {"contract": contract, "name": contract})
        assert made.json()["client"]["permissions"] == sorted(USUAL[contract])
    assert Permission.CANCEL not in USUAL[SHOPPING.channel]
    assert all(Permission.ADMINISTER not in usual for usual in USUAL.values())


@pytest.mark.parametrize("contract", ["shopping", "connect", "manage"])
async def test_an_empty_list_of_permissions_is_refused_with_those_that_there_are(world: World, contract: str):
    admin, shop = await world.manage_client(), await world.shopping_client()
    before = await world.rows("clients")
    new = {"contract": contract, "name": "x", "client_id": "x", "issuer": ISSUER} if contract == "connect" else {}
    added = await post(world, admin, CLIENTS, {"contract": contract, "name": "x", "permissions": []} | new)
    changed = await post(world, admin, f"{CLIENTS}/{shop.client.id}/change", {"permissions": [], "name": "y"})
    for reply, channel in ((added, contract), (changed, "shopping")):
        access = next(one for one in accesses_of(CONTRACTS) if one.channel == channel)
        said = f"permissions must name one or more of {access.possible}, not []; revoke a client that may do nothing"
        assert (reply.status_code, reply.json()["detail"]) == (422, said)
        assert [one["field"] for one in reply.json()["errors"]] == ["permissions"]
    assert await world.rows("clients") == before


async def test_a_permission_that_does_not_exist_is_named_with_those_that_do(world: World):
    admin = await world.manage_client()
    before = await world.rows("clients")
    given = {"contract": "manage", "name": "x", "permissions": ["read", "god"]}
    reply = await post(world, admin, CLIENTS, given)
    said = f'permissions[1] must be one of {", ".join(sorted(Permission))}, not "god"'
    assert (reply.status_code, reply.json()["detail"]) == (422, said)
    assert await world.rows("clients") == before


async def test_an_operators_new_token_works_at_once(world: World):
    admin = await world.manage_client()
    made = await post(world, admin, CLIENTS, {"contract": "manage", "name": "Night shift"})
    headers = {"Authorization": f"Bearer {made.json()['token']}"}
    assert (await world.http.get("/manage/v1/orders/connect-1", headers=headers)).status_code == 404
    assert (await world.http.get(CLIENTS, headers=headers)).status_code == 403


async def test_the_list_tells_everybody_and_no_secret(world: World):
    admin, shop, partner = await world.manage_client(), await world.shopping_client(), await world.connect_client()
    listed = (await world.http.get(CLIENTS, headers=world.manage_headers(admin))).json()["clients"]
    assert [one["id"] for one in listed] == [admin.client.id, shop.client.id, partner.client.id]
    assert listed[2]["identity"] == list(partner.client.identity or ())
    assert not any(one.secret and one.secret in str(listed) for one in (admin, shop))


async def test_only_who_may_administer_does(world: World):
    everything_else = frozenset(Permission) - {Permission.ADMINISTER}
    operator = await world.manage_client(permissions=everything_else)
    before = await world.rows("clients")
    asks = [
        await world.http.get(CLIENTS, headers=world.manage_headers(operator)),
        await post(world, operator, CLIENTS, {"contract": "manage", "name": "me", "permissions": ["administer"]}),
        await post(world, operator, f"{CLIENTS}/{operator.client.id}/rotate", None),
        await post(world, operator, f"{CLIENTS}/{operator.client.id}/revoke", None),
        await post(world, operator, f"{CLIENTS}/{operator.client.id}/restore", None),
        await post(world, operator, f"{CLIENTS}/{operator.client.id}/change", {"permissions": ["administer"]}),
    ]
    assert {reply.status_code for reply in asks} == {403}
    assert await world.rows("clients") == before


async def test_what_does_not_hold_is_named_and_changes_nothing(world: World):
    admin = await world.manage_client()
    before = await world.rows("clients")
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"contract": "fax", "name": "x"}, "contract"),
        ({"contract": "shopping", "name": "x", "public_key": "k"}, "public_key"),
        ({"contract": "manage", "name": "x", "client_id": "c"}, "client_id"),
        ({"contract": "shopping"}, "name"),
        ({"contract": "shopping", "name": " "}, "name"),
        ({"contract": "shopping", "name": "x" * 201}, "name"),
        ({"contract": "shopping", "name": "x", "permissions": ["fly"]}, "permissions[0]"),
        ({"contract": "shopping", "name": "x", "permissions": ["read", "record"]}, "permissions"),
        ({"contract": "manage", "name": "x", "permissions": ["read_all"]}, "permissions"),
    ]
    for body, field in wrong:
        reply = await post(world, admin, CLIENTS, body)
        assert (reply.status_code, [one["field"] for one in reply.json()["errors"]]) == (422, [field])
    for number in ("0", "999", "x", f"0{admin.client.id}", f"00{admin.client.id}", str(2**31), str(2**63)):
        for call in ("rotate", "revoke", "restore"):
            assert (await post(world, admin, f"{CLIENTS}/{number}/{call}", None)).status_code == 404, number
    assert await world.rows("clients") == before


async def test_where_buyers_are_led_back_to_is_set_shown_and_emptied(world: World):
    admin = await world.manage_client()
    given = {"redirect_url": "myapp://thanks", "redirect_schemes": ["MyApp"]}
    added = await post(world, admin, CLIENTS, {"contract": "shopping", "name": "Shop", **given})
    assert added.status_code == 201, added.text
    client, wanted = added.json()["client"], {"redirect_url": "myapp://thanks", "redirect_schemes": ["myapp"]}
    path = f"{CLIENTS}/{client['id']}/redirects"
    assert {name: client[name] for name in wanted} == wanted
    assert wanted.items() <= (await listed(world, admin))[client["id"]].items()
    only_url = {"redirect_url": "https://[::1]/thanks"}
    changed = await put(world, admin, path, only_url)
    assert changed.status_code == 200
    assert {name: changed.json()[name] for name in wanted} == only_url | {"redirect_schemes": []}
    emptied = await put(world, admin, path, {})
    assert {name: emptied.json()[name] for name in wanted} == {"redirect_url": None, "redirect_schemes": []}
    assert emptied.json() == (await listed(world, admin))[client["id"]]


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"redirect_url": "myapp://thanks"}, "redirect_url", '"myapp://thanks"'),
        ({"redirect_url": "javascript:alert(1)"}, "redirect_url", '"javascript:alert(1)"'),
        ({"redirect_url": "https://me@shop.test"}, "redirect_url", '"https://me@shop.test"'),
        ({"redirect_schemes": ["myapp", "JavaScript"]}, "redirect_schemes", '"JavaScript"'),
        ({"redirect_schemes": ["vbscript"]}, "redirect_schemes", '"vbscript"'),
        ({"redirect_schemes": ["data"]}, "redirect_schemes", '"data"'),
        ({"redirect_schemes": ["file"]}, "redirect_schemes", '"file"'),
        ({"redirect_schemes": ["my app"]}, "redirect_schemes", '"my app"'),
    ],
)
async def test_an_address_or_scheme_that_is_not_allowed_is_named_and_changes_nothing(
    world: World, given: dict[str, Any], field: str, value: str
):
    admin, shop = await world.manage_client(), await world.shopping_client()
    before = await world.rows("clients")
    answers = [
        await post(world, admin, CLIENTS, {"contract": "shopping", "name": "Shop", **given}),
        await put(world, admin, f"{CLIENTS}/{shop.client.id}/redirects", given),
    ]
    for answer in answers:
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert field in str(error)
        assert value in error["message"]
    assert await world.rows("clients") == before


async def test_only_clients_whose_orders_have_a_payment_page_lead_buyers_back(world: World):
    admin, partner = await world.manage_client(), await world.connect_client()
    given = {"redirect_url": "https://shop.test"}
    before = await world.rows("clients")
    for client in (admin, partner):
        answer = await put(world, admin, f"{CLIENTS}/{client.client.id}/redirects", given)
        assert (answer.status_code, "no payment page" in answer.text) == (422, True)
    answer = await post(world, admin, CLIENTS, {"contract": "manage", "name": "Operator", **given})
    assert (answer.status_code, "no payment page" in answer.text) == (422, True)
    assert (await put(world, admin, f"{CLIENTS}/999999/redirects", given)).status_code == 404
    recorder = await world.manage_client(permissions=frozenset({Permission.RECORD, Permission.READ}))
    assert (await put(world, recorder, f"{CLIENTS}/{admin.client.id}/redirects", {})).status_code == 403
    assert [row for row in await world.rows("clients") if row["id"] != recorder.client.id] == before


async def listed(world: World, caller: Caller) -> dict[int, dict[str, Any]]:
    answer = await world.http.get(CLIENTS, headers=world.manage_headers(caller))
    return {one["id"]: one for one in answer.json()["clients"]}


def written(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


async def tokens_work(world: World, *tokens: str) -> list[int]:
    headers = [{"Authorization": f"Bearer {token}"} for token in tokens]
    return [(await world.http.get("/manage/v1/catalogue", headers=one)).status_code for one in headers]


async def put(world: World, caller: Caller, path: str, body: dict[str, Any]) -> httpx.Response:
    return await world.http.put(path, json=body, headers=world.manage_headers(caller))


async def post(world: World, caller: Caller, path: str, body: dict[str, Any] | None) -> httpx.Response:
    return await world.http.post(path, json=body, headers=world.manage_headers(caller))


async def status(world: World, key: str, secret: str) -> int:
    return (await world.http.get(f"/orders/{'0' * 32}", auth=(key, secret))).status_code
