"""Browser applications: what their tokens let them do, and everything that they do not."""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from countermand.actions.identity.secrets import hash_of
from countermand.identity.browser_tokens import browser_token
from support.database_contents import changed, contents
from support.world import EVERYTHING, PUBLIC_URL, Caller, World, a_world

SHOP = "https://shop.example"


@pytest.fixture(params=["sqlite", "postgres"])
async def shop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(tmp_path, request.param, shopping_allowed_origins=[SHOP]) as made:
        yield made


async def test_a_browser_application_orders_and_reads_its_own_orders_and_cancels_none(shop: World):
    me = await shop.shopping_client()
    headers = bearer(token_for(shop, me))
    made = await shop.http.post("/orders", json=await wanted(shop), headers=headers)
    assert made.status_code == 201, made.text
    uri = made.headers["location"]
    assert (await shop.http.get(uri, headers=headers)).status_code == 200
    refused = await shop.http.post("/ordercancellation/", json={"order": uri, "reason": "x"}, headers=headers)
    assert (refused.status_code, refused.json()["type"]) == (403, "FORBIDDEN")
    assert (await shop.http.get(uri, headers=headers)).json()["status"] == "pending"
    # Its client, which may, is the one that made it.
    done = await shop.http.post(
        "/ordercancellation/", json={"order": uri, "reason": "x"}, headers=shop.shopping_headers(me)
    )
    assert done.status_code == 200


async def test_whoever_reads_its_token_in_the_page_finds_no_other_buyer_with_it(shop: World):
    me = await shop.shopping_client()
    bought = await shop.ticket_order(me, paid=True)
    kept = await shop.http.post("/consumers", json={"first_name": "Ann"}, headers=shop.shopping_headers(me))
    ticket = f"{PUBLIC_URL}/tickets/{bought.tickets[0].uid}"
    found = f"/tickets?event={PUBLIC_URL}/events/{'e' * 32}&code={bought.tickets[0].code}"
    given = {"tickets": [ticket], "consumer": {"first_name": "A thief"}}
    before = await contents(shop)
    for method, path, body in [
        ("GET", "/orders", None),
        ("GET", "/consumers", None),
        ("GET", kept.headers["location"], None),
        ("GET", ticket, None),
        ("GET", found, None),
        ("POST", "/consumers", {"first_name": "Bob"}),
        ("POST", "/orders", given),
        ("POST", "/bill", given),
    ]:
        answer = await shop.http.request(method, path, json=body, headers=bearer(token_for(shop, me)))
        assert (answer.status_code, answer.json()["type"]) == (403, "FORBIDDEN"), path
        assert bought.tickets[0].code not in answer.text
    assert not changed(before, await contents(shop))


async def test_a_visitor_with_its_token_reads_no_stored_consumer_through_an_order_or_a_bill(shop: World):
    me = await shop.shopping_client()
    secret = {"first_name": "Ann", "email": "ann@example.com", "phone_number": "0612345678", "country": "NL"}
    kept = (await shop.http.post("/consumers", json=secret, headers=shop.shopping_headers(me))).json()["uid"]
    body = await wanted(shop)
    of_the_order = body | {"consumer": {"uid": kept}}
    of_a_ticket = body | {"products": [body["products"][0] | {"consumers": [{"uid": kept, "first_name": "Bob"}]}]}
    unknown = body | {"consumer": {"uid": "0" * 32}}
    before = await contents(shop)
    for path in ("/orders", "/bill"):
        for given in (of_the_order, of_a_ticket, unknown):
            answer = await shop.http.post(path, json=given, headers=bearer(token_for(shop, me)))
            assert (answer.status_code, answer.json()["type"]) == (403, "FORBIDDEN"), (path, given)
            assert not [value for value in secret.values() if value in answer.text]
    assert not changed(before, await contents(shop))
    # The application itself, with its secret, may name the same consumer.
    done = await shop.http.post("/orders", json=of_the_order, headers=shop.shopping_headers(me))
    assert (done.status_code, done.json()["consumer"]["email"]) == (201, "ann@example.com")


