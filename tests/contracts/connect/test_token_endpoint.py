"""The token endpoint as a partner meets it: the form, the reply, every no, and that an assertion is good once."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jws, jwt
from joserfc.jwk import RSAKey

from countermand.actions.errors import UnavailableError
from countermand.storage.repositories.clients import SqlClients
from support.connect_calls import cancel
from support.database_contents import changed, contents
from support.own_tokens import (
    ASSERTION_TYPE,
    CERTS,
    OWN,
    REALM,
    TOKEN,
    TOKEN_URL,
    a_token,
    another_node,
    as_client_key,
    ask,
    assertion,
    bearing,
    form,
    own_client,
)
from support.shared_world import Services
from support.tokens import header, part, pem, sealed, signed, strangers_key
from support.world import NOON, World, signing_key

PUBLISHED = Path(__file__).parent / "golden/token-claims.json"
NOW_S = int(NOON.timestamp())


@pytest_asyncio.fixture(params=["sqlite", "postgres"], loop_scope="module")
async def own(services_of_the_file: Services, request: pytest.FixtureRequest) -> World:
    """A world that gives tokens out, with the client `acme`."""
    world = await services_of_the_file.world(request.param, **OWN)
    await own_client(world)
    return world


# what is given out


async def test_an_assertion_is_exchanged_for_a_token_in_keycloaks_shape_that_nobody_may_store(own: World):
    reply = await ask(own.http, assertion(own), client_id="acme")
    assert reply.status_code == 200
    said = reply.json()
    assert said.pop("access_token")
    assert said == {
        "expires_in": 3000,
        "refresh_expires_in": 0,
        "token_type": "Bearer",
        "not-before-policy": 0,
        "scope": "",
    }
    assert (reply.headers["cache-control"], reply.headers["pragma"]) == ("no-store", "no-cache")
    assert reply.headers["content-type"] == "application/json"


async def test_the_token_has_the_claims_of_the_published_one_and_no_other(own: World):
    token = await a_token(own)
    (published,) = (await own.http.get(CERTS)).json()["keys"]
    decoded = jwt.decode(token, RSAKey.import_key(published), algorithms=["RS256"])
    expected = json.loads(PUBLISHED.read_text())
    assert decoded.header == {"alg": "RS256", "typ": "JWT", "kid": published["kid"]}
    assert list(decoded.claims) == list(expected)
    assert {name: type(value) for name, value in decoded.claims.items()} == {
        name: type(value) for name, value in expected.items()
    }
    constant = ("auth_time", "typ", "acr", "scope", "clientAddress")
    assert [decoded.claims[name] for name in constant] == [expected[name] for name in constant]
    assert (decoded.claims["iat"], decoded.claims["exp"]) == (NOW_S, NOW_S + 3000)
    assert decoded.claims["iss"] == REALM
    assert {decoded.claims[name] for name in ("clientId", "azp", "apps")} == {"acme"}


async def test_every_token_is_another_one(own: World):
    claims = [json.loads(jws.extract_compact((await a_token(own)).encode()).payload) for _ in range(2)]
    for name in ("jti", "sid", "session_state"):
        assert claims[0][name] != claims[1][name]
    assert claims[0]["sub"] == claims[1]["sub"]


async def test_the_token_opens_the_door_to_its_clients_orders_alone_and_for_its_time(own: World):
    me, other = await own_client(own, "me"), await own_client(own, "other")
    order_id, others = await own.service_order(me), await own.service_order(other)
    headers = bearing(await a_token(own, "me"))
    assert (await cancel(own, me, {"orderId": others}, headers=headers)).status == 404
    own.clock.forward(seconds=3029, microseconds=999_999)  # the leeway for clocks that are apart included
    assert (await own.http.get(f"/api/connect/orders/{order_id}", headers=headers)).status_code == 200
    own.clock.forward(microseconds=1)
    assert (await cancel(own, me, {"orderId": order_id}, headers=headers)).status == 401
    assert await own.rows("cancellations") == []
    again = bearing(await a_token(own, "me"))
    assert (await cancel(own, me, {"orderId": order_id}, headers=again)).status == 200


# the form


async def posted(
    own: World, body: bytes, media_type: str | None = "application/x-www-form-urlencoded"
) -> tuple[int, str]:
    headers = {} if media_type is None else {"Content-Type": media_type}
    reply = await own.http.post(TOKEN, content=body, headers=headers)
    assert reply.headers["cache-control"] == "no-store"
    return reply.status_code, reply.json()["error"]


NO_REQUEST = (400, "invalid_request")
GOOD = f"grant_type=client_credentials&client_assertion_type={ASSERTION_TYPE}&client_assertion="


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", NO_REQUEST),
        (b"client_assertion=x", NO_REQUEST),
        (b"grant_type=", NO_REQUEST),
        (b"grant_type=client_credentials", NO_REQUEST),
        (b"grant_type=client_credentials&client_assertion=x", NO_REQUEST),
        (GOOD.encode(), NO_REQUEST),
        (GOOD.encode() + b"x&grant_type=client_credentials", NO_REQUEST),
        (GOOD.encode() + b"x&client_assertion=x", NO_REQUEST),
        (GOOD.encode() + b"x&more=1&more=2", NO_REQUEST),
        (GOOD.encode() + b"x" + b"&a=1" * 60, NO_REQUEST),
        (b"grant_type=%ff", NO_REQUEST),
        (b"grant_type=\xff", NO_REQUEST),
        (b"grant_type=password&username=a&password=b", (400, "unsupported_grant_type")),
        (b"grant_type=authorization_code", (400, "unsupported_grant_type")),
        (b"grant_type=Client_Credentials", (400, "unsupported_grant_type")),
        (GOOD.replace("jwt-bearer", "saml2-bearer").encode() + b"x", (401, "invalid_client")),
        (GOOD.encode() + b"x", (401, "invalid_client")),
    ],
)
async def test_a_form_that_does_not_hold_is_said_so_as_oauth_says_it(own: World, body: bytes, said: tuple[int, str]):
    assert await posted(own, body) == said
    assert await own.rows("used_assertions") == []


@pytest.mark.parametrize("media_type", [None, "application/json", "multipart/form-data; boundary=x", "text/plain", "x"])
async def test_another_media_type_is_no_request(own: World, media_type: str | None):
    assert await posted(own, GOOD.encode() + assertion(own).encode(), media_type) == NO_REQUEST


async def test_the_media_type_may_have_a_charset_and_the_form_fields_that_nobody_knows(own: World):
    body = GOOD + assertion(own) + "&scope=&resource=x"
    headers = {"Content-Type": "Application/X-WWW-Form-URLEncoded; charset=UTF-8", "Idempotency-Key": "says nothing"}
    assert (await own.http.post(TOKEN, content=body, headers=headers)).status_code == 200
    assert await own.rows("idempotency_keys") == []


async def test_another_method_realm_or_size_is_refused_in_oauths_words(own: World):
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        reply = await own.http.request(method, TOKEN)
        assert (reply.status_code, reply.headers["allow"]) == (405, "POST")
        assert reply.json()["error"] == "invalid_request"
    for path in (TOKEN, CERTS, "/auth/realms/superloop/.well-known/openid-configuration"):
        elsewhere = path.replace("superloop", "other")
        reply = await own.http.request("POST" if path == TOKEN else "GET", elsewhere)
        assert (reply.status_code, reply.json()["error"]) == (404, "not_found")
    reply = await own.http.post(TOKEN, data=form("x" * 65_536))
    assert (reply.status_code, reply.json()["error"]) == (413, "invalid_request")


# the assertion

BROKEN: dict[str, Callable[[World], str]] = {
    "alg none": lambda world: f"{part(header(alg='none'))}.{assertion(world).split('.')[1]}.",
    "HS256 with the public key": lambda world: sealed(
        header(alg="HS256"), json.loads(jws.extract_compact(assertion(world).encode()).payload), pem(signing_key())
    ),
    "an unknown critical header": lambda world: assertion(world, head={"crit": ["x"], "x": 1}),
    "a kid of a thousand characters": lambda world: assertion(world, head={"kid": "k" * 1000}),
    "a key that it brings along": lambda world: assertion(
        world, head={"jwk": strangers_key().as_dict(private=False)}, key=strangers_key()
    ),
    "RS512": lambda world: assertion(world, head={"alg": "RS512"}),
    "a kid that is null": lambda world: assertion(world, head={"kid": None}),
    "a kid that is a list": lambda world: assertion(world, head={"kid": ["test-key"]}),
    "no aud": lambda world: assertion(world, aud=...),
    "for another audience": lambda world: assertion(world, aud="https://elsewhere.test/token"),
    "expired": lambda world: assertion(world, nbf=NOW_S - 60, exp=NOW_S - 30),
    "too long a life": lambda world: assertion(world, exp=NOW_S + 30_001),
    "from the future": lambda world: assertion(world, nbf=NOW_S + 31),
    "without a jti": lambda world: assertion(world, jti=...),
    "of somebody for somebody else": lambda world: assertion(world, sub="other"),
    "no JWT": lambda _: "x.y",
    "claims that are a list": lambda _: signed(header(), []),
    "deep claims": lambda _: signed(header(), b'{"aud":' + b"[" * 950 + b"]" * 950 + b"}"),
    "too long": lambda world: assertion(world, more="x" * 8192),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_an_assertion_that_does_not_hold_is_refused_with_a_word_about_why(own: World, name: str):
    before = await contents(own)
    reply = await ask(own.http, BROKEN[name](own))
    said = reply.json()
    assert (reply.status_code, said["error"]) == (401, "invalid_client")
    assert said["error_description"].startswith("client_assertion")
    assert not set(said["error_description"]) & {'"', "\\"}
    assert changed(before, await contents(own)) == set()


async def test_the_longest_life_and_both_audiences_hold(own: World):
    for held in ({"exp": NOW_S + 30_000}, {"aud": REALM}, {"aud": [TOKEN_URL, "others"]}):
        assert (await ask(own.http, assertion(own, **held))).status_code == 200


async def test_a_client_id_that_is_sent_must_be_the_assertions(own: World):
    await own_client(own, "other")
    reply = await ask(own.http, assertion(own), client_id="other")
    assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")
    assert "client_id" in reply.json()["error_description"]
    assert await own.rows("used_assertions") == []


# once


async def test_an_assertion_is_good_once_on_whichever_node_and_its_jti_good_for_another_client(own: World):
    await own_client(own, "other")
    once = assertion(own, jti="a name")
    assert (await ask(own.http, once)).status_code == 200
    async with another_node(own) as (http, _):
        for node in (own.http, http):
            reply = await ask(node, once)
            assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")
            assert "jti" in reply.json()["error_description"]
            again = await ask(node, assertion(own, jti="a name", exp=NOW_S + 10))
            assert again.status_code == 401
        assert (await ask(http, assertion(own, "other", jti="a name"))).status_code == 200
    assert len(await own.rows("used_assertions")) == 2


async def test_of_twenty_exchanges_at_once_on_two_nodes_one_wins(own: World):
    once = assertion(own)
    async with another_node(own) as (http, _):
        replies = await asyncio.gather(*(ask(node, once) for node in (own.http, http) for _ in range(10)))
    assert sorted(reply.status_code for reply in replies) == [200] + [401] * 19
    assert len(await own.rows("used_assertions")) == 1


async def test_what_the_database_keeps_of_an_assertion_is_a_hash_and_its_end(own: World):
    await ask(own.http, assertion(own, jti="nobody need know", exp=NOW_S + 10))
    (row,) = await own.rows("used_assertions")
    assert row["expires_at"] == (NOW_S + 10) * 1_000_000
    assert "nobody need know" not in repr(await contents(own))


async def test_without_the_database_it_is_503_and_the_assertion_is_good_afterwards(
    own: World, monkeypatch: pytest.MonkeyPatch
):
    once = assertion(own)
    with monkeypatch.context() as away:

        def gone(*_: Any, **__: Any) -> Any:
            raise UnavailableError("the database is away")

        away.setattr(type(own.database.store), "transaction", gone)
        reply = await ask(own.http, once)
        assert (reply.status_code, reply.json()["error"]) == (503, "temporarily_unavailable")
        assert int(reply.headers["retry-after"]) > 0
    assert (await ask(own.http, once)).status_code == 200


# a client's keys


async def test_a_new_key_stops_the_old_one_unless_it_is_kept_and_then_until_the_next(own: World):
    (client,) = await own.database.clients.all()
    keys = {kid: RSAKey.generate_key(2048, {"kid": kid}) for kid in ("two", "three")}
    asked: dict[str, RSAKey] = {"one": signing_key(), **keys}
    clients: SqlClients = own.database.clients

    async def counting() -> list[str]:
        return [
            name for name, key in asked.items() if (await ask(own.http, assertion(own, key=key))).status_code == 200
        ]

    assert await counting() == ["one"]
    own.clock.forward(seconds=1)
    await clients.rotate_key(client.id, as_client_key(keys["two"]), own.clock(), keep_old=True)
    assert await counting() == ["one", "two"]
    own.clock.forward(seconds=1)
    await clients.rotate_key(client.id, as_client_key(keys["three"]), own.clock(), keep_old=True)
    assert await counting() == ["two", "three"]
    own.clock.forward(seconds=1)
    await clients.rotate_key(client.id, as_client_key(signing_key(), "four"), own.clock(), keep_old=False)
    assert await counting() == []
    assert (await ask(own.http, assertion(own, head={"kid": "four"}))).status_code == 200


async def test_a_revoked_client_gets_no_token_and_those_it_has_stop(own: World):
    (client,) = await own.database.clients.all()
    headers = bearing(await a_token(own))
    async with another_node(own) as (http, _):
        for node in (own.http, http):
            assert (await node.get("/api/connect/orders/1", headers=headers)).status_code == 404
        await own.database.clients.revoke(client.id, own.clock())
        for node in (own.http, http):
            assert (await node.get("/api/connect/orders/1", headers=headers)).status_code == 401
            assert (await ask(node, assertion(own))).status_code == 401


# whatever comes


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fields=st.lists(
        st.tuples(
            st.sampled_from(["grant_type", "client_assertion_type", "client_assertion", "client_id", "x"]) | st.text(),
            st.sampled_from(["client_credentials", ASSERTION_TYPE, "a.b.c"]) | st.text(),
        ),
        max_size=6,
    )
)
async def test_no_form_breaks_it(fuzzed: World, fields: list[tuple[str, str]]):
    reply = await fuzzed.http.post(TOKEN, data=dict(fields))
    assert reply.status_code in {400, 401}
    assert reply.json().keys() == {"error", "error_description"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    claims=st.dictionaries(st.sampled_from(["iss", "sub", "aud", "exp", "nbf", "iat", "jti"]), json_values, max_size=3),
    head=st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "zip"]), json_values, max_size=2),
)
async def test_no_well_signed_assertion_breaks_it(fuzzed: World, claims: dict[str, Any], head: dict[str, Any]):
    reply = await ask(fuzzed.http, assertion(fuzzed, head=head, **claims))
    assert reply.status_code in {200, 401}


@pytest_asyncio.fixture(loop_scope="module")
async def fuzzed(services_of_the_file: Services) -> World:
    world = await services_of_the_file.world("sqlite", **OWN)
    await own_client(world)
    return world
