"""Who counts as a client, how soon a change of theirs does, and where their secrets are not."""

import asyncio
import contextlib
import hashlib
import io
import logging
import re
import secrets
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import structlog

from countermand.actions.errors import ConflictError, NotFoundError, UnavailableError
from countermand.actions.identity.secrets import hash_of
from countermand.contracts.http.cancel_endpoint import BasicKey
from countermand.contracts.registry import CONTRACTS, accesses_of
from countermand.identity import authentication as auth
from countermand.identity import client_directory
from countermand.identity.authentication import Authentication, Tokens
from countermand.identity.client_directory import Directory
from countermand.identity.staff_directory import StaffDirectory
from countermand.serving import set_up_logging
from support.contracts import SHOPPING
from support.database_contents import contents
from support.manage_calls import PAYMENT, manage
from support.shopping_calls import cancel
from support.world import EVERYTHING, ISSUER, Caller, World, a_world


async def test_rotating_keeps_the_client_and_its_orders_and_stops_the_old_secret(world: World):
    me = await world.shopping_client()
    order = await world.ticket_order(me)
    new = await _rotated(world, me)
    assert (new.client.id, new.client.permissions) == (me.client.id, me.client.permissions)
    for stale in [me, Caller(me.client, "another key", new.secret)]:
        assert (await cancel(world, stale, world.uri(order))).status_code == 401
    assert await world.rows("cancellations") == []
    assert (await cancel(world, new, world.uri(order))).status_code == 200


async def test_the_old_secret_works_until_the_end_of_the_overlap_and_never_again(world: World):
    me = await world.shopping_client()
    order = await world.ticket_order(me)
    assert (await cancel(world, me, "x")).status_code == 400
    new = await _rotated(world, me, overlap=timedelta(hours=1))
    assert new.client.previous_secret_until == world.clock() + timedelta(hours=1)
    assert [(await cancel(world, one, "x")).status_code for one in (me, new)] == [400, 400]
    world.clock.forward(minutes=59, seconds=59)
    assert [(await cancel(world, one, "x")).status_code for one in (me, new)] == [400, 400]
    world.clock.forward(seconds=1)
    assert (await cancel(world, me, world.uri(order))).status_code == 401
    assert (await cancel(world, new, world.uri(order))).status_code == 200


async def test_a_secret_that_works_in_an_overlap_is_stopped_by_no_second_rotation_but_by_one_without_overlap(
    world: World,
):
    me = await world.shopping_client()
    second = await _rotated(world, me, overlap=timedelta(hours=1))
    with pytest.raises(ConflictError, match="keep_old") as raised:
        await _rotated(world, me, overlap=timedelta(hours=1))
    assert raised.value.code == "secret_overlap"
    assert [(await cancel(world, one, "x")).status_code for one in (me, second)] == [400, 400]
    third = await _rotated(world, me, overlap=None)
    assert [(await cancel(world, one, "x")).status_code for one in (me, second, third)] == [400, 401, 400]
    last = await _rotated(world, me)
    statuses = [(await cancel(world, one, "x")).status_code for one in (me, second, third, last)]
    assert statuses == [401, 401, 401, 400]


async def test_a_revoked_client_is_not_rotated_but_restored_with_the_secret_that_it_had(world: World):
    me = await world.shopping_client()
    new = await _rotated(world, me, overlap=timedelta(hours=1))
    await world.database.clients.revoke(me.client.id, world.clock())
    before = await world.rows("clients")
    with pytest.raises(ConflictError, match=f"client {me.client.id} is revoked") as raised:
        await _rotated(world, me)
    assert raised.value.code == "client_revoked"
    assert await world.rows("clients") == before
    for _ in range(2):
        restored = await world.database.clients.restore(me.client.id)
        assert (restored.id, restored.revoked_at) == (me.client.id, None)
    assert [(await cancel(world, one, "x")).status_code for one in (me, new)] == [401, 400]


