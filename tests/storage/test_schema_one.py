"""A database of the first schema, with everything in it that an older version may have left, is migrated whole."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from countermand.actions.cancelling.cancel_orders import Cancelled
from countermand.actions.errors import ConflictError
from countermand.domain.orders.order import OrderId
from countermand.storage.schema import NEWEST_SCHEMA, DatabaseAddress, migrate
from countermand.storage.tables.columns import metadata
from support.elsewhere import elsewhere
from support.schemas import a_place, migrated_to, rows
from support.world import World, a_world

UID, PRODUCT, METHOD = "a" * 32, "b" * 32, "c" * 32
SERVICE, TICKETS = 41, 4_000_000_000_000_000_001
NEW = {
    *("payment_references", "schema_notes"),  # 2
    *("client_keys", "signing_keys", "used_assertions", "slots", "appointment_tasks"),  # 3
    *("events", "product_parts", "vouchers", "voucher_uses", "expiries", "consumers", "seats"),  # 4
    *("order_search", "task_progress"),  # 10
    *("staff", "staff_tokens"),  # 9
    *("privacy_keys", "privacy_requests", "policies_in_force"),  # 11
    *("payment_corrections", "correction_references"),  # 12
    "undone_cancellations",  # 15
    *("approvals", "staff_changes"),  # 14
    *("event_feed", "event_feed_head", "event_feed_generations"),  # 16
    *("endpoints", "deliveries", "delivery_lanes", "delivery_attempts", "delivery_head"),  # 17
}
NEW_COLUMNS = {
    "appointments": {"slot_id", "half_day", "utc_offset_s", "remote_id", "cancelled_from"},
    "tickets": {"released"},
    "products": {
        *("event_uid", "reference", "min_per_order", "max_per_order", "is_separately_saleable", "is_enabled"),
        *("needs_voucher", "sale_starts_at", "sale_ends_at", "viewing_order", "details", "is_seated"),
    },
    "methods": {"details"},
    "order_details": {"total_minor", "currency"},
    "clients": {
        *("redirect_url", "redirect_schemes", "more_permissions"),
        *("previous_secret_sha256", "previous_secret_until", "last_used_at"),
    },
    "orders": {"refunded_version"},
    "idempotency_keys": {"message_fingerprint", "undone_at", "refunded_in_full"},
    "cancellations": {
        *("overridden", "key", "key_client_id", "approved_by", "refunded_in_full"),
        *("staff_id", "acting_as", "address"),
    },
    "refusals": {"codes", "staff_id", "acting_as", "address", "refunded_in_full"},
    "outbox": {"staff_id", "acting_as", "channel", "address", "digest"},
    "payments": {"recorded_minor", "voided_at"},
}
# The first schema's tables with a row or more each, parents first.
DATA: dict[str, list[dict[str, Any]]] = {
    "clients": [
        {"id": 7, "door": "shopping", "name": "a shop's", "permissions": '["cancel", "read"]', "key": "k", "secret_sha256": "0" * 64, "created_at": 1},  # noqa: E501
        {"id": 8, "door": "connect", "name": "Zoë", "permissions": '["cancel"]', "issuer": "i", "subject": "s", "created_at": 2, "revoked_at": 3},  # noqa: E501
    ],
    "policies": [{"version": "0" * 16, "contract": "connect", "content": '{"rules": []}', "first_used_at": 1}],
    "products": [
        {"uid": PRODUCT, "name": '{"en": "Day"}', "price_minor": 1250, "service_costs_minor": 0, "currency": "EUR", "availability": 8, "total_availability": 10},  # noqa: E501
    ],
    "methods": [{"uid": METHOD, "kind": "payment", "name": "{}", "image": None, "costs_minor": 1, "currency": "EUR"}],
    "orders": [
        {"id": SERVICE, "contract": "connect", "client_id": 8, "version": 3, "state": "submitted", "appointment_starts_at": 5_000_000, "created_at": -1},  # noqa: E501
        {"id": TICKETS, "contract": "shopping", "client_id": 7, "version": 2, "state": "completed", "first_payment_at": 9, "created_at": 2},  # noqa: E501
    ],
    "order_details": [
        {"order_id": SERVICE, "reference": "C-41", "details": '{"planName": "Größe \'1\'"}'},
        {"order_id": TICKETS, "uid": UID, "reference": "T-1", "details": "{}"},
    ],
    "order_lines": [{"order_id": TICKETS, "line": 1, "product_uid": PRODUCT, "quantity": 2, "parent_uid": None}],
    "appointments": [
        {"order_id": SERVICE, "id": 1, "state": "cancelled", "starts_at": 1, "ends_at": 2, "cancelled_at": 1},
        {"order_id": SERVICE, "id": 2, "state": "booked", "starts_at": 5_000_000, "ends_at": 6_000_000},
    ],
    "payments": [
        {"order_id": TICKETS, "reference": "psp-1", "amount_minor": 2500, "currency": "EUR", "recorded_at": 9, "is_late": False},  # noqa: E501
        {"order_id": SERVICE, "reference": "psp-2", "amount_minor": 1, "currency": "EUR", "recorded_at": 9, "is_late": True},  # noqa: E501
    ],
    "tickets": [
        {"order_id": TICKETS, "number": 1, "uid": "d" * 32, "product_uid": PRODUCT, "code": "c-1", "valid": True},
        {"order_id": TICKETS, "number": 2, "uid": "e" * 32, "product_uid": PRODUCT, "code": "c-2", "valid": False},
    ],
    "cancellations": [
        {"order_id": 40, "command_id": "f" * 32, "decided_at": 4, "client_id": 8, "contract": "connect", "door": "connect", "policy_version": "0" * 16, "state": "held", "reason": "it's \"off\""},  # noqa: E501
    ],
    "refusals": [
        {"order_id": SERVICE, "command_id": "f" * 32, "decided_at": 4, "client_id": 8, "contract": "connect", "door": "manage", "policy_version": "0" * 16, "state": "submitted"},  # noqa: E501
    ],
    "outbox": [
        {"order_id": SERVICE, "order_version": 1, "kind": "order.placed", "recorded_at": 1, "client_id": 8, "details": "{}"},  # noqa: E501
        {"order_id": SERVICE, "order_version": 2, "kind": "appointment.set", "recorded_at": 2, "client_id": 8, "details": "{}", "delivered_at": 3},  # noqa: E501
    ],
    "idempotency_keys": [
        {"client_id": 7, "key": "k", "fingerprint": "0" * 64, "created_at": 1, "answer": "{}"},
        {"client_id": 8, "key": "k", "fingerprint": "1" * 64, "created_at": 1, "order_id": 40, "cancelled": True},
    ],
    "counters": [{"name": "order", "last": 41}, {"name": "appointment", "last": 2}],
}  # fmt: skip


@pytest.fixture(params=["sqlite", "postgres"])
def where(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[DatabaseAddress]:
    with a_place(tmp_path, request.param) as place:
        migrated_to(place, 1)
        for table, given in DATA.items():
            for row in given:
                values = ", ".join(_written(value) for value in row.values())
                rows(place, f"INSERT INTO {table} ({', '.join(row)}) VALUES ({values}) RETURNING *")
        yield place


def test_the_data_has_a_row_for_every_table_of_the_first_schema():
    assert set(DATA) == set(metadata.tables) - NEW


def test_nothing_is_lost_on_the_way_to_the_newest(where: DatabaseAddress):
    before = {table: contents(where, table) for table in DATA}
    assert migrate(where) == (1, NEWEST_SCHEMA)
    assert {table: contents(where, table) for table in DATA} == before
    claimed = {row["reference"]: row["order_id"] for row in rows(where, "SELECT * FROM payment_references")}
    assert claimed == {"psp-1": TICKETS, "psp-2": SERVICE}


async def test_what_was_there_is_worked_with_afterwards(where: DatabaseAddress, tmp_path: Path):
    elsewhere(migrate, where)
    address = {"database_path": where} if isinstance(where, Path) else {"database_url": where.url}
    async with a_world(tmp_path, **address) as world:
        operator = await world.manage_client()
        with pytest.raises(ConflictError) as raised:
            await world.pay(OrderId(SERVICE), "psp-1")  # another order's reference
        assert raised.value.code == "payment_reference_used"
        await world.pay(OrderId(TICKETS), "psp-3")
        assert len(await world.rows("payments", OrderId(TICKETS))) == 2
        await numbers_go_on(world)
        world.clock.now = world.clock.now.replace(year=1969)
        answer = await world.cancel(operator, OrderId(SERVICE), on_behalf=True)
        assert isinstance(answer, Cancelled)
        assert [row["state"] for row in await world.rows("appointments")] == ["cancelled", "cancelled", "cancelled"]


async def numbers_go_on(world: World) -> None:
    """Where they were: a number that is given twice would be another's order."""
    partner = await world.connect_client()
    new = await world.service_order(partner)
    assert new == SERVICE + 1
    visit = await world.appointment(new, world.clock.now.replace(year=2027) - world.clock.now)
    assert visit.id == 3
    assert isinstance(await world.cancel(partner, new), Cancelled)


def contents(where: DatabaseAddress, table: str) -> list[tuple[Any, ...]]:
    """A table's rows, whatever a database calls true."""
    names = [column.name for column in metadata.tables[table].c if column.name not in NEW_COLUMNS.get(table, ())]
    found = rows(where, f"SELECT {', '.join(names)} FROM {table}")
    return sorted((tuple(row.values()) for row in found), key=repr)


def _written(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case str():
            return "'" + value.replace("'", "''") + "'"
        case _:
            return str(value)
