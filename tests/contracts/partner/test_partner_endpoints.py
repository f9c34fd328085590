"""Endpoints over the partners' API: whose they are, what they hear of, and what a partner never sees."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from countermand.actions.delivering.sending import AttemptError
from countermand.actions.identity.secrets import hash_of
from countermand.contracts.partner.endpoints import ENDPOINTS_CAP
from countermand.domain.client import Client, Permission
from countermand.domain.staff import Role
from countermand.identity.browser_tokens import browser_token
from countermand.storage.tables.clients import clients
from support.database_contents import changed, contents
from support.deliveries import send_due
from support.manage_calls import fields, problem
from support.outside_world import ADDRESS, failure
from support.shared_world import shared_world
from support.world import Caller, World

world = shared_world

ENDPOINTS = "/partner/v1/endpoints"
URL = "https://receiver.example/events"
Headers = dict[str, str]


def of_connect(world: World, caller: Caller) -> Headers:
    return {"Authorization": f"Bearer {world.token(caller)}"}


def of_shopping(_: World, caller: Caller) -> Headers:
    return {"Authorization": caller.basic}


async def partners(world: World) -> list[tuple[Caller, Headers]]:
    """A client of each contract."""
    telecom, shop = await world.connect_client(), await world.shopping_client()
    return [(telecom, of_connect(world, telecom)), (shop, of_shopping(world, shop))]


async def call(
    world: World, headers: Headers, method: str, path: str = "", body: Any = None, **more: str
) -> httpx.Response:
    sent = headers | {name.replace("_", "-"): value for name, value in more.items()}
    return await world.http.request(method, f"{ENDPOINTS}{path}", headers=sent, json=body)


async def an_endpoint(world: World, headers: Headers, **given: Any) -> dict[str, Any]:
    added = await call(world, headers, "POST", "", {"url": URL, **given})
    assert added.status_code == 201, added.text
    return added.json()


async def test_a_partner_of_each_contract_adds_an_endpoint_that_hears_of_its_own_orders_alone(world: World):
    operator = await world.manage_client()
    for caller, headers in await partners(world):
        new = await an_endpoint(world, headers, kinds=["order.cancelled"])
        assert new.pop("secret").startswith("whsec_")
        assert new.pop("public_key") is None
        assert not {"owner", "client", "contract"} & new.keys()
        kept, _ = await world.endpoints.one(new["id"], None)
        assert kept.owner == caller.client.id == kept.subscription.client_id
        assert kept.subscription.contract == caller.client.channel
        assert (await call(world, headers, "GET")).json() == {"endpoints": [new]}
        shown = (await call(world, headers, "GET", f"/{new['id']}")).json()
        assert shown == new | {"backlog": shown["backlog"]}
        seen = await world.http.get(f"/manage/v1/endpoints/{new['id']}", headers=world.manage_headers(operator))
        assert seen.json()["owner"] == seen.json()["client"] == caller.client.id


@pytest.mark.parametrize("taken", ["the permission", "the client"])
async def test_the_operator_sees_that_an_endpoints_owner_may_not_subscribe_any_more(world: World, taken: str):
    operator = world.manage_headers(await world.manage_client())
    ((telecom, headers), _) = await partners(world)
    new = await an_endpoint(world, headers)
    url = f"/manage/v1/endpoints/{new['id']}"
    seen = (await world.http.get(url, headers=operator)).json()
    assert (seen["state"], seen["permitted"]) == ("active", True)
    gone = {"revoked_at": 1} if taken == "the client" else {"more_permissions": None}
    async with world.database.store.transaction() as tx:
        await tx.run(update(clients).where(clients.c.id == telecom.client.id).values(gone))

    seen = (await world.http.get(url, headers=operator)).json()
    listed = (await world.http.get("/manage/v1/endpoints", headers=operator)).json()["endpoints"]

    assert (seen["state"], seen["permitted"]) == ("active", False)
    assert [one["permitted"] for one in listed] == [False]


async def test_an_endpoint_of_somebody_else_does_not_exist_for_a_partner(world: World):
    operator = await world.manage_client()
    (telecom_caller, telecom), (_, shop) = await partners(world)
    neighbour = await world.connect_client("neighbour")
    own = await an_endpoint(world, telecom)
    others = await world.http.post("/manage/v1/endpoints", json={"url": URL}, headers=world.manage_headers(operator))
    await world.service_order(telecom_caller)
    (sent,) = await send_due(world, own["id"])
    before = await contents(world)
    for headers, named in (
        (shop, own["id"]),
        (of_connect(world, neighbour), own["id"]),
        (telecom, others.json()["id"]),
    ):
        for method, path in (
            ("GET", ""),
            ("DELETE", ""),
            ("GET", "/attempts"),
            *(("POST", f"/{what}") for what in ("pause", "resume", "rotate", "test")),
        ):
            assert problem(await call(world, headers, method, f"/{named}{path}")) == (404, "not_found"), path
        answer = await call(world, headers, "POST", f"/{named}/redeliver", {"event": sent.event_id})
        assert problem(answer) == (404, "not_found")
    assert not changed(before, await contents(world))
    assert world.outside.sent == [sent]
    assert (await call(world, of_connect(world, neighbour), "GET")).json() == {"endpoints": []}


async def test_a_partner_pauses_resumes_rotates_tests_and_removes_its_endpoint(world: World):
    for _, headers in await partners(world):
        new = await an_endpoint(world, headers)
        path = f"/{new['id']}"
        assert (await call(world, headers, "POST", f"{path}/pause")).json()["state"] == "paused"
        assert (await call(world, headers, "POST", f"{path}/resume")).json()["state"] == "active"
        rotated = await call(world, headers, "POST", f"{path}/rotate", {"overlap_h": 2})
        assert (rotated.status_code, rotated.json()["previous_secret_until"]) == (200, "2026-11-21T14:00:00Z")
        assert rotated.json()["secret"] != new["secret"]
        assert problem(await call(world, headers, "POST", f"{path}/rotate")) == (409, "overlap_running")
        assert (await call(world, headers, "POST", f"{path}/test")).json()["outcome"] == "delivered"
        again = await call(world, headers, "POST", f"{path}/redeliver", {"failed_since": "2026-11-21T00:00:00Z"})
        assert (again.status_code, again.json()) == (202, {"events": 0})
        assert (await call(world, headers, "DELETE", path)).status_code == 204
        assert (await call(world, headers, "GET", path)).status_code == 404


async def test_a_partner_never_sees_what_a_receiver_answered_or_which_address_was_called(world: World):
    _, (_, headers) = await partners(world)
    new = await an_endpoint(world, headers)
    world.outside.answers = [failure(AttemptError.STATUS, 500, b"the metadata of a machine")]
    tested = await call(world, headers, "POST", f"/{new['id']}/test")
    listed = await call(world, headers, "GET", f"/{new['id']}/attempts")
    as_text = await call(world, headers, "GET", f"/{new['id']}/attempts", Accept="text/csv")
    assert listed.json() == {"attempts": [tested.json()], "next": None} == as_text.json()
    assert (tested.json()["status"], tested.json()["error"]) == (500, "status")
    for answer in (tested, listed, as_text):
        assert not [hidden for hidden in ("metadata", ADDRESS, "it failed") if hidden in answer.text]
        assert not {"answer", "address", "detail"} & tested.json().keys()


async def test_a_partner_gets_the_events_of_its_own_orders_and_can_have_no_other_sent_again(world: World):
    (one, connect), (shop, shopping) = await partners(world)
    of_one, of_shop = [(await an_endpoint(world, headers))["id"] for headers in (connect, shopping)]
    own = await world.service_order(one)
    await world.service_order(await world.connect_client("neighbour"))
    bought = (await world.ticket_order(shop)).order
    (told,) = await send_due(world, of_one)
    (sold,) = await send_due(world, of_shop)
    assert told.event_id.startswith(f"evt_connect-{own}_1_order_placed_")
    assert sold.event_id.startswith(f"evt_shopping-{bought.uid}_1_order_placed_")
    for headers, endpoint, event, status in (
        (connect, of_one, told, 202),
        (connect, of_one, sold, 422),
        (shopping, of_shop, told, 422),
    ):
        answer = await call(world, headers, "POST", f"/{endpoint}/redeliver", {"event": event.event_id})
        assert answer.status_code == status
    everything = await call(world, shopping, "POST", f"/{of_shop}/redeliver", {"after": "1-0"})
    assert (everything.status_code, everything.json()) == (202, {"events": 1})
    assert [one.event_id for one in await send_due(world, of_one)] == [told.event_id]
    assert [one.event_id for one in await send_due(world, of_shop)] == [sold.event_id]
    listed = (await call(world, connect, "GET", f"/{of_one}/attempts")).json()["attempts"]
    assert {attempt["order"] for attempt in listed} == {f"connect-{own}"}


async def test_a_partner_cannot_ask_for_the_orders_of_others_or_for_events_about_endpoints(world: World):
    (telecom, connect), (shop, shopping) = await partners(world)
    given = {"client": shop.client.id, "contract": "shopping", "owner": shop.client.id}
    kept, _ = await world.endpoints.one((await an_endpoint(world, connect, **given))["id"], None)
    assert (kept.owner, kept.subscription.client_id) == (telecom.client.id, telecom.client.id)
    assert kept.subscription.contract == "connect"
    for body, named in (
        ({"kinds": ["endpoint.failing"]}, "kinds"),
        ({"dialect": "morse"}, "dialect"),
        ({"dialect": "connect", "thin": True}, "thin"),
    ):
        assert fields(await call(world, connect, "POST", "", {"url": URL, **body})) == [named]
    refused = await call(world, shopping, "POST", "", {"url": URL, "dialect": "connect"})
    (wrong,) = refused.json()["errors"]
    assert wrong["message"] == 'dialect must be one of cloudevents, standard, not "connect"'
    assert (await an_endpoint(world, connect, dialect="connect"))["dialect"] == "connect"


async def test_a_client_has_no_more_endpoints_than_it_may_have(world: World):
    (_, headers), (_, shop) = await partners(world)
    added = [await an_endpoint(world, headers) for _ in range(ENDPOINTS_CAP)]
    assert problem(await call(world, headers, "POST", "", {"url": URL})) == (409, "too_many_endpoints")
    assert len(await world.rows("endpoints")) == ENDPOINTS_CAP
    await an_endpoint(world, shop)
    assert (await call(world, headers, "DELETE", f"/{added[0]['id']}")).status_code == 204
    await an_endpoint(world, headers)


async def test_only_the_permission_to_subscribe_lets_a_partner_in(world: World):
    without = frozenset(Permission) - {Permission.SUBSCRIBE}
    only = frozenset({Permission.SUBSCRIBE})
    for permissions, status in ((without, 403), (only, 200)):
        telecom = await world.connect_client(f"partner {status}", permissions=permissions)
        shop = await world.shopping_client(permissions=permissions)
        for headers in (of_connect(world, telecom), of_shopping(world, shop)):
            for path in ("endpoints", "events"):
                assert (await world.http.get(f"/partner/v1/{path}", headers=headers)).status_code == status
    assert await world.rows("endpoints") == []


async def test_no_credential_but_that_of_a_contract_lets_anybody_in(world: World):
    (telecom, _), (shop, _) = await partners(world)
    operator = await world.manage_client()
    person = await world.person("kim", Role.ADMIN)
    in_browser = browser_token(
        replace(shop.client), hash_of(shop.secret), event_uid=None, now=world.clock(), life=timedelta(days=1)
    )
    expired = world.token(telecom, exp=int(world.clock().timestamp()) - 3600)
    wrong = {
        "nothing": None,
        "no scheme": "x",
        "another scheme": "Digest x",
        "an empty token": "Bearer ",
        "garbage": "Bearer x",
        "a browser application": f"Bearer {in_browser}",
        "a key and secret as a token": f"Bearer {shop.key}.{shop.secret}",
        "a token of nobody": f"Bearer {world.token('nobody')}",
        "an expired token": f"Bearer {expired}",
        "the operator": f"Bearer {operator.key}.{operator.secret}",
        "the operator's key": operator.basic,
        "a person": f"Bearer {person.key}.{person.secret}",
        "a person's key": person.basic,
        "a wrong secret": replace(shop, secret="x" * 43).basic,
        "no secret": "Basic eDo=",
    }
    for name, authorization in wrong.items():
        headers = {} if authorization is None else {"Authorization": authorization}
        for path in ("endpoints", "events"):
            answer = await world.http.get(f"/partner/v1/{path}", headers=headers)
            assert problem(answer) == (401, "unauthorized"), name
            assert answer.headers.get_list("www-authenticate"), name
    said = (await world.http.get(ENDPOINTS)).headers.get_list("www-authenticate")
    assert [one.split(" ")[0] for one in said] == ["Bearer", "Basic"]


@pytest.mark.parametrize("credential", [of_connect, of_shopping])
async def test_a_revoked_client_is_let_in_no_more(world: World, credential: Callable[[World, Caller], Headers]):
    caller = await (world.connect_client() if credential is of_connect else world.shopping_client())
    headers = credential(world, caller)
    assert (await call(world, headers, "GET")).status_code == 200
    revoked: Client = await world.database.clients.revoke(caller.client.id, world.clock())
    assert revoked.revoked_at is not None
    assert problem(await call(world, headers, "GET")) == (401, "unauthorized")


async def test_a_partners_endpoints_let_nobody_into_another_contract(world: World):
    (telecom, connect), (shop, shopping) = await partners(world)
    assert (await world.http.get("/orders", headers=connect)).status_code == 401
    assert (await world.http.get("/api/connect/orders", headers=shopping)).status_code == 401
    assert (await world.http.get("/manage/v1/endpoints", headers=shopping)).status_code == 401
    assert (await world.http.get("/manage/v1/endpoints", headers=connect)).status_code == 401
    assert telecom.client.id != shop.client.id


async def test_an_answer_with_a_secret_is_not_stored_so_a_key_is_refused(world: World):
    for _, headers in await partners(world):
        answer = await call(world, headers, "POST", "", {"url": URL}, Idempotency_Key="k")
        assert fields(answer) == ["Idempotency-Key"]
    assert await world.rows("endpoints") == []


async def test_the_operator_grants_the_permission_to_clients_of_each_contract_and_can_take_it_back(world: World):
    operator = world.manage_headers(await world.manage_client())
    for caller, headers in (
        (telecom := await world.connect_client(permissions=frozenset()), of_connect(world, telecom)),
        (shop := await world.shopping_client(permissions=frozenset()), of_shopping(world, shop)),
    ):
        for permissions, status in ((["read", "subscribe"], 200), (["read"], 403)):
            path = f"/manage/v1/clients/{caller.client.id}/change"
            changed = await world.http.post(path, json={"permissions": permissions}, headers=operator)
            assert changed.status_code == 200, changed.text
            assert (await call(world, headers, "GET")).status_code == status
