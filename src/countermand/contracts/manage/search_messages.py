"""The messages of the search for orders in the operator's API."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct


class OrderFound(Struct, kw_only=True):
    """An order in a list. `GET /manage/v1/orders/{id}` has all about it."""

    id: Annotated[str, Meta(description="The order's id, such as connect-54 or shopping- and a uid")]
    contract: Annotated[str, Meta(description="The contract that the order was placed in")]
    reference: Annotated[str, Meta(description="The order's number for people")]
    state: Annotated[str, Meta(description="The order's state: docs/states.md lists the states")]
    client_id: Annotated[int, Meta(description="The id of the client that placed the order")]
    placed_at: Annotated[datetime, Meta(description="When the order was placed, in UTC")]
    name: Annotated[str | None, Meta(description="The name of the customer as the order has it; null if it has none")]
    appointment_starts_at: Annotated[
        datetime | None, Meta(description="The start of the active appointment, in UTC; null for none")
    ]
    first_payment_at: Annotated[
        datetime | None, Meta(description="The time of the first payment, in UTC; null for none")
    ]


class OrdersFound(Struct, kw_only=True):
    """A page of orders."""

    orders: Annotated[list[OrderFound], Meta(description="The orders of this page; it may be short before the end")]
    next: Annotated[
        str | None, Meta(description="The parameter after of the next page; null if there are no more orders")
    ]
