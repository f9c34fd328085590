"""No cache may keep what a call answers, but for what anybody may know."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from support.own_tokens import CERTS, a_token, an_own_world, bearing, own_client
from support.world import PUBLIC_URL, World

FOR_ANYBODY = {CERTS, "/auth/realms/superloop/.well-known/openid-configuration"}
CONTRACTS = ("tokens", "connect", "shopping", "manage", "partner")


@pytest_asyncio.fixture(params=[True, False], ids=["front", "framework"])
async def own(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async with an_own_world(tmp_path, "sqlite", monkeypatch, with_front=request.param) as world:
        yield world


async def test_every_call_and_every_refusal_says_that_no_cache_may_keep_it(own: World):
    partner, shop, operator = await own_client(own), await own.shopping_client(), await own.manage_client()
    telecom, bought = await own.service_order(partner), await own.ticket_order(shop, paid=True)
    kept = await own.http.post("/consumers", json={"first_name": "Ann"}, headers=own.shopping_headers(shop))
    credentials = {
        "tokens": {},
        "connect": bearing(await a_token(own)),
        "shopping": own.shopping_headers(shop),
        "manage": own.manage_headers(operator),
        "partner": own.shopping_headers(shop),
    }
    uids = {
        "/orders": str(bought.order.uid),
        "/tickets": bought.tickets[0].uid,
        "/consumers": kept.headers["location"].removeprefix(f"{PUBLIC_URL}/consumers/"),
    }
    succeeded, careless = set(), set()
    for name in CONTRACTS:
        document = (await own.http.get(f"/docs/{name}/openapi.json")).json()
        for path, methods in document["paths"].items():
            uid = next((uid for before, uid in uids.items() if path.startswith(before)), "1")
            order = f"connect-{telecom}" if name == "manage" else str(telecom)
            address = re.sub(r"{\w+}", "1", path.replace("{uid}", uid).replace("{id}", order))
            for method in [*methods, "patch"]:
                for headers in ({}, credentials[name]):
                    answer = await own.http.request(method.upper(), address, headers=headers)
                    assert answer.status_code != 500, (method, path, answer.text)
                    if answer.is_success:
                        succeeded.add(path)
                    if "no-store" not in answer.headers.get("cache-control", ""):
                        careless.add(path)
    assert careless == FOR_ANYBODY
    assert succeeded >= {
        *FOR_ANYBODY,
        *("/api/connect/orders", "/api/connect/orders/{id}", "/manage/v1/orders/{id}", "/manage/v1/clients"),
        *("/orders", "/orders/{uid}", "/tickets/{uid}", "/consumers", "/consumers/{uid}"),
    }


async def test_what_gives_a_token_or_a_secret_away_is_kept_by_no_cache(own: World):
    operator = own.manage_headers(await own.manage_client())
    wanted = {"contract": "shopping", "name": "Shop", "permissions": ["read"]}
    made = await own.http.post("/manage/v1/clients", content=json.dumps(wanted), headers=operator)
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")


async def test_health_and_readiness_are_of_this_instant(own: World):
    for path in ("/healthz", "/readyz", "/nowhere", "/metrics"):
        assert (await own.http.get(path)).headers["cache-control"] == "no-store", path
