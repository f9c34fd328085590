"""Did every 200 happen, once, whole? Asked of the database after the server has stopped."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from countermand.domain.appointment import ACTIVE_APPOINTMENT_STATES
from countermand.domain.facts import FactKind
from countermand.domain.order_state import OrderState
from sample import Sample


class CheckError(Exception):
    """The database does not have what was answered. The message says what it has instead."""


_STATES: Final = ", ".join(f"'{state.value}'" for state in sorted(ACTIVE_APPOINTMENT_STATES))
_CANCELLED: Final = f"SELECT id FROM orders WHERE state = '{OrderState.CANCELLED.value}'"
_DECIDED: Final = "SELECT order_id FROM cancellations"
_TOLD: Final = f"SELECT order_id FROM outbox WHERE kind = '{FactKind.ORDER_CANCELLED.value}'"
_STILL_ACTIVE: Final = f"SELECT order_id FROM appointments WHERE state IN ({_STATES})"
_RELEASED: Final = "SELECT order_id FROM appointments WHERE cancelled_at IS NOT NULL"
_TOLD_RELEASED: Final = f"SELECT order_id FROM outbox WHERE kind = '{FactKind.APPOINTMENT_CANCELLED.value}'"
_REFUSED: Final = "SELECT order_id FROM refusals"


def check(database: Path, sample: Sample, *, answered: int, used: int, under_way: int) -> int:
    """Hold the database against the answers; gives the number of orders cancelled. Raises `CheckError`.

    `answered` counts the 200s, `used` the ids handed out, `under_way` the requests that may have been cut off when the
    load ended: those may have been cancelled without anybody hearing of it.
    """
    with closing(sqlite3.connect(database)) as connection:

        def orders_of(query: str) -> list[int]:
            return [row[0] for row in connection.execute(query)]

        cancelled, decided, told = orders_of(_CANCELLED), orders_of(_DECIDED), orders_of(_TOLD)
        active = set(orders_of(_STILL_ACTIVE))
        released, told_released = orders_of(_RELEASED), orders_of(_TOLD_RELEASED)
        refused = orders_of(_REFUSED)
        (whole,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    done = set(cancelled)
    asked = _asked(sample.ids, used)
    _demand(whole == "ok", f"SQLite finds the file damaged: {whole}")
    _same("cancellation rows", decided, done)
    _same(f"{FactKind.ORDER_CANCELLED.value} facts", told, done)
    _demand(not done - asked, f"{len(done - asked)} orders are cancelled that nobody asked to cancel")
    _demand(not done & active, f"{len(done & active)} cancelled orders still have an active appointment")
    _same(f"{FactKind.APPOINTMENT_CANCELLED.value} facts", told_released, set(released))
    _demand(not set(released) - done, "appointments were released whose order is not cancelled")
    _demand(not refused, f"{len(refused)} cancellations were refused")
    _demand(len(done) >= answered, f"{answered} requests were answered 200, and {len(done)} orders are cancelled")
    most = answered + under_way
    _demand(
        len(done) <= most, f"{len(done)} orders are cancelled: more than {answered} answers and {under_way} cut off"
    )
    return len(done)


def _asked(ids: Path, used: int) -> set[int]:
    with ids.open() as lines:
        return {int(line.split()[0]) for _, line in zip(range(used), lines, strict=False)}


def _same(what: str, found: Sequence[int], done: set[int]) -> None:
    _demand(
        len(found) == len(done) and set(found) == done,
        f"there are {len(found)} {what} (of {len(set(found))} orders) for {len(done)} orders",
    )


def _demand(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise CheckError(otherwise)
