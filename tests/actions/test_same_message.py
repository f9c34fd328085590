"""A repeat under the same `Idempotency-Key` may be written in other bytes: what counts is the message."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from msgspec import structs

from countermand.actions.cancelling.cancel_orders import NotCancelled
from countermand.actions.errors import IdempotencyKeyReusedError
from countermand.actions.idempotency import Fingerprints, IdempotencyKey
from support.connect_calls import SERVICE_ORDER
from support.database_contents import changed, contents
from support.manage_calls import PAYMENT, VISIT
from support.outside import outside
from support.shared_world import shared_both_worlds
from support.world import PUBLIC_URL, Caller, World

both_worlds = shared_both_worlds


@dataclass(frozen=True, kw_only=True)
class Keyed:
    """A request under a key: what it says, where and as whom it is sent, and the status of its answer."""

    path: str
    headers: dict[str, str]
    message: dict[str, Any]
    status: int

    async def sent(self, world: World, body: str | None = None, path: str | None = None) -> httpx.Response:
        content = json.dumps(self.message) if body is None else body
        return await world.http.post(path or self.path, content=content.encode(), headers=self.headers)


def connect(world: World, me: Caller, path: str, message: dict[str, Any], status: int) -> Keyed:
    headers = world.connect_headers(me, Idempotency_Key="k")
    return Keyed(path=path, headers=headers, message=message, status=status)


def shopping(world: World, me: Caller, path: str, message: dict[str, Any], status: int) -> Keyed:
    headers = world.shopping_headers(me, Idempotency_Key="k")
    return Keyed(path=path, headers=headers, message=message, status=status)


async def cancel_a_service(world: World) -> Keyed:
    me = await world.connect_client()
    return connect(world, me, "/api/connect/orders/cancel", {"orderId": await world.service_order(me)}, 200)


async def cancel_a_service_too_late(world: World) -> Keyed:
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=1))
    return connect(world, me, "/api/connect/orders/cancel", {"orderId": order_id}, 422)


async def order_a_service(world: World) -> Keyed:
    return connect(world, await world.connect_client(), "/api/connect/orders/create", SERVICE_ORDER, 201)


async def cancel_tickets(world: World) -> Keyed:
    me = await world.shopping_client()
    message = {"order": world.uri(await world.ticket_order(me)), "reason": "Änderung / 😀"}
    return shopping(world, me, "/ordercancellation/", message, 200)


async def order_tickets(world: World) -> Keyed:
    me = await world.shopping_client()
    line = {"product": f"{PUBLIC_URL}/products/{await world.product()}", "quantity": 1}
    message = {"products": [line], "consumer": {"first_name": "Zoë"}, "payment_method": await world.payment_method()}
    return shopping(world, me, "/orders", message, 201)


async def manage(world: World, call: str, message: dict[str, Any], status: int) -> Keyed:
    order_id = await world.service_order(await world.connect_client())
    headers = world.manage_headers(await world.manage_client(), Idempotency_Key="k")
    return Keyed(path=f"/manage/v1/orders/connect-{order_id}/{call}", headers=headers, message=message, status=status)


REQUESTS: dict[str, Callable[[World], Awaitable[Keyed]]] = {
    "a cancellation": cancel_a_service,
    "a cancellation that is refused": cancel_a_service_too_late,
    "an order": order_a_service,
    "a cancellation of tickets": cancel_tickets,
    "an order of tickets": order_tickets,
    "a payment": lambda world: manage(world, "payments", PAYMENT, 201),
    "an appointment": lambda world: manage(world, "appointments", VISIT, 201),
    "a transition": lambda world: manage(world, "moves", {"move": "accept"}, 200),
    "a cancellation on behalf": lambda world: manage(world, "cancel", {"reason": "é"}, 200),
}


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: reordered(value[name]) for name in reversed(list(value))}
    return [reordered(one) for one in value] if isinstance(value, list) else value


def written_otherwise(message: dict[str, Any]) -> list[str]:
    """The same message as other libraries write it."""
    first = next(iter(message))
    escaped = json.dumps(message).replace(f'"{first}"', f'"\\u{ord(first[0]):04x}{first[1:]}"', 1)
    return [
        json.dumps(message, separators=(",", ":")),
        json.dumps(message, indent=2),
        json.dumps(reordered(message)),
        json.dumps(message, ensure_ascii=False).replace("/", "\\/"),
        escaped,
        f"\r\n {json.dumps(message)}\n",
    ]


@pytest.mark.parametrize("name", REQUESTS)
async def test_the_same_json_written_otherwise_gets_the_stored_answer(both_worlds: World, name: str):
    world = both_worlds
    request = await REQUESTS[name](world)
    first = await request.sent(world)
    assert first.status_code == request.status
    before = await contents(world)
    for body in written_otherwise(request.message):
        again = await request.sent(world, body)
        assert (again.status_code, again.content) == (first.status_code, first.content), body
        assert again.headers.get("location") == first.headers.get("location")
    assert not changed(before, await contents(world))


@pytest.mark.parametrize("name", REQUESTS)
async def test_another_message_under_the_key_is_422_and_changes_nothing(both_worlds: World, name: str):
    world = both_worlds
    request = await REQUESTS[name](world)
    assert (await request.sent(world)).status_code == request.status
    before = await contents(world)
    for message, path in (({**request.message, "extra": None}, None), (request.message, request.path + "?a=1")):
        other = await request.sent(world, json.dumps(message), path)
        assert other.status_code == 422
        # The operator's calls have no parameters, and say so before they look at the key.
        is_refused_earlier = path is not None and path.startswith("/manage/")
        assert ("is no parameter" if is_refused_earlier else "idempotency_key_reused") in other.text.lower()
    assert not changed(before, await contents(world))


@pytest.mark.parametrize("name", REQUESTS)
async def test_the_key_of_an_older_version_stands_for_its_bytes(both_worlds: World, name: str):
    world = both_worlds
    request = await REQUESTS[name](world)
    first = await request.sent(world)
    async with outside(world) as older:  # that version did not know the column
        await older.rows("UPDATE idempotency_keys SET message_fingerprint = NULL")
    before = await contents(world)
    again = await request.sent(world)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    other = await request.sent(world, json.dumps(request.message, indent=1))
    assert other.status_code == 422
    assert "idempotency_key_reused" in other.text.lower()
    assert not changed(before, await contents(world))


@pytest.mark.parametrize("name", REQUESTS)
async def test_what_an_older_version_compares_is_stored_as_it_computes_it(both_worlds: World, name: str):
    world = both_worlds
    request = await REQUESTS[name](world)
    await request.sent(world)
    path = request.path.removesuffix("/")  # the cancel path has two spellings and is stored without the slash
    hashed = hashlib.sha256(f"POST {path}\n{json.dumps(request.message)}".encode()).hexdigest()
    (row,) = await world.rows("idempotency_keys")
    assert row["fingerprint"] == hashed
    assert len(row["message_fingerprint"]) == 64
    assert row["message_fingerprint"] != hashed


async def test_an_amount_is_the_same_with_other_zeros_and_another_amount_is_not(both_worlds: World):
    world = both_worlds
    request = await manage(world, "payments", {}, 201)

    def body(amount: str) -> str:
        return f'{{"reference": "tx 1", "amount": {amount}, "currency": "EUR"}}'

    first = await request.sent(world, body("2.50"))
    assert first.status_code == 201
    before = await contents(world)
    for amount in ("2.5", "2.500", "25e-1", "0.25E1"):
        again = await request.sent(world, body(amount))
        assert (again.status_code, again.content) == (201, first.content)
    for amount in ("2.51", "25", '"2.50"', "2.5000000000000000000000000000000000000000001"):
        assert (await request.sent(world, body(amount))).status_code in {400, 422}
    assert not changed(before, await contents(world))
    assert [row["amount_minor"] for row in await world.rows("payments")] == [250]


async def test_a_slash_at_the_end_of_the_path_is_no_other_request(both_worlds: World):
    world = both_worlds
    for make in (cancel_tickets, order_tickets):
        request = replace(await make(world), path="")
        path = "/ordercancellation" if make is cancel_tickets else "/orders"
        headers = request.headers | {"Idempotency-Key": path}
        request = replace(request, headers=headers)
        first = await request.sent(world, path=path + "/")
        assert first.status_code == request.status
        before = await contents(world)
        again = await request.sent(world, path=path)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert not changed(before, await contents(world))


async def test_two_spellings_of_a_message_in_one_batch_are_one_refusal(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=1))
    sent = [("one", "the message"), ("other", "the message"), ("one", "another message")]
    commands = [
        structs.replace(
            world.command(me, order_id),
            idempotency=IdempotencyKey(key="k", fingerprints=Fingerprints(request=request, message=message)),
        )
        for request, message in sent
    ]
    submit = world.service.commit.submit
    first, second, third = await asyncio.gather(*map(submit, commands), return_exceptions=True)
    assert isinstance(first, NotCancelled)
    assert second == first
    assert isinstance(third, IdempotencyKeyReusedError)
    assert len(await world.rows("refusals")) == 1
