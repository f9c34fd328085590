"""What a buyer is told about the state of an order: what it is, and what to do next.

Only an order that is still to be paid speaks of paying.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from countermand.actions.ordering.views import OrderView
from countermand.domain.money import Money
from countermand.domain.orders.order_state import OrderState

LABELS: Final[Mapping[str, str]] = {
    OrderState.PENDING: "Not paid yet",
    OrderState.COMPLETED: "Complete",
    OrderState.CANCELLED: "Cancelled",
    OrderState.EXPIRED: "Expired",
    OrderState.FAILED: "Failed",
}
_CANNOT_TELL: Final = "This order cannot be shown right now. Please try again in a moment."
_ASK_THE_SHOP: Final = "Questions? Ask the shop, and name the number of the order."
_SHOW_TICKETS: Final = (
    "Your e-tickets are at the address that the shop gave you. Print them, or show them at the entrance."
)
_ORDER_AGAIN: Final = "Would you still like to come? Place a new order in the shop."

_NO_TICKETS: Final[Mapping[str, str]] = {
    OrderState.COMPLETED: "The tickets of this order were given on to somebody else. They are no longer valid.",
    OrderState.PENDING: "This order is not paid yet. Your tickets will be here once it is.",
    OrderState.CANCELLED: "This order was cancelled. Its tickets are no longer valid.",
    OrderState.EXPIRED: "This order was not paid in time. It has no tickets.",
    OrderState.FAILED: "This order has failed. It has no tickets.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class StateShown:
    """A state on a page: `name` is the word of the contract, `label` the word for a buyer."""

    name: str
    label: str
    title: str
    said: str | None
    following: tuple[str, ...] = ()


def state_shown(view: OrderView, to_pay: Money, received: str | None) -> StateShown:
    """Return the state of an order, for its payment page. `received` is the money that came in, if any did."""
    name = view.order.state.value
    following: tuple[str, ...] = ()
    said: str | None = None
    match view.order.state:
        case OrderState.PENDING:
            title = "Pay for your tickets"
        case OrderState.COMPLETED:
            title, said, following = "Your order is complete", _completed(view, to_pay), _after_completion(view)
        case OrderState.CANCELLED:
            title, said = "This order was cancelled", "Its tickets are no longer valid."
            following = _after_the_end(received)
        case OrderState.EXPIRED:
            title, said = "This order has expired", "It was not completed in time, and its tickets went back on sale."
            following = _after_the_end(received)
        case OrderState.FAILED:
            title, said = "This order has failed", "Its tickets are not valid."
            following = _after_the_end(received)
        case _:
            title, said = "Your order", _CANNOT_TELL
    return StateShown(name=name, label=label_of(view), title=title, said=said, following=following)


def label_of(view: OrderView) -> str:
    """Return the word for the state of an order."""
    return LABELS.get(view.order.state, "Not known here")


def why_no_tickets(view: OrderView) -> str:
    """Return why an order has no tickets that give entry."""
    return _NO_TICKETS.get(view.order.state, _CANNOT_TELL)


def _completed(view: OrderView, to_pay: Money) -> str:
    if view.ticket_details.grand_total_minor == 0:
        return "This order is free and complete. There is nothing left to do here."
    if to_pay.minor == 0:
        return "This order is paid. There is nothing left to do here."
    return "This order is complete. There is nothing left to do here."


def _after_completion(view: OrderView) -> tuple[str, ...]:
    if any(view.admits(ticket) for ticket in view.tickets):
        return (_SHOW_TICKETS, _ASK_THE_SHOP)
    return (_NO_TICKETS[OrderState.COMPLETED], _ASK_THE_SHOP)


def _after_the_end(received: str | None) -> tuple[str, ...]:
    if received is None:
        return (_ORDER_AGAIN, _ASK_THE_SHOP)
    return (f"The shop received {received} for this order. Ask the shop to return the money.", _ORDER_AGAIN)
