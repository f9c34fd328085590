"""Our own tokens on many nodes: whose count, which keys sign, rotation, withdrawal, and no token by a wrong path."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey
from sqlalchemy import delete, insert, select, update

from countermand.bootstrap.service import token_issuer_of
from countermand.domain.client import OWN_ISSUER
from countermand.identity import token_issuer
from countermand.settings import SettingsError
from countermand.storage.tables.clients import client_keys, clients, signing_keys
from support.connect_calls import cancel
from support.database_contents import contents
from support.own_tokens import (
    CERTS,
    REALM,
    TOKEN,
    TOKEN_URL,
    a_token,
    an_own_world,
    another_node,
    ask,
    assertion,
    bearing,
    made_keys,
    own_client,
)
from support.tokens import claims, header, pem, sealed, signed
from support.world import NOON, World, a_world

ORDERS = "/api/connect/orders/1"


@pytest_asyncio.fixture(params=["sqlite", "postgres"])
async def own(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async with an_own_world(tmp_path, request.param, monkeypatch) as world:
        await own_client(world)
        yield world


def kid_of(token: str) -> str:
    return str(jws.extract_compact(token.encode()).headers()["kid"])


async def published(http: httpx.AsyncClient) -> list[str]:
    return [key["kid"] for key in (await http.get(CERTS)).json()["keys"]]


async def counts(http: httpx.AsyncClient, token: str) -> bool:
    """Whether a token is taken: whose order it is not, is told to a known client alone."""
    return {404: True, 401: False}[(await http.get(ORDERS, headers=bearing(token))).status_code]


# what is published


async def test_the_configuration_names_the_endpoint_and_the_keys_under_the_public_address(own: World):
    reply = await own.http.get("/auth/realms/superloop/.well-known/openid-configuration")
    said = reply.json()
    assert (said["issuer"], said["token_endpoint"], said["jwks_uri"]) == (REALM, TOKEN_URL, f"http://shop.test{CERTS}")
    assert said["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert said["grant_types_supported"] == ["client_credentials"]
    assert reply.headers["cache-control"] == "public, max-age=300"


async def test_of_the_keys_the_public_parts_alone_are_published(own: World):
    reply = await own.http.get(CERTS)
    (key,) = reply.json()["keys"]
    assert set(key) == {"kty", "kid", "n", "e", "use", "alg"}
    assert (key["kty"], key["use"], key["alg"]) == ("RSA", "sig", "RS256")
    assert key["kid"] == RSAKey.import_key(key).thumbprint()
    assert reply.headers["cache-control"] == "public, max-age=300"


async def test_another_realm_is_another_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with an_own_world(tmp_path, "sqlite", monkeypatch, connect_realm="partners") as world:
        await own_client(world)
        path = TOKEN.replace("superloop", "partners")
        reply = await world.http.post(path, data={"grant_type": "x"})
        assert reply.json()["error"] == "unsupported_grant_type"
        assert (await world.http.post(TOKEN)).status_code == 404
        assert (await ask(world.http, assertion(world))).status_code == 404


async def test_where_others_give_tokens_out_there_is_no_endpoint_and_no_key(world: World):
    for method, path in (("POST", TOKEN), ("GET", CERTS), ("GET", "/docs/tokens")):
        assert (await world.http.request(method, path)).status_code == 404
    assert await world.rows("signing_keys") == []


async def test_it_is_described_and_every_call_described_is_served(own: World):
    document = (await own.http.get("/docs/tokens/openapi.json")).json()
    assert (await own.http.get("/docs/tokens")).status_code == 200
    assert set(document["paths"]) == {TOKEN, CERTS, "/auth/realms/superloop/.well-known/openid-configuration"}
    call = document["paths"][TOKEN]["post"]
    assert call["security"] == []
    (media_type,) = call["requestBody"]["content"]
    assert media_type == "application/x-www-form-urlencoded"
    form = document["components"]["schemas"]["TokenForm"]
    assert form["required"] == ["grant_type", "client_assertion_type", "client_assertion"]
    assert {"200", "400", "401", "413", "500", "503"} <= call["responses"].keys()


# keys, on two nodes


@pytest.mark.parametrize("on", ["sqlite", "postgres"])
async def test_of_nodes_that_start_at_once_one_makes_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on: str):
    async with an_own_world(tmp_path, on, monkeypatch) as world:
        async with world.database.store.transaction() as tx:  # as if none had started yet
            await tx.run(delete(signing_keys))
        keys = iter(made_keys(2))
        monkeypatch.setattr(token_issuer, "new_key", lambda: next(keys))
        nodes = [
            token_issuer_of(world.settings, world.database, "http://shop.test", clock=world.clock) for _ in range(2)
        ]
        await asyncio.gather(*(node.open() for node in nodes if node is not None))
        assert len(await world.rows("signing_keys")) == 1
        (first, second) = [await node.published() for node in nodes if node is not None]
        assert first == second


async def test_a_rotated_key_is_published_at_once_signs_after_the_overlap_and_the_old_one_goes_with_its_last_token(
    own: World,
):
    (old,) = await published(own.http)
    (_, (new, private_key)) = made_keys(2)
    async with another_node(own) as (http, _):
        nodes = (own.http, http)
        before = await a_token(own)
        await own.database.signing_keys.rotate(new, private_key, own.clock(), overlap=timedelta(seconds=600))
        for node in nodes:
            await until_published(node, [old, new])
        own.clock.now = NOON + timedelta(seconds=600, microseconds=-1)
        last = [await a_token(own, http=node) for node in nodes]
        assert {kid_of(token) for token in last} == {old}
        own.clock.now = NOON + timedelta(seconds=600)
        first = [await a_token(own, http=node) for node in nodes]
        assert {kid_of(token) for token in first} == {new}
        for node in nodes:
            assert [await counts(node, token) for token in (before, *last, *first)] == [True] * 5

        own.clock.now = NOON + timedelta(seconds=600 + 2998)  # a token's instants are whole seconds
        for node in nodes:
            assert [await counts(node, token) for token in (*last, *first)] == [True] * 4
        own.clock.now = NOON + timedelta(seconds=600 + 3060)
        for node in nodes:
            await until_published(node, [new])
    assert [key["retired_at"] is None for key in await own.rows("signing_keys")].count(True) == 1


async def test_a_token_of_a_key_that_a_node_has_not_seen_yet_is_taken_at_once(own: World):
    async with another_node(own, client_refresh_s=60) as (http, _):  # it does not look by itself
        (_, (new, private_key)) = made_keys(2)
        assert len(await published(http)) == 1
        await own.database.signing_keys.rotate(new, private_key, own.clock(), overlap=timedelta())
        await until_published_by_any(own.http, new)
        token = await a_token(own)
        assert kid_of(token) == new
        assert await counts(http, token)


async def test_a_withdrawn_key_counts_no_more_on_any_node_and_the_next_in_line_signs_at_once(own: World):
    (old,) = await published(own.http)
    _, (new, private_key), (spare, spare_private) = made_keys(3)
    keys = own.database.signing_keys
    async with another_node(own) as (http, _):
        nodes = (own.http, http)
        stolen = await a_token(own)
        assert [await counts(node, stolen) for node in nodes] == [True, True]
        await keys.rotate(new, private_key, own.clock(), overlap=timedelta(hours=1))
        await keys.withdraw(old, own.clock(), spare_kid=spare, spare_private_key=spare_private)
        for node in nodes:
            await until_published(node, [new])
            assert not await counts(node, stolen)
            token = await a_token(own, http=node)
            assert kid_of(token) == new
            assert await counts(own.http, token)
    assert spare not in {row["kid"] for row in await own.rows("signing_keys")}


async def test_where_the_only_key_is_withdrawn_a_spare_signs_at_once(own: World):
    (old,) = await published(own.http)
    _, (spare, private_key) = made_keys(2)
    await own.database.signing_keys.withdraw(old, own.clock(), spare_kid=spare, spare_private_key=private_key)
    await until_published(own.http, [spare])
    assert kid_of(await a_token(own)) == spare


async def until_published(http: httpx.AsyncClient, kids: list[str]) -> None:
    """The node reads its keys again within the seconds that a setting says: a tenth, here."""
    async with asyncio.timeout(10):
        while await published(http) != kids:  # noqa: ASYNC110 - the node says so to nobody
            await asyncio.sleep(0.02)


async def until_published_by_any(http: httpx.AsyncClient, kid: str) -> None:
    async with asyncio.timeout(10):
        while kid not in await published(http):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


# no token by a wrong path


async def test_no_token_is_taken_by_a_wrong_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(token_issuer, "new_key", lambda: made_keys(1)[0])
    async with a_world(tmp_path, connect_token_endpoint=True) as world:  # ours and somebody else's tokens
        me, theirs = await own_client(world), await world.connect_client("acme")
        good = await a_token(world)
        kid, private_key = made_keys(1)[0]
        ours = RSAKey.import_key(json.loads(private_key))
        mine = json.loads(jws.extract_compact(good.encode()).payload)
        own_head = {"alg": "RS256", "typ": "JWT", "kid": kid}
        order_id, others = await world.service_order(me), await world.service_order(theirs)
        wrong: dict[str, Callable[[], str]] = {
            "our claims, their key": lambda: signed(header(), mine),
            "our claims, their key under our kid": lambda: signed(own_head, mine),
            "their claims, our key": lambda: signed(own_head, claims(clientId="acme"), key=ours),
            "their claims, our key under their kid": lambda: signed(header(), claims(clientId="acme"), key=ours),
            "our issuer's name for clients": lambda: signed(own_head, mine | {"iss": OWN_ISSUER}, key=ours),
            "another realm of ours": lambda: signed(own_head, mine | {"iss": REALM + "2"}, key=ours),
            "HS256 with our public key": lambda: sealed(own_head | {"alg": "HS256"}, mine, pem(ours)),
            "no signature": lambda: good.rpartition(".")[0] + ".",
            "from the future": lambda: signed(own_head, mine | {"nbf": int(NOON.timestamp()) + 60}, key=ours),
            "without an end": lambda: signed(own_head, {k: v for k, v in mine.items() if k != "exp"}, key=ours),
            "an ID token": lambda: signed(own_head, mine | {"typ": "ID"}, key=ours),
            "an assertion": lambda: assertion(world),
            "an assertion that says it is of our issuer": lambda: assertion(world, iss=REALM, typ="Bearer"),
        }
        before = await contents(world)
        for name, made in wrong.items():
            reply = await cancel(world, me, {"orderId": order_id}, headers=bearing(made()))
            assert (name, reply.status) == (name, 401)
        assert await contents(world) == before
        for token, order, status in (
            (good, others, 404),  # the same name at two issuers is two clients
            (world.token(theirs), order_id, 404),
            (good, order_id, 200),
            (world.token(theirs), others, 200),
        ):
            assert (await cancel(world, me, {"orderId": order}, headers=bearing(token))).status == status


async def test_no_assertion_is_exchanged_that_is_an_access_token_or_of_another_issuers_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(token_issuer, "new_key", lambda: made_keys(1)[0])
    async with a_world(tmp_path, connect_token_endpoint=True) as world:
        await own_client(world)
        await world.connect_client("theirs")
        for given in (await a_token(world), world.token("theirs"), assertion(world, "theirs")):
            assert (await ask(world.http, given)).status_code == 401


async def test_an_issuer_that_has_our_address_is_refused_at_the_start(tmp_path: Path):
    with pytest.raises(SettingsError, match="CONNECT_ISSUER"):
        async with a_world(tmp_path, connect_token_endpoint=True, connect_issuer=REALM):
            pass


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
async def test_a_token_without_a_typ_claim_may_say_in_its_header_that_it_is_an_access_token(world: World, typ: str):
    me = await world.connect_client("partner")
    order_id = await world.service_order(me)
    for head, changed, status in (
        (header(typ="JWT"), {"typ": ...}, 401),
        (header(typ=None), {"typ": ...}, 401),
        (header(typ=["at+jwt"]), {"typ": ...}, 401),
        (header(typ=typ), {"typ": "ID"}, 401),
        (header(typ=typ), {"typ": None}, 401),
        (header(typ=typ), {"typ": ...}, 200),
    ):
        headers = {"Authorization": f"Bearer {signed(head, claims(**changed))}"}
        assert (await cancel(world, me, {"orderId": order_id}, headers=headers)).status == status


AN_EC_KEY = ECKey.generate_key("P-256")


async def test_a_signing_key_of_a_kind_that_a_newer_version_made_leaves_the_others_counting(own: World):
    before = await a_token(own)
    row = {
        "kid": "newer",
        "number": 99,
        "private_key": json.dumps(AN_EC_KEY.as_dict(private=True)),
        "created_at": 0,
        "signs_from": 0,
    }
    async with own.database.store.transaction() as tx:
        await tx.run(insert(signing_keys).values(row))
    async with another_node(own) as (http, _):
        after = await a_token(own, http=http)  # signed by the newest that this version can sign with
        assert kid_of(after) == kid_of(before)
        assert await published(http) == [kid_of(before)]
        assert await counts(http, before)
        assert await counts(http, after)


async def test_a_clients_key_of_a_kind_that_a_newer_version_takes_is_a_401_for_that_client_alone(own: World):
    await own_client(own, "other")
    async with own.database.store.transaction() as tx:
        of_other = client_keys.c.client_id == select(clients.c.id).where(clients.c.subject == "other").scalar_subquery()
        await tx.run(
            update(client_keys).where(of_other).values(public_key=json.dumps(AN_EC_KEY.as_dict(private=False)))
        )
    assert (await ask(own.http, assertion(own, "other"))).status_code == 401
    assert (await ask(own.http, assertion(own))).status_code == 200


async def test_nothing_of_an_exchange_is_logged(own: World, capfd: pytest.CaptureFixture[str]):
    given = assertion(own, jti=secrets.token_hex(16))
    token = (await ask(own.http, given)).json()["access_token"]
    await ask(own.http, given)
    said = "".join(capfd.readouterr())
    assert [one for one in (*given.split("."), *token.split(".")) if len(one) > 20 and one in said] == []
