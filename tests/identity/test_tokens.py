import base64
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from countermand.actions.errors import NotAuthenticatedError
from countermand.identity.authentication import Issuer, Tokens
from countermand.identity.key_sets import KeyRing, source_at
from support.connect_calls import CANCEL, cancel
from support.contracts import CONNECT
from support.database_contents import contents
from support.processes import Demo, countermand, until_ready
from support.shared_world import shared_both_worlds, shared_world
from support.tokens import FORGED, NOW_S, PUBLIC, by_us, claims, headed, header, part, signed, strangers_key
from support.world import EVERYTHING, ISSUER, NOON, Caller, World, a_world

both_worlds = shared_both_worlds
world = shared_world


async def test_no_forged_or_spent_token_opens_the_door_and_none_is_logged_or_repeated(
    world: World, log_lines: list[str], capfd: pytest.CaptureFixture[str]
):
    me = await world.connect_client("partner")
    order_id = await world.service_order(me)
    before = await contents(world)
    answers, told = {}, []
    for name, made in FORGED.items():
        token = made()
        reply = await cancel(world, me, {"orderId": order_id}, headers={"Authorization": f"Bearer {token}"})
        answers[name] = (reply.status, reply.headers.get("www-authenticate", "").partition(",")[0], reply.codes)
        said = "\n".join(log_lines) + "".join(capfd.readouterr()) + reply.body.decode() + str(reply.header_lines)
        told += [name for secret in token.split(".") if len(secret) > 8 and secret in said]
    refused = (401, 'Bearer error="invalid_token"', ["unauthorized"])
    assert {name: answer for name, answer in answers.items() if answer != refused} == {}
    assert told == []
    assert await contents(world) == before
    good = {"Authorization": f"Bearer {signed(header(), claims())}"}
    assert (await cancel(world, me, {"orderId": order_id}, headers=good)).status == 200


@pytest.mark.parametrize(
    "made",
    [
        by_us(),
        by_us(exp=NOW_S + 1),
        by_us(exp=NOW_S + 0.5),
        by_us(exp=2**53 - 1),
        by_us(nbf=NOW_S),
        by_us(nbf=NOW_S + 30),  # an issuer's clock may be this much ahead,
        by_us(exp=NOW_S - 29.999),  # or behind
        by_us(nbf=-1),
        by_us(aud=["anything"]),
        by_us(more="x" * 4000),
        by_us(more=[[[[{"a": [1, None, {"b": "c"}]}]]]]),
        headed(typ=None),
        headed(typ="at+jwt"),
        headed(x5t="unknown headers say nothing"),
    ],
)
async def test_a_token_that_holds_names_its_client(tmp_path: Path, made: Callable[[], str]):
    assert await verifier(tmp_path).identity(made()) == (ISSUER, "partner")


@pytest.mark.parametrize(("off_s", "is_valid"), [(8, True), (30, True), (30.001, False)])
async def test_an_issuers_clock_may_be_half_a_minute_off_and_no_more(tmp_path: Path, off_s: float, *, is_valid: bool):
    tokens = verifier(tmp_path)
    assert await accepts(tokens, by_us(nbf=NOW_S + off_s)()) is is_valid
    assert await accepts(tokens, by_us(exp=NOW_S - off_s + 0.0005)()) is is_valid


async def test_a_token_from_the_future_is_refused_with_by_how_much(tmp_path: Path):
    with pytest.raises(NotAuthenticatedError, match="nbf is 38 s in the future"):
        await verifier(tmp_path).identity(by_us(nbf=NOW_S + 38)())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    token=st.text(max_size=200)
    | st.tuples(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=20)).map(
        lambda parts: ".".join(part(one) for one in parts)
    )
    | st.tuples(
        st.dictionaries(
            st.sampled_from(["alg", "kid", "typ", "crit", "b64", "zip"]), st.none() | st.text() | st.lists(st.text())
        ),
        st.dictionaries(
            st.sampled_from(["iss", "exp", "clientId"]), st.none() | st.integers() | st.floats() | st.text()
        ),
    ).map(lambda both: f"{part(both[0])}.{part(both[1])}.{part(b'x')}")
)
@example(token="\u0667.\u0667.\u0667")
async def test_garbage_of_any_sort_is_no_token(tmp_path: Path, token: str):
    assert await accepts(verifier(tmp_path), token) is False


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changed=st.dictionaries(
        st.sampled_from(["iss", "exp", "nbf", "iat", "typ", "aud", "clientId"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
            max_leaves=5,
        ),
        max_size=3,
    )
)
async def test_well_signed_claims_of_any_sort_name_a_client_by_a_string_or_are_refused(
    tmp_path: Path, changed: dict[str, Any]
):
    tokens = verifier(tmp_path, audience="us")
    try:
        issuer, subject = await tokens.identity(signed(header(), claims(**{"aud": "us"} | changed)))
    except NotAuthenticatedError:
        return
    assert (issuer, subject) == (ISSUER, changed.get("clientId", "partner"))
    assert subject


