"""Clients with access tokens over the operator's API: a public key is given, and a private key is never answered."""

import json
from typing import Any

import httpx
import pytest
import pytest_asyncio

from support.own_tokens import OWN, a_token, ask, assertion, bearing
from support.shared_world import Services
from support.tokens import strangers_key
from support.world import ISSUER, Caller, World, signing_key

CLIENTS = "/manage/v1/clients"
NEW: dict[str, Any] = {"contract": "connect", "name": "Acme", "client_id": "acme"}


@pytest_asyncio.fixture(params=["sqlite", "postgres"], loop_scope="module")
async def own(services_of_the_file: Services, request: pytest.FixtureRequest) -> World:
    """A world that gives tokens out."""
    return await services_of_the_file.world(request.param, **OWN)


@pytest_asyncio.fixture(params=["sqlite"], loop_scope="module")
async def theirs(services_of_the_file: Services, request: pytest.FixtureRequest) -> World:
    """A world that takes another issuer's tokens."""
    return await services_of_the_file.world(request.param)


@pytest.mark.parametrize("form", ["jwk", "pem"])
async def test_a_partner_is_added_with_its_public_key_and_calls_with_its_own_tokens(own: World, form: str):
    admin, key = await own.manage_client(), signing_key()
    public: Any = key.as_dict(private=False) if form == "jwk" else key.as_pem(private=False).decode()
    added = await post(own, admin, CLIENTS, NEW | {"public_key": public})
    assert added.status_code == 201, added.text
    made = added.json()
    assert (made["key"], made["secret"], made["token"]) == (None, None, None)
    assert made["client"]["identity"] == ["countermand", "acme"]
    assert made["key_id"] == (key.kid if form == "jwk" else key.thumbprint())
    reply = await ask(own.http, assertion(own, head={"kid": made["key_id"]}))
    assert reply.status_code == 200, reply.text
    listed = await own.http.get("/api/connect/orders", headers=bearing(reply.json()["access_token"]))
    assert listed.status_code == 200


async def test_a_partner_gets_another_key_and_the_old_one_stops_unless_it_is_kept(own: World):
    admin, other = await own.manage_client(), strangers_key()
    added = await post(own, admin, CLIENTS, NEW | {"public_key": signing_key().as_dict(private=False)})
    path = f"{CLIENTS}/{added.json()['client']['id']}"
    assert (await post(own, admin, f"{path}/rotate", {})).json()["errors"][0]["field"] == "public_key"
    given: dict[str, Any] = {"public_key": other.as_dict(private=False) | {"kid": "2"}, "keep_old": True}
    keys = await own.rows("client_keys")
    for overlap_s in (0, 3600):
        refused = await post(own, admin, f"{path}/rotate", given | {"overlap_s": overlap_s})
        assert [one["field"] for one in refused.json()["errors"]] == ["overlap_s"]
    assert await own.rows("client_keys") == keys
    rotated = await post(own, admin, f"{path}/rotate", given)
    assert (rotated.status_code, rotated.json()["key_id"], rotated.json()["secret"]) == (200, "2", None)
    await a_token(own)
    again = await post(own, admin, f"{path}/rotate", given)
    assert (again.status_code, again.json()["code"]) == (409, "key_exists")
    await post(own, admin, f"{path}/rotate", {"public_key": other.as_dict(private=False) | {"kid": "3"}})
    assert (await ask(own.http, assertion(own))).status_code == 401
    assert (await ask(own.http, assertion(own, key=other, head={"kid": "3"}))).status_code == 200
    await post(own, admin, f"{path}/revoke", None)
    refused = await post(own, admin, f"{path}/rotate", {"public_key": signing_key().as_pem(private=False).decode()})
    assert (refused.status_code, refused.json()["code"]) == (409, "client_revoked")


async def test_a_private_key_is_refused_and_neither_stored_nor_repeated(own: World):
    admin, key = await own.manage_client(), signing_key()
    before = await own.rows("clients"), await own.rows("client_keys")
    private = key.as_dict(private=True)
    for given in (private, key.as_pem(private=True).decode()):
        refused = await post(own, admin, CLIENTS, NEW | {"public_key": given})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "public_key")
        assert "private key" in refused.json()["detail"]
        assert str(private["d"])[:20] not in refused.text
    assert (await own.rows("clients"), await own.rows("client_keys")) == before


