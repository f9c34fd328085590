"""Makes many orders with their events in few statements: copies of one order that the product itself made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import select, text

from countermand.actions.appointments.set import set_appointment
from countermand.actions.identity.secrets import hash_of, new_key, new_secret
from countermand.actions.ordering.place_service_orders import place_service_order
from countermand.actions.ordering.record_progress import advance_order
from countermand.bootstrap.clock import utc_now
from countermand.bootstrap.database import Database
from countermand.contracts.connect.contract import CONTRACT as CONNECT
from countermand.domain.actor import Actor
from countermand.domain.client import Permission
from countermand.domain.contract import MANAGE
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_details import ServiceOrderDetails
from countermand.domain.orders.order_state import Transition
from countermand.storage.tables.columns import metadata, micros

FIRST: Final = 1_000_000  # the number of the first copy
EVENTS_OF_A_COPY: Final = 3  # placed, visit set, advanced
EVENTS_OF_A_CANCELLATION: Final = 2  # of the order and of its visit
_TABLES: Final = ("orders", "order_details", "appointments", "outbox")
_VISIT_IN: Final = timedelta(days=30)
_PERMISSIONS: Final = frozenset({Permission.CREATE, Permission.READ, Permission.CANCEL, Permission.ENDPOINTS})


async def add_operator(database: Database) -> str:
    """Add a client of the operator's API, and return its `Authorization`."""
    key, secret = new_key(), new_secret()
    await database.clients.add(
        channel=MANAGE,
        name="Under fire",
        permissions=_PERMISSIONS,
        key=key,
        secret_sha256=hash_of(secret),
        identity=None,
        now=utc_now(),
    )
    return f"Bearer {key}.{secret}"


@dataclass(frozen=True)
class Template:
    """The rows of an order that was placed, has a visit and was accepted."""

    order_id: OrderId
    rows: Mapping[str, Sequence[Mapping[str, object]]]

    async def copy(self, database: Database, first: int, number: int) -> None:
        """Make `number` copies with the ids from `first` on, in one transaction."""
        numbers = (
            f"WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {first + number - 1})"
        )
        now = micros(utc_now())
        async with database.store.transaction() as tx:
            for table, rows in self.rows.items():
                for row in rows:
                    names = [column.name for column in metadata.tables[table].columns]
                    given = ", ".join(self._written(table, name, row[name], now) for name in names)
                    statement = f"INSERT INTO {table} ({', '.join(names)}) {numbers} SELECT {given} FROM n"
                    await tx.run(text(statement.replace(":", "\\:")))

    def _written(self, table: str, name: str, value: object, now: int) -> str:
        if value is None:
            return "NULL"
        if name == "recorded_at":
            return str(now)
        if name == "order_id" or (name == "id" and table in {"orders", "appointments"}):
            return "i"
        if isinstance(value, bool | int):
            return str(value)
        return "'" + str(value).replace("'", "''") + "'"


async def a_template(database: Database) -> Template:
    """Make the order that is copied."""
    client = await database.clients.add(
        channel=CONNECT.channel,
        name="A partner",
        permissions=frozenset(Permission),
        key=None,
        secret_sha256=None,
        identity=("https://countermand.example", "under fire"),
        now=utc_now(),
    )
    now = utc_now()
    details = ServiceOrderDetails(location_id="LOC380100009114", plan_name="Home Fast 100/20")
    actor, starts_at = Actor(client.id), now + _VISIT_IN
    async with database.store.transaction() as tx:
        placed = await place_service_order(tx, client.id, details, now, contract=CONNECT.name)
        order_id = placed.order.id
        await set_appointment(tx, actor, order_id, starts_at, starts_at + timedelta(hours=4), now)
        await advance_order(tx, actor, order_id, Transition.ACCEPT, now)
    return Template(order_id=order_id, rows=await _rows_of(database, order_id))


async def _rows_of(database: Database, order_id: OrderId) -> dict[str, list[dict[str, object]]]:
    rows = {}
    async with database.store.snapshot() as reading:
        for name in _TABLES:
            table = metadata.tables[name]
            its = table.c.id if name == "orders" else table.c.order_id
            rows[name] = [dict(row) for row in await reading.rows(select(table).where(its == order_id))]
    assert len(rows["outbox"]) == EVENTS_OF_A_COPY
    return rows
