"""Converts the facts that decisions look at, from and to the columns of an order's row and of a decision record."""

from countermand.domain.known import known
from countermand.domain.orders.order import OrderFacts
from countermand.domain.orders.order_state import OrderState
from countermand.storage.sql_types import Row
from countermand.storage.tables.columns import instant_or_none, micros_or_none


def facts_of_order(row: Row) -> OrderFacts:
    """Return the facts of an order. `refunded_version` counts only while it is the order's version."""
    return _facts_of(row, refunded_in_full=row["refunded_version"] == row["version"])


def facts_of_decision(row: Row) -> OrderFacts:
    """Return the facts of a decision record. In an older node's record, no order was refunded in full."""
    return _facts_of(row, refunded_in_full=bool(row["refunded_in_full"]))


def columns_of_order(facts: OrderFacts, version: int) -> dict[str, object]:
    """Return the columns of an order's row that each change writes: the facts, and the new version."""
    refunded_version = version if facts.refunded_in_full else None
    return {"version": version, **_columns(facts), "refunded_version": refunded_version}


def columns_of_decision(facts: OrderFacts) -> dict[str, object]:
    """Return the columns of a decision record, in the order in which the statements name them."""
    return {**_columns(facts), "refunded_in_full": facts.refunded_in_full or None}


def _facts_of(row: Row, *, refunded_in_full: bool) -> OrderFacts:
    return OrderFacts(
        state=known(OrderState, row["state"]),
        appointment_starts_at=instant_or_none(row["appointment_starts_at"]),
        first_payment_at=instant_or_none(row["first_payment_at"]),
        refunded_in_full=refunded_in_full,
    )


def _columns(facts: OrderFacts) -> dict[str, object]:
    return {
        "state": facts.state.value,
        "appointment_starts_at": micros_or_none(facts.appointment_starts_at),
        "first_payment_at": micros_or_none(facts.first_payment_at),
    }