MINE = "MYPRIVATE" * 4
NO_KEY: dict[str, Any] = {
    "private key on a curve": {"kty": "EC", "crv": "P-256", "x": "AQAB", "y": "AQAB", "d": MINE},
    "private exponent alone": {"kty": "RSA", "d": MINE},
    "symmetric key": {"kty": "oct", "k": MINE},
    "private exponent of a wrong modulus": {"kty": "RSA", "n": "!!", "e": "AQAB", "d": MINE},
    "kid that is none": {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": [MINE]},
    "text of a JWK": json.dumps({"kty": "EC", "d": MINE}),
    "JWK that is cut off": json.dumps({"kty": "RSA", "d": MINE})[:-2],
    "text of a deep JWK": '{"a":' * 9_000 + MINE,
    "private PEM that is cut off": f"-----BEGIN PRIVATE KEY-----\n{MINE}\n",
    "PEM that is none": f"-----BEGIN PUBLIC KEY-----\n{MINE}\n-----END PUBLIC KEY-----",
    "list": [MINE],
    "number": 7,
}


@pytest.mark.parametrize("name", NO_KEY)
async def test_an_error_about_a_key_says_what_is_accepted_and_nothing_of_what_was_given(own: World, name: str):
    admin = await own.manage_client()
    added = await post(own, admin, CLIENTS, NEW | {"public_key": signing_key().as_dict(private=False)})
    before = await own.rows("clients"), await own.rows("client_keys")
    said = (
        "public_key must be a public RSA key: PEM text, or a JWK with kty, n and e; the partner keeps the private key"
    )
    for path in (CLIENTS, f"{CLIENTS}/{added.json()['client']['id']}/rotate"):
        refused = await post(own, admin, path, NEW | {"client_id": "other", "public_key": NO_KEY[name]})
        assert refused.status_code == 422, refused.text
        assert [tuple(one.values()) for one in refused.json()["errors"]] == [("invalid_field", "public_key", said)]
        assert "MYPRIVATE" not in refused.text
    assert (await own.rows("clients"), await own.rows("client_keys")) == before


async def test_a_body_in_the_wrong_shape_is_not_repeated_if_it_may_have_a_key(own: World):
    admin = await own.manage_client()
    for path, body in ((CLIENTS, [{"public_key": {"d": MINE}}]), (CLIENTS, MINE), (f"{CLIENTS}/1/rotate", [MINE])):
        refused = await own.http.post(path, json=body, headers=own.manage_headers(admin))
        assert refused.status_code == 422
        assert [one["message"] for one in refused.json()["errors"]] == ["the body must be an object"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "public_key"),
        ({"public_key": "no key"}, "public_key"),
        ({"public_key": {"kty": "RSA", "n": "AQAB"}}, "public_key"),
        ({"public_key": {"kty": "EC", "n": "AQAB", "e": "AQAB"}}, "public_key"),
        ({"public_key": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}}, "public_key"),
        ({"public_key": 7}, "public_key"),
        ({"public_key": "PUBLIC", "client_id": "a b"}, "client_id"),
        ({"public_key": "PUBLIC", "issuer": ISSUER}, "issuer"),
        ({"client_id": None, "issuer": ISSUER}, "client_id"),
        ({"issuer": "countermand"}, "issuer"),
        ({"public_key": "PUBLIC", "permissions": ["record"]}, "permissions"),
        ({"public_key": "PUBLIC", "redirect_url": "https://shop.test"}, "redirect_url"),
    ],
)
async def test_what_does_not_hold_is_named_and_adds_nobody(own: World, given: dict[str, Any], field: str):
    admin = await own.manage_client()
    before = await own.rows("clients")
    if given.get("public_key") == "PUBLIC":
        given = given | {"public_key": signing_key().as_pem(private=False).decode()}
    refused = await post(own, admin, CLIENTS, NEW | given)
    assert (refused.status_code, [one["field"] for one in refused.json()["errors"]]) == (422, [field]), refused.text
    assert await own.rows("clients") == before


async def test_a_partner_without_a_client_id_gets_one_and_no_two_share_one(own: World):
    admin, public = await own.manage_client(), signing_key().as_pem(private=False).decode()
    nameless = NEW | {"client_id": None, "public_key": public}
    names = [(await post(own, admin, CLIENTS, nameless)).json()["client"]["identity"][1] for _ in range(2)]
    assert len(set(names)) == 2
    twice = await post(own, admin, CLIENTS, nameless | {"client_id": names[0]})
    assert (twice.status_code, twice.json()["code"]) == (409, "client_exists")


async def test_a_partner_of_another_issuer_is_known_by_its_name_there(theirs: World):
    admin = await theirs.manage_client()
    added = await post(theirs, admin, CLIENTS, NEW | {"client_id": "portal"})
    assert (added.status_code, added.json()["key_id"]) == (201, None)
    assert added.json()["client"]["identity"] == [ISSUER, "portal"]
    headers = theirs.connect_headers(Caller(admin.client, subject="portal"))
    assert (await theirs.http.get("/api/connect/orders", headers=headers)).status_code == 200
    public = signing_key().as_pem(private=False).decode()
    refused = await post(theirs, admin, CLIENTS, NEW | {"public_key": public})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "public_key")
    number = added.json()["client"]["id"]
    assert (await post(theirs, admin, f"{CLIENTS}/{number}/rotate", None)).status_code == 409


async def post(world: World, caller: Caller, path: str, body: dict[str, Any] | None) -> httpx.Response:
    return await world.http.post(path, json=body, headers=world.manage_headers(caller))
