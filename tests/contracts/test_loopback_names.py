"""On a developer's machine: localhost, 127.0.0.1 and [::1] are one name while no public address is set."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from countermand.bootstrap.service import build, loopback_names
from countermand.settings import Settings, SettingsError
from support.own_tokens import TOKEN, an_own_world, another_node, ask, assertion, own_client
from support.world import World

HERE = "http://127.0.0.1:8080"
NAMES = (HERE, "http://localhost:8080", "http://[::1]:8080")
OTHERS = (
    *("http://localhost:8081", "http://localhost", "https://localhost:8080", "http://shop.test:8080"),
    *("http://localhost:8080.evil.test", "http://localhost:8080/orders", "http://127.0.0.2:8080"),
)
REALM = TOKEN.removesuffix("/protocol/openid-connect/token")


@pytest_asyncio.fixture
async def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async with an_own_world(tmp_path, "sqlite", monkeypatch) as world:
        await own_client(world)
        yield world


@pytest.mark.parametrize("here", NAMES)
async def test_a_shop_may_say_localhost_in_the_address_of_an_order_and_no_other_address(own: World, here: str):
    me = await own.shopping_client()
    async with another_node(own, address=here) as (http, _):
        headers = own.shopping_headers(me)
        for name in NAMES:
            order = await own.ticket_order(me)
            given = {"order": f"{name}/orders/{order.order.uid}", "reason": "x"}
            done = await http.post("/ordercancellation/", json=given, headers=headers)
            assert (name, done.status_code) == (name, 200)
            assert done.json()["_links"]["self"]["href"] == f"{here}/orders/{order.order.uid}"
        order = await own.ticket_order(me)
        for name in OTHERS:
            given = {"order": f"{name}/orders/{order.order.uid}", "reason": "x"}
            refused = await http.post("/ordercancellation/", json=given, headers=headers)
            assert (name, refused.status_code) == (name, 400)
    assert await own.rows("cancellations", order.order.id) == []


async def test_a_shop_may_say_localhost_in_every_address_that_it_sends(own: World):
    me = await own.shopping_client()
    uid, method = await own.product(), await own.payment_method()
    async with another_node(own, address=HERE) as (http, _):
        for name in NAMES:
            wanted = {"products": [{"product": f"{name}/products/{uid}", "quantity": 1}], "payment_method": method}
            bill = await http.post("/bill", json=wanted, headers=own.shopping_headers(me))
            assert (name, bill.status_code) == (name, 200), bill.text
            found = await http.get("/products", params={"event": f"{name}/events/{'e' * 32}"}, auth=(me.key, me.secret))
            assert (name, found.status_code) == (name, 200), found.text


async def test_a_partner_may_say_localhost_in_aud_and_no_other_address(own: World):
    async with another_node(own, address=HERE) as (http, _):
        for name in NAMES:
            for audience in (f"{name}{TOKEN}", f"{name}{REALM}"):
                assert (audience, (await ask(http, assertion(own, aud=audience))).status_code) == (audience, 200)
        for name in OTHERS:
            assert (name, (await ask(http, assertion(own, aud=f"{name}{TOKEN}"))).status_code) == (name, 401)


async def test_with_a_public_address_the_loopback_names_are_not_it(own: World):
    me = await own.shopping_client()
    async with another_node(own, address=HERE, public_url=HERE) as (http, _):
        assert (await ask(http, assertion(own, aud=NAMES[1] + TOKEN))).status_code == 401
        given = {"order": f"{NAMES[1]}/orders/{(await own.ticket_order(me)).order.uid}", "reason": "x"}
        refused = await http.post("/ordercancellation/", json=given, headers=own.shopping_headers(me))
        assert refused.status_code == 400


def test_a_machine_that_others_reach_has_one_name():
    assert loopback_names(Settings(), "http://192.0.2.7:8080") == ()
    assert set(loopback_names(Settings(), NAMES[2])) == {*NAMES[:2]}


@pytest.mark.parametrize("name", NAMES)
async def test_our_own_endpoint_is_nobody_elses_issuer_under_any_of_its_names(own: World, name: str):
    settings = own.settings.model_copy(update={"connect_issuer": name + REALM, "connect_token_endpoint": True})
    with pytest.raises(SettingsError, match="our own token endpoint"):
        build(settings, own.database, HERE, clock=own.clock)