async def test_of_two_rotations_at_once_one_is_refused_and_the_old_secret_works_beside_the_others(world: World):
    me = await world.shopping_client()
    both = (_rotated(world, me, overlap=timedelta(hours=1)) for _ in range(2))
    ends = await asyncio.gather(*both, return_exceptions=True)
    (new,) = (one for one in ends if isinstance(one, Caller))
    (refused,) = (one for one in ends if isinstance(one, ConflictError))
    assert refused.code == "secret_overlap"
    assert [(await cancel(world, one, "x")).status_code for one in (me, new)] == [400, 400]


async def test_a_wrong_secret_makes_a_node_read_the_client_again_only_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    now = [1000.0]
    monkeypatch.setattr(auth.time, "monotonic", lambda: now[0])
    async with _with_refresh(tmp_path, 60) as (world, asked):
        me = await world.shopping_client()
        assert await asked(me) == me.client.id
        read = _lookups_of(world, monkeypatch)
        for _ in range(10):
            assert await asked(Caller(me.client, me.key, "wrong")) is None
        assert read == [{me.key}]
        now[0] += 1
        new = await _rotated(world, me)
        assert [await asked(one) for one in (new, me)] == [me.client.id, None]
        assert read == [{me.key}] * 2


async def test_revoking_counts_at_once_where_clients_are_read_every_time(world: World):
    me, partner, operator = await world.shopping_client(), await world.connect_client(), await world.manage_client()
    order, order_id = await world.ticket_order(me), await world.service_order(partner)

    async def statuses() -> list[int]:
        return [
            (await world.http.get(f"/orders/{order.order.uid}", headers=world.shopping_headers(me))).status_code,
            (
                await world.http.get(f"/api/connect/orders/{order_id}", headers=world.connect_headers(partner))
            ).status_code,
            (await manage(world, operator, "GET", str(order_id))).status_code,
        ]

    assert await statuses() == [200, 200, 200]
    for caller in (me, partner, operator):
        await world.database.clients.revoke(caller.client.id, world.clock())
    assert await statuses() == [401, 401, 401]
    assert {row["id"]: row["state"] for row in await world.rows("orders")} == {
        order_id: "submitted",
        order.order.id: "pending",
    }


async def test_a_change_counts_after_the_seconds_it_is_said_to_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    now = [1000.0]
    monkeypatch.setattr(auth.time, "monotonic", lambda: now[0])
    async with _with_refresh(tmp_path, 2) as (world, asked):
        revoked, rotated = await world.shopping_client(), await world.shopping_client()
        for caller in (revoked, rotated):
            assert await asked(caller) == caller.client.id
        await world.database.clients.revoke(revoked.client.id, world.clock())
        new = await _rotated(world, rotated)
        now[0] = 1001.999
        assert [await asked(caller) for caller in (revoked, rotated)] == [revoked.client.id, rotated.client.id]
        assert await asked(new) == rotated.client.id
        now[0] = 1002.0
        assert [await asked(caller) for caller in (revoked, rotated, new)] == [None, None, rotated.client.id]


async def test_a_new_client_counts_at_once_but_for_a_key_that_was_guessed_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    now = [1000.0]
    monkeypatch.setattr(auth.time, "monotonic", lambda: now[0])
    async with _with_refresh(tmp_path, 2) as (world, asked):
        known = await world.shopping_client()
        assert await asked(known) == known.client.id
        early = Caller(known.client, "guessed", "s")
        assert await asked(early) is None
        made = await _add(world, key="guessed", secret="s")
        assert await asked(early) is None
        now[0] = 1002.0
        assert await asked(early) == made


async def test_all_clients_are_read_again_in_one_query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    now = [1000.0]
    monkeypatch.setattr(auth.time, "monotonic", lambda: now[0])
    async with _with_refresh(tmp_path, 2) as (world, asked):
        callers = [await world.shopping_client() for _ in range(5)]
        for caller in callers:
            await asked(caller)
        asked_for = []
        current = world.database.clients.current

        async def counted(ids):
            asked_for.append(len(ids))
            return await current(ids)

        monkeypatch.setattr(world.database.clients, "current", counted)
        now[0] = 1002.0
        for caller in callers:
            assert await asked(caller) == caller.client.id
        assert asked_for == [5]


