"""Makes worlds with a token issuer, clients with keys, and the assertions that these clients sign."""

import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import RSAKey

from countermand.actions.identity.ports import ClientKey
from countermand.bootstrap.database import Database, open_database
from countermand.bootstrap.service import build
from countermand.domain.client import OWN_ISSUER, Permission
from countermand.identity import token_issuer
from countermand.identity.token_issuer import new_key, public_part
from support.contracts import CONNECT
from support.tokens import signed
from support.world import EVERYTHING, PUBLIC_URL, Caller, World, a_world, running, signing_key

REALM = f"{PUBLIC_URL}/auth/realms/superloop"
TOKEN = "/auth/realms/superloop/protocol/openid-connect/token"
CERTS = "/auth/realms/superloop/protocol/openid-connect/certs"
TOKEN_URL = f"{PUBLIC_URL}{TOKEN}"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

OWN = {"connect_issuer": "", "connect_key_set": "", "connect_token_endpoint": True}

_made: list[tuple[str, str]] = []


def made_keys(number: int) -> list[tuple[str, str]]:
    """Keys of the server's own, (kid, private JWK): made once a run, as each takes a tenth of a second."""
    while len(_made) < number:
        _made.append(new_key())
    return _made[:number]


@asynccontextmanager
async def an_own_world(folder: Path, on: str, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> AsyncIterator[World]:
    """A world that gives tokens out, and takes nobody else's."""
    numbers = count(1)
    monkeypatch.setattr(token_issuer, "new_key", lambda: made_keys(next(numbers))[-1])
    async with a_world(folder, on, **OWN | settings) as world:
        yield world


@asynccontextmanager
async def another_node(
    world: World, *, address: str = PUBLIC_URL, **settings: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, Database]]:
    """A second service on the same database, with the same clock. `settings` overrides any of the world's."""
    its_own = world.settings.model_copy(update=settings)
    database = await open_database(its_own)
    service = build(its_own, database, address, clock=world.clock)
    transport = httpx.ASGITransport(service.application, raise_app_exceptions=False)
    async with running(service.application), httpx.AsyncClient(transport=transport, base_url=address) as http:
        yield http, database
    await database.close()


async def own_client(
    world: World,
    name: str = "acme",
    *,
    key: RSAKey | None = None,
    permissions: frozenset[Permission] = EVERYTHING,
) -> Caller:
    """A client of our own endpoint, with the public part of `key`."""
    client = await world.database.clients.add(
        channel=CONNECT.channel,
        name=name,
        permissions=permissions,
        key=None,
        secret_sha256=None,
        identity=(OWN_ISSUER, name),
        now=world.clock(),
        client_key=as_client_key(key or signing_key()),
    )
    return Caller(client, subject=name)


def as_client_key(key: RSAKey, kid: str | None = None) -> ClientKey:
    return ClientKey(kid=kid or key.kid or "", public_key=json.dumps(public_part(key)))


def assertion(
    world: World,
    name: str = "acme",
    *,
    head: Mapping[str, Any] | None = None,
    key: RSAKey | None = None,
    **changed: Any,
) -> str:
    """A good assertion at the world's instant. `changed` overrides a claim; `Ellipsis` leaves it out."""
    now_s = int(world.clock().timestamp())
    good = {"iss": name, "sub": name, "aud": TOKEN_URL, "exp": now_s + 300, "nbf": now_s, "jti": secrets.token_hex(8)}
    claims = {claim: value for claim, value in (good | changed).items() if value is not ...}
    header = {"alg": "RS256", "typ": "JWT", "kid": (key or signing_key()).kid} | (head or {})
    return signed({part: value for part, value in header.items() if value is not ...}, claims, key=key)


def form(given: str, **changed: Any) -> dict[str, str]:
    """The fields of a request for a token. `Ellipsis` leaves one out."""
    good = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE, "client_assertion": given}
    return {field: value for field, value in (good | changed).items() if value is not ...}


async def ask(http: httpx.AsyncClient, given: str, **changed: Any) -> httpx.Response:
    """Ask for a token."""
    return await http.post(TOKEN, data=form(given, **changed))


async def a_token(world: World, name: str = "acme", http: httpx.AsyncClient | None = None) -> str:
    reply = await ask(http or world.http, assertion(world, name))
    assert reply.status_code == 200, reply.text
    return str(reply.json()["access_token"])


def bearing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "X-API-VERSION": "7"}