@pytest.mark.parametrize("claim", ["clientId", "userId", "azp", "sub"])
async def test_the_claim_that_names_the_client_is_the_configured_one(tmp_path: Path, claim: str):
    named = {"clientId": "by clientId", "userId": "by userId", "azp": "by azp", "sub": "by sub"}
    async with a_world(tmp_path, connect_client_claim=claim) as world:
        callers = {name: await world.connect_client(subject) for name, subject in named.items()}
        orders = {name: await world.service_order(caller) for name, caller in callers.items()}
        headers = {"Authorization": f"Bearer {world.token('x', **named)}"}
        for name, order_id in orders.items():
            reply = await cancel(world, callers[name], {"orderId": order_id}, headers=headers)
            assert (name, reply.status) == (name, 200 if name == claim else 404)
        headers = {"Authorization": f"Bearer {world.token('x', **(named | {claim: None}))}"}
        assert (await cancel(world, callers[claim], {"orderId": orders[claim]}, headers=headers)).status == 401


@pytest.mark.parametrize(
    ("audience", "is_valid"),
    [
        ("us", True),
        (["us"], True),
        (["others", "us"], True),
        (..., False),
        (None, False),
        ("", False),
        ("US", False),
        ("us and others", False),
        (["others"], False),
        ([], False),
        ([["us"]], False),
        ({"us": 1}, False),
        (1, False),
    ],
)
async def test_a_configured_audience_must_be_among_the_tokens(tmp_path: Path, audience: Any, *, is_valid: bool):
    token = by_us(aud=audience)()
    assert await accepts(verifier(tmp_path, audience="us"), token) is is_valid
    assert await accepts(verifier(tmp_path), token) is True


async def test_a_configured_audience_is_asked_at_the_door(tmp_path: Path):
    async with a_world(tmp_path, connect_audience="us") as world:
        me = await world.connect_client()
        order_id = await world.service_order(me)
        for audience, status in ((None, 401), ("others", 401), ("us", 200)):
            headers = {"Authorization": f"Bearer {world.token(me, aud=audience)}"}
            assert (await cancel(world, me, {"orderId": order_id}, headers=headers)).status == status


async def test_two_issuers_never_share_a_client(world: World):
    me = await world.connect_client("partner")
    theirs = await world.database.clients.add(
        channel=CONNECT.channel,
        name="partner of another issuer",
        permissions=EVERYTHING,
        key=None,
        secret_sha256=None,
        identity=("http://other.test", "partner"),
        now=NOON,
    )
    order_id = await world.service_order(Caller(theirs))
    assert (await cancel(world, me, {"orderId": order_id})).status == 404
    assert await world.rows("cancellations", order_id) == []


async def test_a_remembered_token_is_refused_once_it_has_expired_and_the_leeway_is_over(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    orders = [await world.service_order(me) for _ in range(2)]
    headers = {"Authorization": f"Bearer {world.token(me, exp=NOW_S + 3000)}"}
    world.clock.now = NOON + timedelta(seconds=3030, microseconds=-1)
    assert (await cancel(world, me, {"orderId": orders[0]}, headers=headers)).status == 200
    world.clock.forward(microseconds=1)
    before = await contents(world)
    for ago_s in (30, 31):  # the second time it is no longer remembered
        reply = await cancel(world, me, {"orderId": orders[1]}, headers=headers)
        said = f"the bearer token has expired: exp passed {ago_s} s ago by the clock of this server"
        assert (reply.status, reply.error["message"]) == (401, said)
        world.clock.forward(microseconds=1)
    assert await contents(world) == before


async def test_a_remembered_token_is_refused_once_its_key_is_withdrawn(tmp_path: Path):
    tokens = verifier(tmp_path)
    token = by_us()()
    assert await accepts(tokens, token) is True
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [strangers_key().as_dict(private=False)]}))
    assert await accepts(tokens, token) is True  # nobody has looked yet
    await tokens.refresh()
    assert await accepts(tokens, token) is False
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [PUBLIC]}))
    await tokens.refresh()
    assert await accepts(tokens, token) is True