async def test_it_sees_no_other_clients_orders_whatever_its_client_may(shop: World):
    me, other = await shop.shopping_client(permissions=EVERYTHING), await shop.shopping_client()
    uri = shop.uri(await shop.ticket_order(other))
    assert (await shop.http.get(uri, headers=shop.shopping_headers(me))).status_code == 200  # may see all
    assert (await shop.http.get(uri, headers=bearer(token_for(shop, me)))).status_code == 404


async def test_a_token_lasts_until_half_a_minute_after_its_end_as_clocks_are_apart(shop: World):
    me = await shop.shopping_client()
    uri = shop.uri(await shop.ticket_order(me))
    headers = bearer(token_for(shop, me, life=timedelta(hours=1)))
    shop.clock.forward(seconds=3629)
    assert (await shop.http.get(uri, headers=headers)).status_code == 200
    shop.clock.forward(seconds=1)
    assert (await shop.http.get(uri, headers=headers)).status_code == 401


async def test_a_page_whose_token_was_refused_hears_so_and_its_buyer_is_not_asked_for_a_password(shop: World):
    me = await shop.shopping_client()
    uri = shop.uri(await shop.ticket_order(me))
    spent = token_for(shop, me, life=timedelta(hours=1))
    shop.clock.forward(hours=2)
    refused = 'Bearer realm="shopping", error="invalid_token", error_description="the credentials are not valid"'
    paths = ("/events", "/products", "/orders", uri, f"{uri}/cancellability", "/consumers", "/bill")
    for token in (spent, "x", f"{me.key}.{me.secret}"):
        for path in paths:
            answer = await shop.http.get(path, headers=bearer(token))
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, refused), path
            assert token not in answer.text + str(answer.headers) or token == "x"
        given = {"order": uri, "reason": "x"}
        for path in ("/orders", "/consumers", "/ordercancellation/"):
            answer = await shop.http.post(path, json=given, headers=bearer(token))
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, refused), path