async def test_who_guesses_makes_nobody_known_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client_directory, "_UNKNOWN_CAP", 3)
    async with a_world(tmp_path) as world:
        directory = Directory(world.database.clients, refresh_s=60)
        me = await world.shopping_client()
        await directory.by_key(me.key)
        looked_up = _lookups_of(world, monkeypatch)
        for number in range(10):
            assert await directory.by_key(f"guess {number}") is None
            assert await directory.by_identity((ISSUER, f"guess {number}")) is None
        assert len(directory._unknown) == 3
        known = await directory.by_key(me.key)
        assert known is not None
        assert known[0] == me.client
        assert {me.key} not in looked_up


async def test_clients_that_are_unknown_at_the_same_time_are_looked_up_in_one_query(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    directory = Directory(world.database.clients, refresh_s=60)
    shops = [await world.shopping_client() for _ in range(3)]
    partners = [await world.connect_client(name) for name in ("one", "two")]
    looked_up = _lookups_of(world, monkeypatch)
    identities = [partner.client.identity or ("", "") for partner in partners]
    names = [*(shop.key for shop in shops), *identities]
    found = await asyncio.gather(
        *(directory.by_key(shop.key) for shop in shops * 2),
        directory.by_key("guess"),
        *(directory.by_identity(identity) for identity in [*identities, (ISSUER, "guess"), ("another", "one")]),
    )
    assert [known[0] for known in found[:6] if isinstance(known, tuple)] == [shop.client for shop in shops * 2]
    assert found[6:] == [None, *(partner.client for partner in partners), None, None]
    assert looked_up == [{*names, "guess", (ISSUER, "guess"), ("another", "one")}]
    assert await directory.by_key(shops[0].key) == found[0]
    assert len(looked_up) == 1


async def test_clients_that_call_while_a_query_runs_are_the_next_query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with a_world(tmp_path) as world:
        directory = Directory(world.database.clients, refresh_s=60)
        shops = [await world.shopping_client() for _ in range(4)]
        looked_up = _lookups_of(world, monkeypatch)
        has_read, goes_on = _answering_late(world, monkeypatch)
        first = asyncio.create_task(directory.by_key(shops[0].key))
        await has_read.wait()
        others = [asyncio.create_task(directory.by_key(shop.key)) for shop in shops[1:]]
        await asyncio.sleep(0)
        others[0].cancel()  # a caller that goes away takes no other caller's answer with it
        await asyncio.sleep(0)
        assert len(looked_up) == 1
        goes_on.set()
        assert await first == await world.database.clients.by_key(shops[0].key)
        assert [known[0] for known in await asyncio.gather(*others[1:]) if known] == [one.client for one in shops[2:]]
        assert looked_up[1] == {shop.key for shop in shops[1:]}


async def test_a_secret_that_is_rotated_while_a_query_runs_works_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with _with_refresh(tmp_path, 60) as (world, asked):
        me, other = await world.shopping_client(), await world.shopping_client()
        assert await asked(me) == me.client.id
        has_read, goes_on = _answering_late(world, monkeypatch)
        others = asyncio.create_task(asked(other))
        await has_read.wait()
        new = await _rotated(world, me)
        mine = asyncio.create_task(asked(new))
        await asyncio.sleep(0)
        goes_on.set()
        assert await asyncio.gather(others, mine) == [other.client.id, me.client.id]


async def test_a_query_that_fails_fails_for_those_that_wait_for_it_and_for_nobody_later(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    directory = Directory(world.database.clients, refresh_s=60)
    shops = [await world.shopping_client() for _ in range(2)]

    async def unavailable(_names):
        raise UnavailableError("the database is away")

    with monkeypatch.context() as away:
        away.setattr(world.database.clients, "named", unavailable)
        failed = await asyncio.gather(*(directory.by_key(shop.key) for shop in shops), return_exceptions=True)
    assert [str(error) for error in failed] == ["the database is away"] * 2
    assert await directory.by_key(shops[0].key) == await world.database.clients.by_key(shops[0].key)


async def test_a_name_that_no_database_can_store_hides_no_other_client(world: World):
    directory = Directory(world.database.clients, refresh_s=60)
    me = await world.connect_client()
    impossible = [(ISSUER, "\0"), (ISSUER, "\ud800"), ("\ud800", "x")]
    mine = me.client.identity or ("", "")
    found = await asyncio.gather(*(directory.by_identity(name) for name in [*impossible, mine]))
    assert found == [None, None, None, me.client]


async def test_any_number_of_clients_are_looked_up_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client_directory, "_NAMES_AT_ONCE", 2)
    async with a_world(tmp_path) as world:
        directory = Directory(world.database.clients, refresh_s=60)
        shops = [await world.shopping_client() for _ in range(5)]
        found = await asyncio.gather(*(directory.by_key(shop.key) for shop in shops))
        assert [known[0] for known in found if known] == [shop.client for shop in shops]


async def test_known_clients_are_remembered_up_to_a_bound_and_each_still_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(client_directory, "_REMEMBERED_CAP", 3)
    async with _with_refresh(tmp_path, 60) as (world, asked):
        callers = [await world.shopping_client() for _ in range(5)]
        for _ in range(2):
            assert [await asked(caller) for caller in callers] == [caller.client.id for caller in callers]


async def test_secrets_stand_nowhere_in_the_database(world: World):
    callers = [await world.shopping_client(), await world.manage_client()]
    order = await world.ticket_order(callers[0])
    assert (await cancel(world, callers[0], world.uri(order), Idempotency_Key="k")).status_code == 200
    assert (await manage(world, callers[1], "GET", str(order.order.uid))).status_code == 200
    written = repr(await contents(world)).encode()
    if world.settings.is_sqlite:  # whose very bytes can be read
        with contextlib.closing(sqlite3.connect(world.settings.database_path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(FULL)")
        files = [path for path in world.folder.iterdir() if path.name.startswith("test.sqlite3")]
        written = b"".join(path.read_bytes() for path in files)
    for caller in callers:
        assert caller.key.encode() in written
        assert hashlib.sha256(caller.secret.encode()).hexdigest().encode() in written
        assert caller.secret.encode() not in written
        assert caller.basic.removeprefix("Basic ").encode() not in written


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_secrets_stand_in_no_log_whatever_goes_wrong(
    world: World, monkeypatch: pytest.MonkeyPatch, log_format: str
):
    me, partner, operator = await world.shopping_client(), await world.connect_client(), await world.manage_client()
    order = await world.ticket_order(me)
    sent = [world.shopping_headers(me), world.connect_headers(partner), world.manage_headers(operator)]

    def broken(*_: object) -> None:
        raise RuntimeError("the cable is out")

    with _logged(world, log_format, monkeypatch) as log:
        await cancel(world, Caller(me.client, me.key, me.secret + "x"), world.uri(order))
        monkeypatch.setattr(world.service.commit, "submit", broken)
        monkeypatch.setattr(world.database.store, "snapshot", broken)
        monkeypatch.setattr(world.database.store, "transaction", broken)
        body = {"order": world.uri(order), "reason": "r"}
        answers = [
            await world.http.post("/ordercancellation", json=body, headers=sent[0]),
            await world.http.post("/api/connect/orders/cancel", json={"orderId": 1}, headers=sent[1]),
            await manage(world, operator, "POST", "1/payments", PAYMENT),
        ]
    assert [answer.status_code for answer in answers] == [500] * 3
    said = re.sub(r"[\s│]", "", log.getvalue())  # as a terminal wraps it
    assert said.count("thecableisout") >= 3
    assert "thecableisout" not in "".join(answer.text.replace(" ", "") for answer in answers)
    for secret in [me.secret, operator.secret, *(headers["Authorization"].split()[1][:40] for headers in sent)]:
        assert secret not in said


async def test_a_key_and_an_identity_belong_to_one_client_each(world: World):
    me, _ = await world.shopping_client(), await world.connect_client("partner")
    before = await world.rows("clients")
    with pytest.raises(ConflictError, match="there is a client"):
        await _add(world, key=me.key, secret="s")
    with pytest.raises(ConflictError, match="partner"):
        await world.connect_client("partner")
    assert await world.rows("clients") == before


async def test_only_who_has_a_secret_is_rotated_and_only_who_is_there_revoked(world: World):
    partner = await world.connect_client()
    for missing, why in {partner.client.id: ConflictError, 99: NotFoundError}.items():
        with pytest.raises(why, match=str(missing)):
            await world.database.clients.rotate(
                missing, secret_sha256=hash_of("s"), now=world.clock(), overlap=timedelta(0)
            )
    with pytest.raises(NotFoundError, match="99"):
        await world.database.clients.revoke(99, world.clock())
    with pytest.raises(NotFoundError, match="99"):
        await world.database.clients.restore(99)
    assert [(row["key"], row["revoked_at"]) for row in await world.rows("clients")] == [(None, None)]


@contextmanager
def _logged(world: World, log_format: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Our log as a server writes it, in memory. The standard library's stays with pytest."""
    as_before, log = structlog.get_config(), io.StringIO()
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    set_up_logging(world.settings.model_copy(update={"log_format": log_format}))
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(log), cache_logger_on_first_use=False)
    try:
        yield log
    finally:
        structlog.configure(**as_before)


def _lookups_of(world: World, monkeypatch: pytest.MonkeyPatch) -> list[set[str | tuple[str, str]]]:
    """The names that each look-up of clients has from now on."""
    looked_up = []
    named = world.database.clients.named

    async def noted(names):
        looked_up.append(set(names))
        return await named(names)

    monkeypatch.setattr(world.database.clients, "named", noted)
    return looked_up


def _answering_late(world: World, monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, asyncio.Event]:
    """Look-ups set the first event once they have read, and give their answers once the second one is set."""
    has_read, goes_on = asyncio.Event(), asyncio.Event()
    named = world.database.clients.named

    async def late(names):
        found = await named(names)
        has_read.set()
        await goes_on.wait()
        return found

    monkeypatch.setattr(world.database.clients, "named", late)
    return has_read, goes_on


@asynccontextmanager
async def _with_refresh(folder: Path, refresh_s: float) -> AsyncIterator:
    """A world, and a way to ask who a caller is, that reads clients again every so many seconds."""
    async with a_world(folder) as world:
        authentication = Authentication(
            Tokens({}),
            Directory(world.database.clients, refresh_s=refresh_s),
            StaffDirectory(world.database.staff, refresh_s=refresh_s),
            accesses_of(CONTRACTS),
        )

        async def asked(caller: Caller) -> int | None:
            try:
                return (await authentication.client(SHOPPING.channel, BasicKey(caller.key, caller.secret))).id
            except auth.NotAuthenticatedError:
                return None

        yield world, asked


async def _rotated(world: World, caller: Caller, *, overlap: timedelta | None = timedelta(0)) -> Caller:
    secret = secrets.token_urlsafe(32)
    client = await world.database.clients.rotate(
        caller.client.id, secret_sha256=hash_of(secret), now=world.clock(), overlap=overlap
    )
    return Caller(client, caller.key, secret)


async def _add(world: World, *, key: str, secret: str) -> int:
    client = await world.database.clients.add(
        channel=SHOPPING.channel,
        name="made later",
        permissions=EVERYTHING,
        key=key,
        secret_sha256=hash_of(secret),
        identity=None,
        now=world.clock(),
    )
    return client.id
