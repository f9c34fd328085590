"""An issuer's address alone is enough: its own description leads to its keys, unless it contradicts itself."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from countermand.actions.errors import KeySetUnavailableError
from countermand.identity import key_sets
from countermand.identity.key_sets import KeyRing, discovered
from countermand.settings import SettingsError, read_settings
from support.connect_calls import cancel
from support.tokens import PUBLIC, claims, header, signed
from support.world import World, a_world

CONFIGURATION = "/.well-known/openid-configuration"


@dataclass
class Somebody:
    """An issuer on loopback: what it answers at which path, as JSON, and how often it was asked."""

    url: str = ""
    pages: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def describes(self, **changed: Any) -> None:
        self.pages["/realm" + CONFIGURATION] = {"issuer": self.url, "jwks_uri": f"{self.url}/certs"} | changed
        self.pages["/realm/certs"] = {"keys": [PUBLIC]}


@pytest.fixture
def somebody(monkeypatch: pytest.MonkeyPatch) -> Iterator[Somebody]:
    monkeypatch.setenv("NO_PROXY", "*")
    it = Somebody()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            it.asked.append(self.path)
            body = json.dumps(it.pages.get(self.path)).encode()
            self.send_response(200 if self.path in it.pages else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *said: object) -> None:
            """Nothing to the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        it.url = f"http://127.0.0.1:{server.server_port}/realm"
        listening = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        listening.start()
        yield it
        server.shutdown()
        listening.join()


async def test_its_description_leads_to_its_keys(somebody: Somebody):
    somebody.describes()
    assert await KeyRing(discovered(somebody.url)).key(PUBLIC["kid"]) is not None
    assert somebody.asked == ["/realm" + CONFIGURATION, "/realm/certs"]


async def test_a_slash_at_the_end_belongs_to_its_name_and_not_to_the_path(somebody: Somebody):
    somebody.describes(issuer=somebody.url + "/")
    assert await KeyRing(discovered(somebody.url + "/")).key(PUBLIC["kid"]) is not None
    with pytest.raises(KeySetUnavailableError):
        await KeyRing(discovered(somebody.url)).key(PUBLIC["kid"])


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "https://elsewhere.test"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": "/realm/certs"},
        {"jwks_uri": "file:///etc/hostname"},
        {"jwks_uri": ["http://127.0.0.1/certs"]},
        {"jwks_uri": "http://127.0.0.1:1/certs"},
    ],
)
async def test_a_description_that_is_not_its_own_or_leads_nowhere_is_not_followed(
    somebody: Somebody, changed: dict[str, Any]
):
    somebody.describes(**changed)
    with pytest.raises(KeySetUnavailableError):
        await KeyRing(discovered(somebody.url)).key(PUBLIC["kid"])
    assert "/realm/certs" not in somebody.asked


@pytest.mark.parametrize("described", [None, [], "x", {}, 7])
async def test_a_description_that_is_none_is_no_description(somebody: Somebody, described: Any):
    somebody.pages["/realm" + CONFIGURATION] = described
    with pytest.raises(KeySetUnavailableError):
        await KeyRing(discovered(somebody.url)).key(PUBLIC["kid"])


async def test_an_issuer_with_tls_does_not_lead_to_keys_without(monkeypatch: pytest.MonkeyPatch):
    asked = []

    async def fetched(url: str) -> bytes:
        asked.append(url)
        return json.dumps({"issuer": "https://sso.test", "jwks_uri": "http://sso.test/certs"}).encode()

    monkeypatch.setattr(key_sets, "_fetched", fetched)
    with pytest.raises(KeySetUnavailableError):
        await KeyRing(discovered("https://sso.test")).key("one")
    assert asked == [f"https://sso.test{CONFIGURATION}"]


async def test_the_issuer_alone_is_enough_and_while_it_is_away_an_unknown_key_is_503(
    tmp_path: Path, somebody: Somebody, monkeypatch: pytest.MonkeyPatch
):
    async def asks(world: World, order_id: int) -> int:
        headers = {"Authorization": f"Bearer {signed(header(), claims(iss=somebody.url))}"}
        return (await cancel(world, me, {"orderId": order_id}, headers=headers)).status

    monkeypatch.setattr("support.world.ISSUER", somebody.url)
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(key_sets, "time", SimpleNamespace(monotonic=lambda: clock.now))
    async with a_world(tmp_path, connect_issuer=somebody.url, connect_key_set="") as world:
        me = await world.connect_client("partner")
        order_id = await world.service_order(me)
        assert await asks(world, order_id) == 503
        assert await world.rows("cancellations") == []
        somebody.describes()
        assert await asks(world, order_id) == 503, "a minute has not passed"
        clock.now += 60
        assert await asks(world, order_id) == 200


# settings


@pytest.mark.parametrize(
    ("given", "gives_tokens_out"),
    [
        ({}, True),
        ({"connect_token_endpoint": False}, False),
        ({"connect_issuer": "https://sso.test"}, False),
        ({"connect_issuer": "https://sso.test", "connect_token_endpoint": True}, True),
        ({"connect_issuer": "https://sso.test", "connect_token_endpoint": False}, False),
        ({"connect_issuer": ""}, True),
    ],
)
def test_tokens_are_given_out_here_unless_somebody_else_does(given: dict[str, Any], *, gives_tokens_out: bool):
    assert read_settings(**given).gives_tokens_out is gives_tokens_out


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"connect_key_set": "certs.json"}, "COUNTERMAND_CONNECT_KEY_SET"),
        ({"connect_issuer": "sso.test"}, "'sso.test'"),
        ({"connect_issuer": "countermand", "connect_key_set": "certs.json"}, "'countermand'"),
        ({"connect_realm": "a/b"}, "'a/b'"),
        ({"connect_realm": ""}, "COUNTERMAND_CONNECT_REALM"),
    ],
)
def test_an_issuer_nobody_could_find_is_refused_at_the_start(given: dict[str, Any], named: str):
    with pytest.raises(SettingsError) as raised:
        read_settings(**given)
    assert named in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_issuer_need_be_no_address_where_its_keys_are_in_a_file():
    assert read_settings(connect_issuer="sso", connect_key_set="certs.json").connect_issuer == "sso"