async def test_a_remembered_token_is_refused_once_its_client_is_revoked(both_worlds: World):
    world = both_worlds
    me, other = await world.connect_client("me"), await world.connect_client("other")
    orders = [await world.service_order(me) for _ in range(2)]
    headers = world.connect_headers(me)
    assert (await cancel(world, me, {"orderId": orders[0]}, headers=headers)).status == 200
    await world.database.clients.revoke(me.client.id, world.clock())
    assert (await cancel(world, me, {"orderId": orders[1]}, headers=headers)).status == 401
    assert await world.rows("cancellations", orders[1]) == []
    assert (await cancel(world, other, {"orderId": await world.service_order(other)})).status == 200


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_not_even_an_unexpected_failure_writes_a_secret_to_the_log(tmp_path: Path, log_format: str):
    log = tmp_path / "log"
    environment = {"COUNTERMAND_LOG_FORMAT": log_format, "COUNTERMAND_LOG_LEVEL": "debug"}
    with log.open("w") as stderr:
        process = countermand(
            "demo", "--data-dir", str(tmp_path), "--port", "0", environment=environment, stderr=stderr
        )
        try:
            base_url, said = until_ready(process)
            demo = Demo(process, base_url, said, tmp_path)
            shopping = demo.json["shopping"]
            with closing(sqlite3.connect(demo.database)) as connection:
                connection.execute("ALTER TABLE clients RENAME TO elsewhere")
            with demo.client(headers={"Idempotency-Key": "a-key"}) as http:
                order_id = demo.json["connect"]["orders"]["cancellable"][0]
                connect = http.post(CANCEL, headers=demo.connect_headers(), json={"orderId": order_id})
                body = {"order": shopping["orders"]["cancellable"][0], "reason": "x"}
                secret = (shopping["key"], shopping["secret"])
                shop = http.post("/ordercancellation", auth=secret, json=body)
            assert (connect.status_code, shop.status_code) == (500, 500)
        finally:
            process.terminate()
            process.wait(40)
            assert process.stdout is not None
            said += process.stdout.read().splitlines()
            process.stdout.close()
    written = re.sub(r"\W+", "", log.read_text() + "".join(said))  # long lines are wrapped, in frames
    assert "nosuchtable" in written
    token = demo.json["connect"]["access_token"]
    basic = base64.b64encode(":".join(secret).encode()).decode()
    secrets = {"claims": token.split(".")[1], "signature": token.split(".")[2], "secret": secret[1], "basic": basic}
    assert [name for name, value in secrets.items() if re.sub(r"\W+", "", value)[:32] in written] == []


def verifier(folder: Path, *, audience: str | None = None) -> Tokens:
    """A verifier at noon, with a key set in a file."""
    source = folder / "keys.json"
    source.write_text(json.dumps({"keys": [PUBLIC]}))
    return Tokens({ISSUER: Issuer(name=ISSUER, keys=KeyRing(source_at(str(source))), audience=audience)}, lambda: NOW_S)


async def accepts(tokens: Tokens, token: str) -> bool:
    try:
        await tokens.identity(token)
    except NotAuthenticatedError as error:
        assert token not in str(error) or len(token) < 20  # noqa: PT017
        return False
    return True


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    """Everything that our own log is told, whatever its level."""
    lines: list[str] = []

    def keep(_: Any, __: str, said: structlog.typing.EventDict) -> structlog.typing.EventDict:
        lines.append(repr(said))
        raise structlog.DropEvent

    structlog.configure(processors=[keep])
    yield lines
    structlog.reset_defaults()
