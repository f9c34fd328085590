"""Reads tickets: one by its uid, or the valid tickets with a code, for a check at the entrance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from countermand.actions.catalogue.ports import CatalogueLists
from countermand.actions.catalogue.read import EventView
from countermand.actions.errors import NotFoundError
from countermand.actions.ordering.ports import OrderReading
from countermand.actions.ordering.views import OrderView, Ticket
from countermand.actions.ordering.visibility import is_visible
from countermand.actions.ports import Snapshots
from countermand.actions.ticketing.ports import TicketReading
from countermand.domain.client import ClientId
from countermand.domain.contract import ContractName
from countermand.domain.ticketing.catalogue import Product


@dataclass(frozen=True, kw_only=True, slots=True)
class TicketView:
    """A ticket with everything that a contract shows of it. `event` is None for products without an event."""

    ticket: Ticket
    order: OrderView
    product: Product
    event: EventView | None


class TicketViews(TicketReading, OrderReading, CatalogueLists, Protocol):
    """Reads tickets with their orders, products and events."""


async def read_ticket(
    store: Snapshots[TicketViews], uid: str, *, contract: ContractName, owner: ClientId | None
) -> TicketView:
    """Return a ticket of a contract's order: of an order of `owner`, or, with None, of any client's order.

    Raises `NotFoundError`, also for a ticket of another client.
    """
    async with store.snapshot() as reading:
        order_id = await reading.order_of_ticket(uid)
        views = {} if order_id is None else await reading.views([order_id])
        for view in views.values():
            if is_visible(view, contract, owner):
                (found,) = await _shown(reading, view, [one for one in view.tickets if one.uid == uid])
                return found
    raise NotFoundError("there is no such ticket")


async def find_tickets(
    store: Snapshots[TicketViews], event_uid: str, code: str, *, contract: ContractName, owner: ClientId | None
) -> Sequence[TicketView]:
    """Return the valid tickets with this code for an event: of the contract's orders of `owner`, or of all (None)."""
    async with store.snapshot() as reading:
        views = await reading.views(await reading.orders_with_code(event_uid, code))
        return [
            one
            for view in views.values()
            if is_visible(view, contract, owner)
            for one in await _shown(
                reading, view, [one for one in view.tickets if view.admits(one) and one.code == code]
            )
        ]


async def _shown(reading: CatalogueLists, view: OrderView, tickets: Sequence[Ticket]) -> Sequence[TicketView]:
    products = await reading.products(sorted({ticket.product_uid for ticket in tickets}))
    event_uids = sorted({one.event_uid for one in products.values() if one.event_uid is not None})
    sold_out = await reading.sold_out_events(event_uids)
    events = {
        uid: EventView(event=event, is_sold_out=uid in sold_out)
        for uid, event in (await reading.events_named(event_uids)).items()
    }
    return [
        TicketView(
            ticket=ticket,
            order=view,
            product=products[ticket.product_uid],
            event=events.get(products[ticket.product_uid].event_uid or ""),
        )
        for ticket in tickets
    ]
