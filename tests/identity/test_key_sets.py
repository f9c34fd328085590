import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from countermand.actions.errors import KeySetUnavailableError
from countermand.identity import key_sets
from countermand.identity.key_sets import KeyRing, Source, source_at
from support.connect_calls import cancel
from support.database_contents import contents
from support.tokens import claims, header, signed
from support.world import a_world

KEY = RSAKey.generate_key(2048)


def jwk(kid: str | None, **changed: Any) -> dict[str, Any]:
    """A public RSA key of this name. A value of None leaves a member out."""
    made = {**KEY.as_dict(private=False), "kid": kid, "use": "sig", "alg": "RS256"} | changed
    return {name: value for name, value in made.items() if value is not None}


@dataclass
class Issuer:
    """Somebody's key set, over real HTTP on loopback."""

    url: str = ""
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    asked: int = 0
    answers: threading.Event = field(default_factory=threading.Event)  # nothing is answered before it is set

    def has(self, *keys: dict[str, Any]) -> None:
        self.status, self.body = 200, json.dumps({"keys": keys}).encode()


@dataclass
class Seconds:
    """What the ring's own clock says."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


async def test_a_new_key_is_picked_up_because_a_token_names_it(issuer: Issuer, seconds: Seconds):
    issuer.has(jwk("one"))
    ring = KeyRing(source_at(issuer.url))
    assert await ring.key("one") is not None
    issuer.has(jwk("one"), jwk("two"))
    seconds.now += 60
    assert await ring.key("two") is not None
    assert await ring.key("one") is not None
    assert (issuer.asked, ring.changes) == (2, 2)


async def test_a_withdrawn_key_stops_counting_when_the_set_is_read_again(issuer: Issuer):
    issuer.has(jwk("one"), jwk("two"))
    ring = KeyRing(source_at(issuer.url))
    assert await ring.key("one") is not None
    issuer.has(jwk("two"))
    await ring.refresh()
    assert (await ring.key("one"), ring.changes) == (None, 2)
    assert await ring.key("two") is not None


async def test_the_same_set_read_again_is_no_change(issuer: Issuer):
    issuer.has(jwk("one"))
    ring = KeyRing(source_at(issuer.url))
    for _ in range(3):
        await ring.refresh()
    assert (issuer.asked, ring.changes) == (3, 1)


@pytest.mark.parametrize(("later_s", "asked"), [(0, 1), (59.99, 1), (60, 2)])
async def test_unknown_keys_make_it_look_again_at_most_once_a_minute(
    issuer: Issuer, seconds: Seconds, later_s: float, asked: int
):
    issuer.has(jwk("one"))
    ring = KeyRing(source_at(issuer.url))
    assert await ring.key("one") is not None
    seconds.now += later_s
    for number in range(20):
        assert await ring.key(f"unknown {number}") is None
    assert issuer.asked == asked


async def test_a_set_that_cannot_be_had_is_asked_for_at_most_once_a_minute_too(issuer: Issuer, seconds: Seconds):
    issuer.status = 500
    ring = KeyRing(source_at(issuer.url))
    for minute in (1, 2):
        for _ in range(20):
            with pytest.raises(KeySetUnavailableError):
                await ring.key("one")
        assert issuer.asked == minute
        seconds.now += 60


@pytest.mark.usefixtures("seconds")
async def test_whoever_waits_for_the_next_look_at_a_near_source_finds_the_new_key_and_all_wait_for_one_look():
    sets, asked = [jwk("one")], 0

    async def read() -> bytes:
        nonlocal asked
        asked += 1
        return json.dumps({"keys": sets}).encode()

    ring = KeyRing(Source("nearby", read), look_again_s=0.05, waits=True)
    assert await ring.key("one") is not None
    sets.append(jwk("two"))
    looked_for = await asyncio.gather(ring.key("two"), *(ring.key(f"unknown {number}") for number in range(20)))
    assert [key is not None for key in looked_for] == [True] + [False] * 20
    assert asked == 2


async def test_it_looks_once_for_however_many_callers_wait(issuer: Issuer):
    issuer.has(jwk("one"))
    issuer.answers.clear()
    ring = KeyRing(source_at(issuer.url))
    callers = [asyncio.create_task(ring.key("one")) for _ in range(200)]
    await _until_asked(issuer, 1)
    issuer.answers.set()
    assert None not in await asyncio.gather(*callers)
    assert issuer.asked == 1


async def test_nobody_with_a_known_key_waits_for_a_look_and_one_that_goes_away_takes_it_from_no_other(
    issuer: Issuer, seconds: Seconds
):
    issuer.has(jwk("one"))
    ring = KeyRing(source_at(issuer.url))
    assert await ring.key("one") is not None
    issuer.has(jwk("one"), jwk("two"))
    issuer.answers.clear()
    seconds.now += 60
    impatient, patient = asyncio.create_task(ring.key("two")), asyncio.create_task(ring.key("two"))
    await _until_asked(issuer, 2)
    assert await ring.key("one") is not None
    assert not patient.done()
    impatient.cancel()
    with suppress(asyncio.CancelledError):
        await impatient
    issuer.answers.set()
    assert await patient is not None
    assert issuer.asked == 2


DEEP = b"[" * 100_000
BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"<html>",
    "no UTF-8": b"\xff\xfe{}",
    "null": b"null",
    "a list": b"[]",
    "a string": b'"keys"',
    "an object without keys": b"{}",
    "keys that are null": b'{"keys":null}',
    "keys that are a number": b'{"keys":5}',
    "keys that are a string": b'{"keys":"one"}',
    "nested deeply": DEEP,
    "nested deeply in keys": b'{"keys":' + DEEP,
    "too large": json.dumps({"keys": [jwk("other")], "more": "x" * (1 << 20)}).encode(),
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_or_too_large_set_leaves_the_old_one_standing_until_a_good_one_comes(
    issuer: Issuer, seconds: Seconds, body: bytes
):
    issuer.has(jwk("one"))
    ring = KeyRing(source_at(issuer.url))
    await ring.refresh()
    issuer.body = body
    await ring.refresh()
    assert await ring.key("one") is not None
    with pytest.raises(KeySetUnavailableError):
        await ring.key("other")
    assert ring.changes == 1
    issuer.has(jwk("two"))
    seconds.now += 60
    assert await ring.key("two") is not None
    assert await ring.key("one") is None


async def test_a_set_of_just_under_a_mebibyte_is_read(issuer: Issuer):
    content = json.dumps({"keys": [jwk("one")], "more": ""}).encode()
    issuer.body = content.replace(b'"more": ""', b'"more": "' + b"x" * ((1 << 20) - len(content)) + b'"')
    assert len(issuer.body) == 1 << 20
    assert await KeyRing(source_at(issuer.url)).key("one") is not None
    issuer.body += b" "
    with pytest.raises(KeySetUnavailableError):
        await KeyRing(source_at(issuer.url)).key("one")


@pytest.mark.parametrize("status", [302, 401, 404, 429, 500, 503])
async def test_an_answer_that_is_no_success_leaves_the_old_one_standing(issuer: Issuer, status: int):
    issuer.has(jwk("one"))
    ring = KeyRing(source_at(issuer.url))
    await ring.refresh()
    issuer.has(jwk("other"))
    issuer.status, issuer.headers = status, {"Location": issuer.url}
    await ring.refresh()
    assert (ring.changes, issuer.asked) == (1, 2)
    assert await ring.key("one") is not None
    with pytest.raises(KeySetUnavailableError):
        await ring.key("other")


async def test_where_nobody_listens_it_says_so_and_works_when_somebody_does(
    issuer: Issuer, seconds: Seconds, tmp_path: Path
):
    for source in ("http://127.0.0.1:1/keys", "http://", "http://[/", str(tmp_path / "missing"), str(tmp_path)):
        ring = KeyRing(source_at(source))
        with pytest.raises(KeySetUnavailableError):
            await ring.key("one")
        ring._source = source_at(issuer.url)  # as if somebody now listened there
        issuer.has(jwk("one"))
        seconds.now += 60
        assert await ring.key("one") is not None, source


NOT_OURS: dict[str, dict[str, Any]] = {
    "an RSA key for encryption": jwk("other", use="enc", alg="RSA-OAEP"),
    "a key on a curve": ECKey.generate_key("P-256", {"kid": "other", "use": "sig"}).as_dict(private=False),
    "an Edwards key": OKPKey.generate_key("Ed25519", {"kid": "other", "use": "sig"}).as_dict(private=False),
    "a shared secret": OctKey.generate_key(256, {"kid": "other", "use": "sig"}).as_dict(private=True),
    "a kind nobody knows yet": {"kty": "AKP", "kid": "other", "alg": "ML-DSA-44", "pub": "AA"},
    "a curve nobody knows yet": {"kty": "OKP", "crv": "Ed999", "kid": "other", "x": "AA"},
    "an RSA key without a name": jwk(None),
    "an RSA key with an empty name": jwk(""),
    "an RSA key with a number for a name": jwk("other") | {"kid": 5},
    "an RSA key without a modulus": jwk("other", n=None),
    "an RSA key whose modulus is a number": jwk("other", n=5),
    "an RSA key whose modulus is no base64": jwk("other", n="!"),
    "an RSA key whose use is a list": jwk("other", use=["sig"]),
    "no kind": {"kid": "other"},
    "a kind that is a list": {"kty": ["RSA"], "kid": "other"},
}


@pytest.mark.parametrize("key", NOT_OURS.values(), ids=NOT_OURS.keys())
@pytest.mark.parametrize("first", [True, False])
async def test_a_key_that_cannot_verify_rs256_is_ignored_and_spoils_no_other(
    issuer: Issuer, key: dict[str, Any], *, first: bool
):
    issuer.has(*([key, jwk("one")] if first else [jwk("one"), key]))
    ring = KeyRing(source_at(issuer.url))
    assert await ring.key("one") is not None
    assert await ring.key("other") is None
    assert await ring.key("") is None


async def test_an_rsa_key_without_a_use_counts(issuer: Issuer):
    issuer.has(jwk("one", use=None, alg=None))
    assert await KeyRing(source_at(issuer.url)).key("one") is not None


async def test_a_set_in_a_file_is_rotated_by_writing_it_anew(tmp_path: Path, seconds: Seconds):
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [jwk("one")]}))
    ring = KeyRing(source_at(str(file)))
    assert await ring.key("one") is not None
    file.write_text(json.dumps({"keys": [jwk("two")]}))
    assert await ring.key("two") is None
    seconds.now += 60
    assert await ring.key("two") is not None
    assert await ring.key("one") is None
    file.unlink()
    await ring.refresh()
    assert await ring.key("two") is not None
    with pytest.raises(KeySetUnavailableError):
        await ring.key("three")


async def test_without_the_set_an_unknown_key_is_503_and_nothing_changes_while_known_ones_go_on_working(
    tmp_path: Path, issuer: Issuer, seconds: Seconds
):
    issuer.has(jwk("one"))
    async with a_world(tmp_path, connect_key_set=issuer.url) as world:
        me = await world.connect_client("partner")
        orders = [await world.service_order(me) for _ in range(3)]
        known, unknown = (
            {"Authorization": f"Bearer {signed(header(kid=kid), claims(), key=KEY)}"} for kid in ("one", "two")
        )
        issuer.status = 500
        seconds.now += 60
        before = await contents(world)
        reply = await cancel(world, me, {"orderId": orders[0]}, headers=unknown)
        assert (reply.status, reply.codes) == (503, ["unavailable"])
        assert int(reply.headers["retry-after"]) > 0
        assert "www-authenticate" not in reply.headers  # the token may well be good
        assert await contents(world) == before
        assert (await cancel(world, me, {"orderId": orders[1]}, headers=known)).status == 200

        issuer.has(jwk("one"), jwk("two"))
        seconds.now += 60
        assert (await cancel(world, me, {"orderId": orders[0]}, headers=unknown)).status == 200
        assert (await cancel(world, me, {"orderId": orders[2]}, headers=known)).status == 200


async def test_the_service_starts_without_the_set_and_answers_as_soon_as_it_is_there(
    tmp_path: Path, issuer: Issuer, seconds: Seconds
):
    issuer.status = 503
    async with a_world(tmp_path, connect_key_set=issuer.url) as world:
        me = await world.connect_client("partner")
        order_id = await world.service_order(me)
        headers = {"Authorization": f"Bearer {signed(header(kid='one'), claims(), key=KEY)}"}
        assert (await cancel(world, me, {"orderId": order_id}, headers=headers)).status == 503
        issuer.has(jwk("one"))
        seconds.now += 60
        assert (await cancel(world, me, {"orderId": order_id}, headers=headers)).status == 200


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Seconds:
    """The ring's clock alone: the event loop needs the real one."""
    clock = Seconds()
    monkeypatch.setattr(key_sets, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    """An issuer that listens on loopback, and that no proxy of the environment stands before."""
    monkeypatch.setenv("NO_PROXY", "*")
    it = Issuer()
    it.answers.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            it.asked += 1
            it.answers.wait(20)
            self.send_response(it.status)
            self.send_header("Content-Length", str(len(it.body)))
            for name, value in it.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(it.body)

        def log_message(self, *said: object) -> None:
            """Nothing to the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        it.url = f"http://127.0.0.1:{server.server_port}/keys"
        listening = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        listening.start()
        yield it
        it.answers.set()
        server.shutdown()
        listening.join()


async def _until_asked(issuer: Issuer, times: int) -> None:
    while issuer.asked < times:  # noqa: ASYNC110 - the issuer is in another thread
        await asyncio.sleep(0.001)
