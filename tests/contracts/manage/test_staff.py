"""People at the desk: their tokens, whom a client acts for, and what the records say of who did it."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from countermand.domain.client import Permission
from countermand.domain.orders.order import OrderId
from countermand.domain.staff import Role
from countermand.domain.staff_id import STAFF_ID_IN_WORDS
from support.database_contents import changed, contents
from support.manage_calls import PAYMENT, VISIT, fields, manage, problem
from support.shared_world import shared_world
from support.world import EVERYTHING, Caller, World

world = shared_world

STAFF = "/manage/v1/staff"
ROLES = ", ".join(sorted(Role))
REASON = {"reason": "The customer rang"}


async def test_a_person_is_added_gets_a_token_and_calls_until_disabled(world: World):
    operator, order_id = await world.manage_client(), await an_order(world)
    added = await staff(world, operator, "POST", "", {"id": "kim", "name": "Kim Lee", "roles": ["support"]})
    assert (added.status_code, added.json()["roles"], added.json()["tokens"]) == (201, ["support"], [])
    assert added.json()["permissions"] == ["cancel", "read", "record"]
    kim = await a_token(world, operator, "kim")
    assert (await manage(world, kim, "GET", str(order_id))).status_code == 200
    listed = (await staff(world, operator, "GET", "")).json()["staff"]
    assert [(one["id"], [token["client_id"] for token in one["tokens"]]) for one in listed] == [
        ("kim", [operator.client.id])
    ]
    assert kim.secret not in (await staff(world, operator, "GET", "")).text
    for _ in range(2):
        world.clock.forward(minutes=1)
        disabled = await staff(world, operator, "POST", "/kim/disable")
        assert disabled.json()["disabled_at"] == "2026-11-21T12:01:00Z"
    assert problem(await manage(world, kim, "GET", str(order_id))) == (401, "unauthorized")
    refused = await staff(world, operator, "POST", "/kim/tokens", {})
    assert problem(refused) == (409, "staff_disabled")
    again = await staff(world, operator, "POST", "", {"id": "kim", "name": "Another", "roles": ["admin"]})
    assert problem(again) == (409, "staff_exists")


async def test_roles_and_name_change_and_count_at_once(world: World):
    operator, order_id = await world.manage_client(), await an_order(world)
    kim = await world.person("kim", Role.VIEWER, client=operator)
    assert problem(await manage(world, kim, "POST", f"{order_id}/cancel", REASON)) == (403, "forbidden")
    changed = await staff(world, operator, "POST", "/kim/change", {"roles": ["support", "finance"]})
    assert (changed.status_code, changed.json()["roles"]) == (200, ["finance", "support"])
    assert changed.json()["permissions"] == ["cancel", "money", "read", "record"]
    named = (await staff(world, operator, "POST", "/kim/change", {"name": "Kim Yu"})).json()
    assert named == changed.json() | {"name": "Kim Yu"}
    assert (await staff(world, operator, "GET", "")).json()["staff"] == [named]
    assert (await manage(world, kim, "POST", f"{order_id}/cancel", REASON)).status_code == 200
    await staff(world, operator, "POST", "/kim/change", {"roles": ["viewer"]})
    assert problem(await manage(world, kim, "POST", f"{order_id}/cancel", REASON)) == (403, "forbidden")


async def test_a_change_of_a_person_that_does_not_hold_is_named_and_changes_nothing(world: World):
    operator = await world.manage_client()
    await world.person("kim", Role.VIEWER, client=operator)
    before = await contents(world)
    wrong: list[tuple[Any, list[str]]] = [
        ({}, ["name", "roles"]),
        ({"name": None, "roles": None}, ["name", "roles"]),
        ({"name": " "}, ["name"]),
        ({"name": "x" * 201}, ["name"]),
        ({"roles": []}, ["roles"]),
        ({"roles": ["viewer", "king"]}, ["roles[1]"]),
    ]
    for body, named in wrong:
        assert fields(await staff(world, operator, "POST", "/kim/change", body)) == named, body
    for path in ("/lee/change", "/K%00/change"):
        assert problem(await staff(world, operator, "POST", path, {"name": "Lee"})) == (404, "not_found")
    for path in ("/lee/enable", "/K%00/enable"):
        assert problem(await staff(world, operator, "POST", path)) == (404, "not_found")
    assert not changed(before, await contents(world))


async def test_a_person_who_is_enabled_again_calls_with_a_new_token_and_with_no_old_one(world: World):
    operator, order_id = await world.manage_client(), await an_order(world)
    old = await world.person("kim", Role.VIEWER, client=operator)
    other = await world.person("lee", Role.VIEWER, client=operator)
    assert (await staff(world, operator, "POST", "/kim/enable")).status_code == 200
    assert (await manage(world, old, "GET", str(order_id))).status_code == 200, "nobody had been disabled"
    await staff(world, operator, "POST", "/kim/disable")
    world.clock.forward(minutes=1)
    for _ in range(2):
        enabled = (await staff(world, operator, "POST", "/kim/enable")).json()
        assert enabled["disabled_at"] is None
        assert [one["revoked_at"] for one in enabled["tokens"]] == ["2026-11-21T12:01:00Z"]
        world.clock.forward(minutes=1)
    new = await a_token(world, operator, "kim")
    told = [(await manage(world, one, "GET", str(order_id))).status_code for one in (old, new, other)]
    assert told == [401, 200, 200]
    claimed = await manage(world, operator, "POST", f"{order_id}/cancel", REASON, Acting_As="kim")
    assert claimed.json()["cancellation"]["acting_as"] == "kim"


async def test_a_revoked_token_is_refused_and_the_others_still_count(world: World):
    operator, order_id = await world.manage_client(), await an_order(world)
    await staff(world, operator, "POST", "", {"id": "kim", "name": "Kim Lee", "roles": ["viewer"]})
    first, second = await a_token(world, operator, "kim"), await a_token(world, operator, "kim")
    key = first.key.removeprefix("staff-")
    assert (await staff(world, operator, "POST", f"/kim/tokens/{key}/revoke")).status_code == 200
    told = [(await manage(world, one, "GET", str(order_id))).status_code for one in (first, second)]
    assert told == [401, 200]
    await world.database.clients.revoke(operator.client.id, world.clock())
    assert (await manage(world, second, "GET", str(order_id))).status_code == 401, "its client is revoked"


async def test_no_part_of_a_token_names_anybody(world: World):
    kim, lee = await world.person("kim", Role.ADMIN), await world.person("lee", Role.ADMIN)
    bare, before = kim.key.removeprefix("staff-"), await contents(world)
    wrong = [
        f"{kim.key}.{lee.secret}",
        f"{kim.key}.",
        kim.key,
        f"{bare}.{kim.secret}",
        f"staff-{kim.key}.{kim.secret}",
        f"staff-.{kim.secret}",
        f"staff-{lee.client.key}.{kim.secret}",
        "staff-kim.kim",
    ]
    for token in wrong:
        answer = await world.http.get(STAFF, headers={"Authorization": f"Bearer {token}"})
        assert problem(answer) == (401, "unauthorized"), token
    assert not changed(before, await contents(world))


async def test_a_person_may_do_what_the_roles_permit_and_not_what_the_client_may(world: World):
    able, unable = await world.manage_client(), await world.manage_client(permissions=frozenset())
    viewer = await world.person("vera", Role.VIEWER, client=able)
    both = await world.person("bo", Role.SUPPORT, Role.FINANCE, client=unable)
    order_id = await an_order(world)
    assert problem(await manage(world, viewer, "POST", f"{order_id}/cancel", REASON)) == (403, "forbidden")
    assert (await manage(world, both, "POST", f"{order_id}/cancel", REASON)).status_code == 200
    assert problem(await manage(world, unable, "GET", str(order_id))) == (403, "forbidden")


@pytest.mark.parametrize(
    "body",
    [
        {"id": "Kim"},
        {"id": "kim\n"},
        {"id": "k" * 65},
        {"name": " "},
        {"roles": []},
        {"roles": ["king"]},
    ],
    ids=str,
)
async def test_a_wrong_field_of_a_person_is_named(world: World, body: dict[str, Any]):
    operator = await world.manage_client()
    answer = await staff(world, operator, "POST", "", {"id": "kim", "name": "Kim", "roles": ["viewer"]} | body)
    (name,) = body
    assert [field.partition("[")[0] for field in fields(answer)] == [name]
    assert await world.rows("staff") == []


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"roles": []}, f"roles must be a list that is not empty, each one of {ROLES}, not []"),
        ({"roles": "god"}, f'roles must be a list that is not empty, each one of {ROLES}, not "god"'),
        ({"roles": ["viewer", "god"]}, f'roles[1] must be one of {ROLES}, not "god"'),
        ({"roles": [7]}, f"roles[0] must be one of {ROLES}, not 7"),
        ({"id": "54"}, f'id must be {STAFF_ID_IN_WORDS}, not "54"'),
        ({"id": "Kim"}, f'id must be {STAFF_ID_IN_WORDS}, not "Kim"'),
    ],
    ids=str,
)
async def test_an_error_about_a_person_says_what_may_be_given(world: World, body: dict[str, Any], sentence: str):
    operator = await world.manage_client()
    answer = await staff(world, operator, "POST", "", {"id": "kim", "name": "Kim", "roles": ["viewer"]} | body)
    assert (answer.status_code, [one["message"] for one in answer.json()["errors"]]) == (422, [sentence])
    assert await world.rows("staff") == []


async def test_a_token_is_only_for_a_client_of_this_api_that_may_call(world: World):
    operator, shop, gone = await world.manage_client(), await world.shopping_client(), await world.manage_client()
    await world.database.clients.revoke(gone.client.id, world.clock())
    await staff(world, operator, "POST", "", {"id": "kim", "name": "Kim Lee", "roles": ["viewer"]})
    for client_id in (shop.client.id, gone.client.id, 999, 0):
        answer = await staff(world, operator, "POST", "/kim/tokens", {"client_id": client_id})
        assert fields(answer) == ["client_id"]
        assert str(client_id) in answer.json()["detail"]
    for path in ("/lee/tokens", "/K%00/tokens", "/lee/disable", "/kim/tokens/none/revoke", "/kim/tokens/%00/revoke"):
        assert problem(await staff(world, operator, "POST", path, {})) == (404, "not_found"), path
    assert await world.rows("staff_tokens") == []


async def test_records_and_events_say_who_did_it(world: World):
    kim, order_id = await world.person("kim", Role.SUPPORT), await an_order(world, appointment_in=timedelta(hours=1))
    client_id = kim.client.id
    assert problem(await manage(world, kim, "POST", f"{order_id}/cancel", REASON))[0] == 409
    (visit,) = await world.rows("appointments", order_id)
    assert (await manage(world, kim, "DELETE", f"{order_id}/appointments/{visit['id']}")).status_code == 200
    assert (await manage(world, kim, "POST", f"{order_id}/appointments", VISIT)).status_code == 201
    shown = (await manage(world, kim, "POST", f"{order_id}/cancel", REASON)).json()
    for record in (shown["cancellation"], *shown["refusals"]):
        assert (record["staff_id"], record["acting_as"], record["client_id"]) == ("kim", None, client_id)
        assert (record["door"], record["address"]) == ("manage", "127.0.0.1")
    told = [[one[name] for name in ("kind", "staff_id", "client_id", "channel", "address")] for one in shown["facts"]]
    owner, kims = shown["client_id"], ["kim", client_id, "manage", "127.0.0.1"]
    assert told == [
        ["order.placed", None, owner, "connect", None],
        ["appointment.set", None, owner, None, None],
        ["appointment.cancelled", *kims],
        ["appointment.set", *kims],
        ["order.cancelled", *kims],
        ["appointment.cancelled", *kims],
    ]


async def test_the_event_of_each_change_says_who_made_it_and_from_where(world: World):
    kim, order_id = await world.person("kim", Role.AUTHOR), await an_order(world)
    placed = len(await world.rows("outbox", order_id))
    changes: list[tuple[str, str, Any]] = [
        ("POST", "appointments", VISIT),
        ("PUT", "appointments/{visit}", VISIT | {"ends_at": "2026-11-23T06:00:00Z"}),
        ("POST", "payments", PAYMENT),
        ("DELETE", "appointments/{visit}", None),
        ("POST", "moves", {"move": "accept"}),
        ("POST", "moves", {"move": "start"}),
    ]
    for number, (method, path, body) in enumerate(changes, start=placed + 1):
        visit = max((row["id"] for row in await world.rows("appointments", order_id)), default=0)
        answer = await manage(world, kim, method, f"{order_id}/{path.format(visit=visit)}", body)
        assert answer.is_success, (path, answer.text)
        assert len(await world.rows("outbox", order_id)) >= number, path
    for row in sorted(await world.rows("outbox", order_id), key=lambda row: row["order_version"])[placed:]:
        told = [row[name] for name in ("staff_id", "client_id", "channel", "address")]
        assert told == ["kim", kim.client.id, "manage", "127.0.0.1"], row["kind"]


async def test_a_partners_cancellation_names_no_person_but_its_address(world: World):
    partner = await world.connect_client()
    order_id = await world.service_order(partner)
    headers = world.connect_headers(partner, Acting_As="kim")
    answer = await world.http.post("/api/connect/orders/cancel", json={"orderId": order_id}, headers=headers)
    assert answer.status_code == 200
    (row,) = await world.rows("cancellations", order_id)
    assert (row["staff_id"], row["acting_as"], row["address"]) == (None, None, "127.0.0.1")
    told = {row["kind"]: (row["channel"], row["address"]) for row in await world.rows("outbox", order_id)}
    assert told == {"order.placed": ("connect", None), "order.cancelled": ("connect", "127.0.0.1")}


async def test_a_client_says_whom_it_acts_for_and_the_record_keeps_it_as_a_claim(world: World):
    await world.person("kim", Role.VIEWER)
    console, order_id = await world.manage_client(), await an_order(world)
    with_claim = {"Acting_As": "kim"}
    paid = await manage(world, console, "POST", f"{order_id}/payments", PAYMENT, **with_claim)
    assert paid.status_code == 201
    shown = (await manage(world, console, "GET", str(order_id), **with_claim)).json()
    event = next(one for one in shown["facts"] if one["kind"] == "payment.recorded")
    assert (event["staff_id"], event["acting_as"], event["client_id"]) == (None, "kim", console.client.id)
    other = await an_order(world)
    shown = (await manage(world, console, "POST", f"{other}/cancel", REASON, **with_claim)).json()
    record = shown["cancellation"]
    assert (record["staff_id"], record["acting_as"], record["client_id"]) == (None, "kim", console.client.id)


@pytest.mark.parametrize("claimed", ["nobody", "gone", "Kim", "", "kim ,lee", "k" * 65, "é"], ids=repr)
async def test_a_claim_must_name_a_person_who_is_not_disabled(world: World, claimed: str):
    operator, order_id = await world.manage_client(), await an_order(world)
    for name in ("kim", "gone"):
        await world.person(name, Role.ADMIN, client=operator)
    await staff(world, operator, "POST", "/gone/disable")
    before = await contents(world)
    headers = world.manage_headers(operator) | {"Acting-As": claimed.encode("latin-1")}
    for method, path in (("POST", "/cancel"), ("GET", "")):
        url = f"/manage/v1/orders/connect-{order_id}{path}"
        answer = await world.http.request(method, url, headers=headers, json=REASON if path else None)
        assert fields(answer) == ["Acting-As"]
    assert not changed(before, await contents(world))


async def test_to_act_for_somebody_needs_a_permission_that_no_person_has(world: World):
    without = await world.manage_client(permissions=EVERYTHING - {Permission.ACT_AS})
    admin, order_id = await world.person("kim", *Role), await an_order(world)
    before = await contents(world)
    for caller in (without, admin):
        answer = await manage(world, caller, "POST", f"{order_id}/cancel", REASON, Acting_As="kim")
        assert problem(answer) == (403, "forbidden")
        assert "act_as" in answer.json()["detail"]
    assert not changed(before, await contents(world))


async def test_each_person_has_idempotency_keys_of_their_own(world: World):
    console = await world.manage_client()
    kim = await world.person("kim", Role.AUTHOR, client=console)
    lee = await world.person("lee", Role.AUTHOR, client=console)
    callers = (console, kim, lee)
    for length in (1, 251, 255):  # with the person's id and a blank, the second just fits the column
        orders = [await an_order(world) for _ in callers]
        for caller, order_id in zip(callers, orders, strict=True):
            paid = {**PAYMENT, "reference": f"p{order_id}"}
            for _ in range(2):
                cancelled = await manage(
                    world, caller, "POST", f"{order_id}/cancel", REASON, Idempotency_Key="c" * length
                )
                late = await manage(world, caller, "POST", f"{order_id}/payments", paid, Idempotency_Key="p" * length)
                assert (cancelled.status_code, problem(late)) == (200, (409, "late_money"))
        reused = await manage(world, kim, "POST", f"{orders[0]}/cancel", REASON, Idempotency_Key="c" * length)
        assert problem(reused) == (422, "idempotency_key_reused")
    keys = [row["key"] for row in await world.rows("idempotency_keys")]
    assert len(keys) == len(set(keys)) == 3 * 2 * len(callers)
    assert max(map(len, keys)) <= 255
    assert all(row["client_id"] == console.client.id for row in await world.rows("idempotency_keys"))


async def test_a_client_has_idempotency_keys_for_each_person_that_it_acts_for(world: World):
    console = await world.manage_client()
    kim = await world.person("kim", Role.AUTHOR, client=console)
    await world.person("viewer", Role.VIEWER)
    await world.person("author", Role.AUTHOR)
    order_id = await an_order(world)
    callers: list[tuple[Caller, str, dict[str, str]]] = [
        (console, "p0", {}),
        (console, "p1", {"Acting_As": "viewer"}),
        (console, "p2", {"Acting_As": "author"}),
        (console, "p3", {"Acting_As": "kim"}),
        (kim, "p4", {}),
    ]
    for length in (1, 255):
        for caller, reference, claim in callers:
            paid = {**PAYMENT, "reference": f"{reference} {length}"}
            first, again = [
                await manage(world, caller, "POST", f"{order_id}/payments", paid, Idempotency_Key="k" * length, **claim)
                for _ in range(2)
            ]
            assert (first.status_code, again.status_code, first.json()) == (201, 201, again.json())
            assert first.json()["reference"] == paid["reference"]
    paid = [row for row in await world.rows("outbox", order_id) if row["kind"] == "payment.recorded"]
    told = [(row["staff_id"], row["acting_as"]) for row in sorted(paid, key=lambda row: row["order_version"])]
    assert told == [(None, None), (None, "viewer"), (None, "author"), (None, "kim"), ("kim", None)] * 2
    keys = [row["key"] for row in await world.rows("idempotency_keys")]
    assert len(keys) == len(set(keys)) == 2 * len(callers)
    assert max(map(len, keys)) <= 255


async def an_order(world: World, **more: Any) -> OrderId:
    name = f"partner {len(await world.rows('clients'))}"
    return await world.service_order(await world.connect_client(name), **more)


async def staff(world: World, operator: Caller, method: str, path: str, body: Any = None) -> httpx.Response:
    return await world.http.request(method, STAFF + path, headers=world.manage_headers(operator), json=body)


async def a_token(world: World, operator: Caller, staff_id: str) -> Caller:
    made = await staff(world, operator, "POST", f"/{staff_id}/tokens", {})
    assert made.status_code == 201, made.text
    key, _, secret = made.json()["token"].partition(".")
    assert key == f"staff-{made.json()['key']}"
    assert secret not in str(await world.rows("staff_tokens"))
    return Caller(operator.client, key, secret)