async def test_no_refused_order_token_makes_a_browser_ask_its_buyer_for_a_password(shop: World):
    uri = shop.uri(await shop.ticket_order(await shop.shopping_client()))
    answer = await shop.http.get(uri, headers={"Order-Token": "x"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="shopping"')


async def test_an_empty_token_is_none_and_is_challenged_without_an_error(shop: World):
    answer = await shop.http.get("/events", headers={"Authorization": "Bearer "})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="shopping"')


async def test_it_stops_with_its_clients_secret_or_its_client(shop: World):
    me, other = await shop.shopping_client(), await shop.shopping_client()
    tokens = {one.client.id: token_for(shop, one) for one in (me, other)}
    uris = {one.client.id: shop.uri(await shop.ticket_order(one)) for one in (me, other)}

    async def statuses() -> list[int]:
        return [
            (await shop.http.get(uris[one], headers=bearer(tokens[one]))).status_code
            for one in (me.client.id, other.client.id)
        ]

    assert await statuses() == [200, 200]
    rotated = {"secret_sha256": hash_of("another"), "now": shop.clock(), "overlap": timedelta(hours=1)}
    await shop.database.clients.rotate(me.client.id, **rotated)
    await shop.database.clients.revoke(other.client.id, shop.clock())
    assert await statuses() == [200, 401]  # a token that the old secret signed works for the overlap
    shop.clock.forward(hours=1)
    assert await statuses() == [401, 401]


async def test_no_other_token_passes_for_one(shop: World):
    me = await shop.shopping_client()
    uri = shop.uri(await shop.ticket_order(me))
    secret = hash_of(me.secret)
    now_s = int(shop.clock().timestamp())
    good: dict[str, Any] = {"sub": me.key, "typ": "Browser", "exp": now_s + 60}
    assert (await shop.http.get(uri, headers=bearer(signed(good, secret)))).status_code == 200
    operator, partner = await shop.manage_client(), await shop.connect_client()
    wrong = {
        "another's secret": signed(good, hash_of("x")),
        "the secret itself": signed(good, me.secret),
        "no expiry": signed({name: good[name] for name in ("sub", "typ")}, secret),
        "an expiry that is no number": signed(good | {"exp": True}, secret),
        "another type": signed(good | {"typ": "Bearer"}, secret),
        "nobody": signed(good | {"sub": "nobody"}, secret),
        "no subject": signed({"typ": "Browser", "exp": now_s + 60}, secret),
        "an operator's": f"{operator.key}.{operator.secret}",
        "a partner's": shop.token(partner),
        "key and secret": f"{me.key}.{me.secret}",
        "none": signed(good, secret).rpartition(".")[0] + ".",
        "nonsense": "x.y.z",
    }
    statuses = {name: (await shop.http.get(uri, headers=bearer(one))).status_code for name, one in wrong.items()}
    assert statuses == dict.fromkeys(wrong, 401)


@pytest.mark.parametrize("key", ["a\0b", "\ud800", "é" * 64, ""])
async def test_a_key_that_no_database_would_take_is_nobodys(shop: World, key: str):
    said = ({"alg": "HS256"}, {"iss": "countermand", "sub": key, "typ": "Browser", "exp": 4e9})
    token = ".".join(base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in said) + ".AA"
    assert (await shop.http.get("/events", headers=bearer(token))).status_code == 401
    basic = base64.b64encode(f"{key}:secret".encode(errors="replace")).decode()
    assert (await shop.http.get("/events", headers={"Authorization": f"Basic {basic}"})).status_code == 401


async def test_it_opens_no_other_door(shop: World):
    me = await shop.shopping_client()
    headers = bearer(token_for(shop, me)) | {"X-API-VERSION": "7"}
    assert (await shop.http.get("/api/connect/orders/1", headers=headers)).status_code == 401
    assert (await shop.http.get("/manage/v1/orders/connect-1", headers=headers)).status_code == 401


async def test_browsers_let_pages_of_allowed_origins_call_and_no_others(shop: World):
    me = await shop.shopping_client()
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    allowed = await shop.http.options("/orders", headers={"Origin": SHOP} | asks)
    assert allowed.headers["access-control-allow-origin"] == SHOP
    assert "authorization" in allowed.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in allowed.headers
    stranger = await shop.http.options("/orders", headers={"Origin": "https://else.example"} | asks)
    assert "access-control-allow-origin" not in stranger.headers
    made = await shop.http.post(
        "/orders", json=await wanted(shop), headers=bearer(token_for(shop, me)) | {"Origin": SHOP}
    )
    assert made.headers["access-control-allow-origin"] == SHOP
    for path in ("/manage/v1/clients", "/api/connect/orders", "/metrics"):  # it is the shopping contract that they call
        elsewhere = await shop.http.options(path, headers={"Origin": SHOP} | asks)
        assert "access-control-allow-origin" not in elsewhere.headers, path
    for origin in ({}, {"Origin": SHOP}, {"Origin": "https://else.example"}):
        assert (await shop.http.get("/status", headers=origin)).headers["vary"] == "Origin"
    assert (await shop.http.get("/")).headers["vary"] == "Accept, Origin"
    cancels = await shop.http.options("/ordercancellation/", headers={"Origin": SHOP} | asks)
    assert (cancels.status_code, "access-control-allow-origin" in cancels.headers) == (405, False)


def token_for(shop: World, caller: Caller, *, event: str | None = None, life: timedelta = timedelta(days=1)) -> str:
    return browser_token(replace(caller.client), hash_of(caller.secret), event_uid=event, now=shop.clock(), life=life)


def signed(claims: dict[str, Any], secret: str) -> str:
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(secret), ["HS256"])


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}


async def wanted(shop: World) -> dict[str, Any]:
    return {
        "products": [{"product": f"{PUBLIC_URL}/products/{await shop.product()}", "quantity": 1}],
        "consumer": {"first_name": "Jo", "country": "NL"},
        "payment_method": await shop.payment_method(),
    }
