"""What other people's token clients send, and what they hear: no `kid`, clocks that are off, schemes of HTTP's."""

from collections.abc import Callable
from typing import Any

import pytest
import pytest_asyncio
from joserfc.jwk import RSAKey

from countermand.identity import token_issuer
from support.database_contents import changed, contents
from support.own_tokens import ASSERTION_TYPE, OWN, TOKEN, as_client_key, ask, assertion, form, own_client
from support.shared_world import Services
from support.tokens import flawed, strangers_key
from support.world import NOON, World, signing_key

NOW_S = int(NOON.timestamp())


@pytest_asyncio.fixture(params=["sqlite", "postgres"], loop_scope="module")
async def own(services_of_the_file: Services, request: pytest.FixtureRequest) -> World:
    """A world that gives tokens out, with the client `acme`."""
    world = await services_of_the_file.world(request.param, **OWN)
    await own_client(world)
    return world


STRANGE: dict[str, Callable[[World], str]] = {
    "no client of that name": lambda world: assertion(world, "nobody"),
    "a name that no row can hold": lambda world: assertion(world, "a\0b"),
    "a name that is no text": lambda world: assertion(world, "\ud800"),
    "a name of a thousand characters": lambda world: assertion(world, "a" * 1000),
    "an unknown kid": lambda world: assertion(world, head={"kid": "unknown"}),
    "a kid that no row can hold": lambda world: assertion(world, head={"kid": "a\0"}),
    "a kid wider than its column": lambda world: assertion(world, head={"kid": "k" * 65}),
    "another key with its kid": lambda world: assertion(world, key=strangers_key()),
    "a flawed signature": lambda world: flawed(assertion(world)),
    "no kid, and a key of nobody's": lambda world: assertion(world, head={"kid": ...}, key=strangers_key()),
    "no kid, and no client of that name": lambda world: assertion(world, "nobody", head={"kid": ...}),
    "no kid, and the key of another client": lambda world: assertion(world, "other", head={"kid": ...}),
    "no kid, and a revoked client": lambda world: assertion(world, "revoked", head={"kid": ...}),
    "an empty kid": lambda world: assertion(world, head={"kid": ""}),
    "the kid of another client": lambda world: assertion(world, "other"),
    "a revoked client": lambda world: assertion(world, "revoked"),
}


async def test_whoever_is_not_known_hears_the_same_and_nothing_is_used_up(own: World):
    revoked = await own_client(own, "revoked")
    await own_client(own, "other", key=RSAKey.generate_key(2048, {"kid": "others"}))
    await own.database.clients.revoke(revoked.client.id, own.clock())
    before = await contents(own)
    said = set()
    for name, made in STRANGE.items():
        reply = await ask(own.http, made(own))
        assert (name, reply.status_code, reply.json()["error"]) == (name, 401, "invalid_client")
        assert "www-authenticate" not in reply.headers
        said.add(reply.text)
    assert len(said) == 1
    assert changed(before, await contents(own)) == set()


async def test_as_many_keys_are_read_and_tried_whoever_asks(own: World, monkeypatch: pytest.MonkeyPatch):
    revoked = await own_client(own, "revoked")
    other = await own_client(own, "other", key=RSAKey.generate_key(2048, {"kid": "others"}))
    await own.database.clients.revoke(revoked.client.id, own.clock())
    await own.database.clients.rotate_key(other.client.id, as_client_key(strangers_key(), "2"), NOON, keep_old=True)
    work: list[str] = []
    for name in ("_imported", "_is_signed_by"):
        monkeypatch.setattr(token_issuer, name, counted(name, getattr(token_issuer, name), work))
    for name, made in STRANGE.items():
        work.clear()
        assert (await ask(own.http, made(own))).status_code == 401
        assert (name, sorted(work)) == (name, ["_imported"] * 2 + ["_is_signed_by"] * 2)


def counted(name: str, done: Callable[..., Any], work: list[str]) -> Callable[..., Any]:
    def it(*given: Any) -> Any:
        work.append(name)
        return done(*given)

    return it


async def test_a_partner_whose_clock_is_half_a_minute_off_gets_a_token_and_further_off_hears_by_how_much(own: World):
    for off_s in (8, 30, -30):
        now_s = NOW_S + off_s
        made = assertion(own, iat=now_s, nbf=now_s, exp=now_s + 1)
        assert (off_s, (await ask(own.http, made)).status_code) == (off_s, 200)
    for off_s, said in ((31, "nbf is 31 s in the future"), (-31, "exp passed 30 s ago")):
        now_s = NOW_S + off_s
        reply = await ask(own.http, assertion(own, iat=now_s, nbf=now_s, exp=now_s + 1))
        assert (off_s, reply.status_code, said in reply.json()["error_description"]) == (off_s, 401, True)
    assert len(await own.rows("used_assertions")) == 3


async def test_a_partner_whose_library_sends_no_kid_gets_a_token_by_any_live_key_of_its_own(own: World):
    (client,) = await own.database.clients.all()
    new = RSAKey.generate_key(2048, {"kid": "new"})
    assert (await ask(own.http, assertion(own, head={"kid": ...}))).status_code == 200
    await own.database.clients.rotate_key(client.id, as_client_key(new), own.clock(), keep_old=True)
    for key in (signing_key(), new):
        assert (await ask(own.http, assertion(own, head={"kid": ...}, key=key))).status_code == 200
    await own.database.clients.rotate_key(client.id, as_client_key(new, "newer"), own.clock(), keep_old=False)
    assert (await ask(own.http, assertion(own, head={"kid": ...}))).status_code == 401
    assert (await ask(own.http, assertion(own, head={"kid": ...}, key=new))).status_code == 200


async def test_a_client_that_tries_a_scheme_of_https_is_challenged_with_it_and_no_other_client_is(own: World):
    without = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE}
    for fields in (without, form("x.y"), form(assertion(own, "nobody")), form("x", client_assertion_type="other")):
        for sent, challenge in (("Basic eDp5", 'Basic realm="tokens"'), ("DPoP x", 'DPoP realm="tokens"')):
            reply = await own.http.post(TOKEN, data=fields, headers={"Authorization": sent})
            assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")
            assert reply.headers["www-authenticate"] == challenge
        for nothing in ({}, {"Authorization": 'a"b c'}):
            assert "www-authenticate" not in (await own.http.post(TOKEN, data=fields, headers=nothing)).headers
    good = await own.http.post(TOKEN, data=form(assertion(own)), headers={"Authorization": "Basic eDp5"})
    assert good.status_code == 200
