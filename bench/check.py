"""Checks in the database, after the server has stopped, that every 200 was carried out, once and completely."""

from dataclasses import dataclass
from typing import Final

from countermand.contracts.shopping.contract import NAME as SHOPPING
from countermand.domain.appointments.appointment import ACTIVE_APPOINTMENT_STATES
from countermand.domain.orders.order_events import OrderEventKind
from countermand.domain.orders.order_state import OrderState
from databases import OrdersDatabase
from made_orders import turns_table
from sample import Turns


class CheckError(Exception):
    """Raised if the database does not agree with the answers. The message says what the database has instead."""


_ACTIVE: Final = ", ".join(f"'{state.value}'" for state in sorted(ACTIVE_APPOINTMENT_STATES))
_DONE: Final = f"SELECT id FROM orders WHERE state = '{OrderState.CANCELLED.value}'"
_TOLD: Final = f"SELECT order_id FROM outbox WHERE kind = '{OrderEventKind.ORDER_CANCELLED.value}'"
_RELEASED: Final = "SELECT order_id FROM appointments WHERE cancelled_at IS NOT NULL"
_TOLD_RELEASED: Final = f"SELECT order_id FROM outbox WHERE kind = '{OrderEventKind.APPOINTMENT_CANCELLED.value}'"
_INVALID: Final = "SELECT order_id FROM tickets WHERE NOT valid"


def _count(of: str) -> str:
    return f"(SELECT count(*) FROM ({of}) AS counted)"


# The counts, in the order of the fields of `Counts`.
_COUNTS: Final = (
    _count(_DONE),
    _count("SELECT order_id FROM cancellations"),
    _count(_TOLD),
    _count(_RELEASED),
    _count(_TOLD_RELEASED),
    _count(_INVALID),
    "(SELECT coalesce(sum(availability), 0) FROM products)",
)
# States that must not exist: a sentence, and the query that finds the state. The queries use set differences, which
# stay fast with a million rows: NOT IN compares each row with every other if the rows do not fit in memory.
_NEVER: Final = {
    "orders are cancelled without a cancellation row": f"{_DONE} EXCEPT SELECT order_id FROM cancellations",
    "orders have a cancellation row and are not cancelled": f"SELECT order_id FROM cancellations EXCEPT {_DONE}",
    "orders are cancelled and nobody was told": f"{_DONE} EXCEPT {_TOLD}",
    "cancelled orders still have an active appointment": (
        f"SELECT order_id FROM appointments WHERE state IN ({_ACTIVE}) AND order_id IN ({_DONE})"
    ),
    "appointments were released whose order is not cancelled": f"{_RELEASED} EXCEPT {_DONE}",
    "appointments were released and nobody was told": f"{_RELEASED} EXCEPT {_TOLD_RELEASED}",
    "cancelled orders still have a valid ticket": (
        f"SELECT id FROM orders WHERE state = '{OrderState.CANCELLED.value}' AND contract = '{SHOPPING}'"
        " AND id IN (SELECT order_id FROM tickets WHERE valid)"
    ),
    "tickets are invalid whose order is not cancelled": f"{_INVALID} EXCEPT {_DONE}",
    "products have another stock than their valid tickets leave": (
        "SELECT p.uid FROM products AS p LEFT JOIN"
        " (SELECT product_uid, count(*) AS valid FROM tickets WHERE valid GROUP BY product_uid) AS t"
        " ON t.product_uid = p.uid WHERE p.availability + coalesce(t.valid, 0) <> p.total_availability"
    ),
    "cancellations were refused": "SELECT order_id FROM refusals",
}


@dataclass(frozen=True, kw_only=True)
class Counts:
    """The contents of a database at one moment, since it was made or restored."""

    cancelled: int  # orders
    recorded: int  # cancellation rows
    told: int  # order.cancelled facts
    visits_released: int
    visits_told: int
    tickets_invalid: int
    stock: int  # available pieces, over all products


def counts(database: OrdersDatabase) -> Counts:
    """Count the database's contents, before a run."""
    names = Counts.__dataclass_fields__
    found = database.row(f"SELECT {', '.join(_COUNTS)}")
    return Counts(**dict(zip(names, found, strict=True)))


def check(
    database: OrdersDatabase, turns: Turns, before: Counts, *, answered: int, under_way: int, first: int, until: int
) -> int:
    """Compare the database with a run's answers; return the number of orders the run cancelled. Raises `CheckError`.

    `answered` counts the 200s. `under_way` counts the requests that may have been cut off when the load ended: those
    may have cancelled orders although no answer came. The run used turns from `first` up to, but not including,
    `until`; earlier runs since the last restore used only earlier turns.
    """
    now = counts(database)
    done = now.cancelled - before.cancelled
    recorded, told = now.recorded - before.recorded, now.told - before.told
    _demand(done == recorded == told, f"{done} orders were cancelled, {recorded} cancellations recorded, {told} told")
    released, told = now.visits_released - before.visits_released, now.visits_told - before.visits_told
    _demand(released == told, f"{released} appointments were released, and {told} told")
    invalid, given_back = now.tickets_invalid - before.tickets_invalid, now.stock - before.stock
    _demand(invalid == given_back, f"{invalid} tickets were made invalid, and {given_back} places given back")
    _demand(done >= answered, f"{answered} requests were answered 200, and {done} orders were cancelled")
    _demand(
        done <= answered + under_way,
        f"{done} orders were cancelled: more than {answered} answers and {under_way} that may have been cut off",
    )
    asked = f"SELECT order_id FROM {turns_table(turns.name)} WHERE turn < {until}"
    never = {**_NEVER, "orders are cancelled that nobody asked for": f"{_DONE} EXCEPT {asked}"}
    (known,) = database.row(f"SELECT {_count(asked + f' AND turn >= {first}')}")
    _demand(known >= done, f"{done} orders were cancelled, and {known} had their turn")
    found = database.row(f"SELECT {', '.join(map(_count, never.values()))}")
    for sentence, how_many in zip(never, found, strict=True):
        _demand(how_many == 0, f"{how_many} {sentence}")
    return done


def _demand(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise CheckError(otherwise)
