"""A database of the second schema keeps what it has, and nodes of the version before work on the third."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from countermand.domain.orders.order import OrderId
from countermand.storage.schema import DatabaseAddress, migrate
from countermand.storage.tables.columns import micros
from support.appointments import ORDERS, booked, get, offer, slot
from support.connect_calls import cancel
from support.elsewhere import elsewhere
from support.outside import outside
from support.schemas import a_place, migrated_to, rows
from support.world import ISSUER, NOON, Caller, World, a_world

STARTS_AT = micros(NOON + timedelta(hours=30))
# As the version before wrote them: orders knew no service, appointments no slot.
GIVEN = [
    (
        "INSERT INTO clients (id, door, name, permissions, issuer, subject, created_at) VALUES"
        f""" (1, 'connect', 'old', '["cancel", "create", "read"]', '{ISSUER}', 'old', 0)"""
    ),
    (
        "INSERT INTO orders (id, contract, client_id, version, state, appointment_starts_at, created_at)"
        f" VALUES (1, 'connect', 1, 2, 'submitted', {STARTS_AT}, 0)"
    ),
    (
        "INSERT INTO order_details (order_id, reference, details)"
        """ VALUES (1, '1', '{"locationId": "LOC380100009114", "planName": "Home"}')"""
    ),
    (
        "INSERT INTO appointments (order_id, id, state, starts_at, ends_at)"
        f" VALUES (1, 1, 'booked', {STARTS_AT}, {STARTS_AT + 1})"
    ),
]
COUNTED = {
    "sqlite": [
        "INSERT INTO counters (name, last) VALUES ('order', 1)",
        "INSERT INTO counters (name, last) VALUES ('appointment', 1)",
    ],
    "postgres": ["SELECT setval('order_number', 1)", "SELECT setval('appointment_number', 1)"],
}


@pytest.fixture(params=["sqlite", "postgres"])
def where(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[DatabaseAddress]:
    with a_place(tmp_path, request.param) as place:
        migrated_to(place, 2)
        for statement in [*GIVEN, *COUNTED[request.param]]:
            rows(place, statement + ("" if statement.startswith("SELECT") else " RETURNING 1"))
        yield place


async def test_an_order_and_its_visit_from_before_are_shown_and_worked_with(where: DatabaseAddress, tmp_path: Path):
    elsewhere(migrate, where)
    address: dict[str, Any] = {"database_path": where} if isinstance(where, Path) else {"database_url": where.url}
    async with a_world(tmp_path, **address) as world:
        old = await world.database.clients.by_identity(ISSUER, "old")
        assert old is not None
        me = Caller(old, subject="old")
        shown = (await get(world, me, f"{ORDERS}/1")).json
        assert (shown["status"], shown["serviceId"], shown["aggregationMethod"]) == ("submitted", None, None)
        (visit,) = shown["appointments"]
        assert (visit["nbnAppointmentId"], visit["slotType"], visit["timezoneOffset"]) == (
            "APT000000000001",
            None,
            None,
        )
        assert visit["startTime"] == "2026-11-22T18:00:00Z"
        await slot(world, "new", NOON + timedelta(days=3))
        new = await world.service_order(me)
        assert new == 2
        assert (await booked(world, me, new, "new"))["id"] == 2
        assert (await cancel(world, me, {"orderId": 1})).status == 200
        assert (await get(world, me, f"{ORDERS}/appointments/1")).json["status"] == "cancelled"


async def test_what_a_node_of_the_version_before_writes_is_read_and_its_columns_are_all_it_needs(world: World):
    me = await world.connect_client()
    await slot(world, "one", NOON + timedelta(days=3))
    order_id, other = await world.service_order(me), await world.service_order(me)
    visit = await booked(world, me, order_id, "one")
    async with outside(world) as before:
        # It agrees a visit, and moves one that was booked here.
        await before.rows(
            "INSERT INTO appointments (order_id, id, state, starts_at, ends_at, cancelled_at)"
            f" VALUES ({other}, 77, 'booked', {STARTS_AT}, {STARTS_AT + 3_600_000_000}, NULL)"
        )
        await before.rows(f"UPDATE orders SET version = 2, appointment_starts_at = {STARTS_AT} WHERE id = {other}")
        moved = f"starts_at = {STARTS_AT}, ends_at = {STARTS_AT + 3_600_000_000}"
        await before.rows(f"UPDATE appointments SET {moved} WHERE order_id = {order_id} AND id = {visit['id']}")
        await before.rows(
            f"UPDATE orders SET version = version + 1, appointment_starts_at = {STARTS_AT} WHERE id = {order_id}"
        )
    agreed = (await get(world, me, f"{ORDERS}/appointments/77")).json
    assert (agreed["orderId"], agreed["slotType"], agreed["startTime"]) == (other, None, "2026-11-22T18:00:00Z")
    shown = (await get(world, me, f"{ORDERS}/appointments/{visit['id']}")).json
    assert shown["startTime"] == "2026-11-22T18:00:00Z"
    assert (await offer(world, me, other))["slots"] == []  # until it ends, its place stays taken
    for one in (order_id, other):
        world.clock.now = datetime.fromisoformat("2026-11-22T18:00:00Z") - timedelta(hours=26)
        assert (await cancel(world, me, {"orderId": one})).codes == ["appointment_within_notice"]
        world.clock.now -= timedelta(microseconds=1)
        assert (await cancel(world, me, {"orderId": one})).status == 200
    left = {OrderId(row["order_id"]): row["state"] for row in await world.rows("appointments")}
    assert left == {order_id: "cancelled", other: "cancelled"}
