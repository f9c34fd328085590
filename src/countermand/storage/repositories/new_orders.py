"""Writes new orders, and takes their places off the stock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from countermand.actions.catalogue.ports import Reserved
from countermand.actions.ordering.new_order import NewOrder
from countermand.domain.orders.order_kind import OrderKinds, kind_of
from countermand.domain.orders.search_handles import handles_of
from countermand.storage.repositories.documents import encoded_document, total_columns
from countermand.storage.repositories.facts import columns_of_order
from countermand.storage.repositories.handles import findable
from countermand.storage.repositories.rows import actor_columns, product_of, written
from countermand.storage.sql_types import Row
from countermand.storage.tables.columns import micros, micros_or_none

Columns = Mapping[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class NewRows:
    """The rows of a new order, by table. They lack the order's number, except for that of the order itself.

    `places` are the products with the places to take, by uid.
    """

    order_id: int
    order: Columns
    details: Columns
    lines: Sequence[Columns]
    tickets: Sequence[Columns]
    events: Sequence[Columns]
    handles: Sequence[str]
    vouchers: Sequence[str]
    expires_at: int | None
    places: Sequence[tuple[str, int]]


def rows_of(new: NewOrder, kinds: OrderKinds) -> NewRows:
    """Return the rows of a new order."""
    view, order = new.view, new.view.order
    # With another kind, the end of the order would not release what the order holds.
    assert order.kind == kind_of(order.contract, kinds), f"{order.contract} has no {order.kind} orders"
    return NewRows(
        order_id=order.id,
        order={
            "id": order.id,
            "contract": order.contract,
            "client_id": order.client_id,
            "created_at": micros(order.created_at),
            **columns_of_order(order.facts, order.version),
        },
        details={
            "uid": order.uid,
            "reference": order.reference,
            "details": encoded_document(view.details),
            **total_columns(view.details),
        },
        lines=[
            {
                "line": number,
                "product_uid": line.product_uid,
                "quantity": line.quantity,
                "parent_uid": line.parent_uid,
            }
            for number, line in enumerate(view.lines, start=1)
        ],
        tickets=[
            {
                "number": number,
                "uid": ticket.uid,
                "product_uid": ticket.product_uid,
                "code": ticket.code,
                "valid": ticket.valid,
            }
            for number, ticket in enumerate(view.tickets, start=1)
        ],
        events=[
            {
                "order_version": order.version,
                "kind": event.kind.value,
                "recorded_at": micros(new.now),
                "details": written(event.details),
                **actor_columns(new.actor),
            }
            for event in new.events
        ],
        handles=sorted(handles_of(findable(view))),
        vouchers=new.vouchers,
        expires_at=micros_or_none(new.expires_at),
        places=sorted(new.places.items()),
    )


def reserved_of(taken: Sequence[Row], places: Sequence[tuple[str, int]]) -> Reserved:
    """Return what was reserved, from the rows of the products that had enough places."""
    left = {row["uid"]: product_of(row) for row in taken}
    return Reserved(
        short=[uid for uid, _ in places if uid not in left],
        seated=frozenset(row["uid"] for row in taken if row["is_seated"]),
        left=left,
    )
