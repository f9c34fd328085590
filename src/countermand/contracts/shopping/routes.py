"""All calls of the shopping contract, as one API module."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from countermand.contracts.http.answer import HAL
from countermand.contracts.http.api_module import NOT_AFFILIATED, ApiModule
from countermand.contracts.http.calls import Call
from countermand.contracts.http.examples import Examples
from countermand.contracts.http.openapi import Operation, Reply
from countermand.contracts.shopping import messages
from countermand.contracts.shopping.addresses import Addresses
from countermand.contracts.shopping.calls import FAILURES, RULES, WITH_BODY
from countermand.contracts.shopping.cancelling.cancel import PATH, ShoppingCancel
from countermand.contracts.shopping.catalogue.events import EventCalls
from countermand.contracts.shopping.catalogue.products import ProductCalls
from countermand.contracts.shopping.contract import NAME
from countermand.contracts.shopping.orders.bill import BillCalls
from countermand.contracts.shopping.orders.consumers import ConsumerCalls
from countermand.contracts.shopping.orders.create import OrderCreation
from countermand.contracts.shopping.orders.read import OrderCalls
from countermand.contracts.shopping.orders.tickets import TicketCalls
from countermand.contracts.shopping.root import RootCalls
from countermand.contracts.shopping.translate import ERROR_CODES
from countermand.domain.client import Permission

CANCEL: Final = Operation(
    name="cancelOrder",
    method="POST",
    path=PATH + "/",
    summary="Cancel an order",
    description=(
        "Needs the `cancel` permission, the credentials that created the order, a valid state and no payment. "
        "The path without the trailing slash works, too. 403, 404, 400 and 409 are documented; the others are ours."
    ),
    permission=Permission.CANCEL,
    request=messages.CancelRequest,
    takes_key=True,
    replies={
        **FAILURES,
        **WITH_BODY,
        200: Reply(when="The whole cancelled order", message=messages.Order, media_type=HAL),
        400: Reply(when="BAD_REQUEST: the order or the reason is missing or invalid", message=messages.Error),
        403: Reply(when="FORBIDDEN: no cancel permission, or the order has a payment", message=messages.Error),
        404: Reply(when="NOT_FOUND: the order was not found", message=messages.Error),
        409: Reply(when="ORDER_ALREADY_CANCELED: the order is already canceled", message=messages.Error),
    },
)


def calls(addresses: Addresses, payment_limit: timedelta) -> tuple[Call, ...]:
    """Return the calls, with these addresses. An order that is not paid within `payment_limit` expires."""
    return (
        *RootCalls(addresses).calls(),
        *EventCalls(addresses).calls(),
        *ProductCalls(addresses).calls(),
        *OrderCreation(addresses, payment_limit).calls(),
        *OrderCalls(addresses).calls(),
        *BillCalls(addresses).calls(),
        *TicketCalls(addresses).calls(),
        *ConsumerCalls(addresses).calls(),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Shopping:
    """The contract as one operator offers it: its addresses, the time to pay, and the web pages that may call.

    An order that is not paid within `payment_limit` expires. Web pages of `browser_origins` may call from a browser.
    """

    addresses: Addresses
    payment_limit: timedelta
    browser_origins: Sequence[str] = ()


def api_module(shopping: Shopping) -> ApiModule:
    """Return the contract's calls with their cancel endpoint, their error answers and their description."""
    return ApiModule(
        name=NAME,
        title="Countermand: shopping (ticketing)",
        about=NOT_AFFILIATED + "HAL; calls need an application's key and secret, or a browser application's token.",
        prefix="/",
        calls=calls(shopping.addresses, shopping.payment_limit),
        rules=RULES,
        cancel=(ShoppingCancel(shopping.addresses), CANCEL),
        security={"basic": {"type": "http", "scheme": "basic"}},
        browser_origins=shopping.browser_origins,
        error_codes=ERROR_CODES,
        examples=Examples(Path(__file__).with_name("examples.json")),
    )
