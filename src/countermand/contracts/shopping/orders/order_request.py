"""What does a buyer want? Converts the body of an order or a bill, and the old query of a bill, for the actions."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import UNSET

from countermand.actions.errors import FieldsError
from countermand.actions.ordering.views import Line
from countermand.actions.ticketing.rules import TicketOrder
from countermand.actions.ticketing.transfer import TransferOrder
from countermand.contracts.http.body import shown
from countermand.contracts.http.money import AmountGiven
from countermand.contracts.http.query import Query
from countermand.contracts.http.redirect_url import redirect_url_errors
from countermand.contracts.http.typed_text import tidy_text
from countermand.contracts.shopping import messages
from countermand.contracts.shopping.addresses import Addresses
from countermand.contracts.shopping.orders.messages import CreateRequest, ShippingGiven
from countermand.domain.client import Client
from countermand.domain.money import Money
from countermand.domain.orders.order_details import ExternalPurchase, ShippingAddress, TicketOrderGiven
from countermand.domain.ticketing.consumer import Consumer

_MOST: Final = 100
_AMOUNT: Final = re.compile(r"([A-Z]{3})([0-9]{1,13}(?:\.[0-9]{1,2})?)")
_COUNTRY: Final = re.compile("[A-Z]{2}")
_METHOD: Final = re.compile("[0-9A-Za-z]{1,32}")


_SENT_ONCE: Final = ("payment_method", "shipping_method", "country", "external_purchase_amount", "donation_amount")


class Reading:
    """Reads a request, and collects its errors."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self.errors: list[tuple[str, str]] = []

    def check(self) -> None:
        """Raise `FieldsError` with all errors, if there are any."""
        if self.errors:
            raise FieldsError(self.errors)

    def wrong(self, path: str, said: str) -> None:
        """Add an error of a field; `said` continues the sentence after the field's name."""
        self.errors.append((path, f"{path} {said}"))

    def product(self, path: str, uri: str) -> str:
        """Return the uid in a product's address."""
        uid = self._addresses.uid_of_product(uri)
        if uid is None:
            like = self._addresses.product("<uid>")
            self.wrong(path, f"must be the uri of a product, like {like}, not {shown(uri)}")
        return uid or ""

    def ticket(self, path: str, uri: str) -> str:
        """Return the uid in a ticket's address."""
        uid = self._addresses.uid_of_ticket(uri)
        if uid is None:
            like = self._addresses.ticket("<uid>")
            self.wrong(path, f"must be the uri of a ticket, like {like}, not {shown(uri)}")
        return uid or ""

    def money(self, path: str, given: AmountGiven | None) -> Money | None:
        """Return an amount of the request."""
        if given is None:
            return None
        try:
            return Money.of(given.amount, given.currency)
        except ValueError as error:
            self.wrong(path, f"is {shown(given.amount)} {given.currency}, but {error}")
            return None

    def currency(self, given: str | None) -> str | None:
        """Return the currency if amounts can be in it."""
        if given is not None:
            try:
                Money.of(0, given)
            except ValueError as error:
                self.errors.append(("currency", f"currency: {error}"))
        return given


def wanted_of(request: CreateRequest, addresses: Addresses, client: Client) -> TicketOrder | TransferOrder:
    """Return the request in the form that the actions use. Without a `redirect_url` it has the client's default.

    Raises `FieldsError` with every error.
    """
    reading = Reading(addresses)
    if (request.products is None) == (request.tickets is None):
        reading.wrong("products", "or tickets must be given, and not both")
    lines, for_whom = _lines(request, reading)
    tickets = [reading.ticket(f"tickets[{at}]", uri) for at, uri in enumerate(request.tickets or ())]
    external = _external(request, reading)
    donation = reading.money("donation_amount", request.donation_amount)
    currency = reading.currency(request.currency)
    reading.errors += redirect_url_errors(client.redirects, request.redirect_url)
    reading.check()
    shipping = request.shipping_method
    given = TicketOrderGiven(
        consumer=None if request.consumer is None else consumer_given(request.consumer),
        external_purchases=tuple(external),
        external_reference=request.external_reference,
        redirect_url=request.redirect_url or client.redirects.url,
        opt_in=request.opt_in,
        shipping_address=_address(shipping) if isinstance(shipping, ShippingGiven) else UNSET,
    )
    if request.tickets is not None:
        return TransferOrder(ticket_uids=tickets, given=given)
    return TicketOrder(
        lines=lines,
        payment_method_uid=request.payment_method,
        shipping_method_uid=shipping.uid if isinstance(shipping, ShippingGiven) else shipping,
        given=given,
        vouchers=request.vouchers,
        donation=donation,
        currency=currency,
        ticket_consumers=for_whom,
        consecutive_seats=request.check_consecutive_seats,
        only_event=client.only_event,
    )


def consumer_given(consumer: messages.Consumer) -> Consumer:
    """Return a consumer in the form that the actions use."""
    return msgspec.convert(msgspec.to_builtins(consumer), Consumer)


def _address(shipping: ShippingGiven) -> ShippingAddress:
    return msgspec.convert(msgspec.to_builtins(shipping), ShippingAddress)


def _lines(request: CreateRequest, reading: Reading) -> tuple[list[Line], dict[int, list[Consumer]]]:
    """Return the chosen lines and, by the index of a line, the consumers of its tickets.

    The vendor's shop sends back the products of a bill, among them the parts of a combo product. The combo product
    brings its parts, so their lines are passed over.
    """
    lines: list[Line] = []
    for_whom: dict[int, list[Consumer]] = {}
    chosen = {one.product for one in request.products or () if one.parent is None}
    for index, selection in enumerate(request.products or ()):
        path = f"products[{index}]"
        uid = reading.product(f"{path}.product", selection.product)
        if selection.parent is not None:
            if selection.parent not in chosen:
                reading.wrong(
                    f"{path}.parent", f"must be the uri of a product of this order, not {shown(selection.parent)}"
                )
            continue
        lines.append(Line(product_uid=uid, quantity=selection.quantity))
        if selection.consumers is None:
            continue
        if len(selection.consumers) != selection.quantity:
            said = f"must be as many as the quantity, {selection.quantity}, not {len(selection.consumers)}"
            reading.wrong(f"{path}.consumers", said)
        for_whom[len(lines) - 1] = [consumer_given(one) for one in selection.consumers]
    return lines, for_whom


def _external(request: CreateRequest, reading: Reading) -> list[ExternalPurchase]:
    external: list[ExternalPurchase] = []
    for index, purchase in enumerate(request.external_purchases):
        money = reading.money(f"external_purchases[{index}].unit_price", purchase.unit_price)
        if money is not None:
            external.append(
                ExternalPurchase(
                    title=purchase.title,
                    product_reference=purchase.product_reference,
                    unit_price_minor=money.minor,
                    currency=money.currency,
                    quantity=purchase.quantity,
                )
            )
    return external


def wanted_of_query(given: Query, addresses: Addresses) -> TicketOrder:
    """Read the deprecated form, GET /bill, which repeats `products=<uri>,<quantity>`. Raises `FieldsError`."""
    reading = Reading(addresses)
    query = {name: given.one(name) for name in _SENT_ONCE}
    reading.errors += given.errors
    selections = given.several("products")
    if not 1 <= len(selections) <= _MOST:
        reading.wrong(
            "products", f"must be there, 1 to {_MOST} times, as <uri>,<quantity>, not {len(selections)} times"
        )
    lines = []
    for index, selection in enumerate(selections[:_MOST]):
        uri, _, count = selection.rpartition(",")
        path = f"products[{index}]"
        if not (re.fullmatch("[0-9]{1,3}", count) and 1 <= int(count) <= _MOST):
            reading.wrong(path, f"must be <uri>,<quantity> with a quantity from 1 to {_MOST}, not {shown(selection)}")
            continue
        lines.append(Line(product_uid=reading.product(path, uri), quantity=int(count)))
    _query_amount(query, "external_purchase_amount", reading)
    donation = _query_amount(query, "donation_amount", reading)
    payment = _matching(query, "payment_method", _METHOD, "the uid of a method", reading)
    shipping = _matching(query, "shipping_method", _METHOD, "the uid of a method", reading)
    country = _matching({"country": _country(query)}, "country", _COUNTRY, "a country's two letters, like NL", reading)
    reading.check()
    return TicketOrder(
        lines=lines,
        payment_method_uid=payment,
        shipping_method_uid=shipping,
        given=TicketOrderGiven(consumer=Consumer(country=country or UNSET)),
        donation=donation,
    )


def _country(query: Mapping[str, str | None]) -> str:
    return tidy_text(query.get("country") or "").upper()


def _matching(
    query: Mapping[str, str | None], name: str, pattern: re.Pattern[str], said: str, reading: Reading
) -> str | None:
    """Return a parameter that matches its pattern, or None if it is missing or empty."""
    value = query.get(name) or None
    if value is not None and not pattern.fullmatch(value):
        reading.wrong(name, f"must be {said}, not {shown(value)}")
    return value


def _query_amount(query: Mapping[str, str | None], name: str, reading: Reading) -> Money | None:
    """Return an amount like `EUR350.75` (documented)."""
    value = query.get(name) or None
    if value is None:
        return None
    found = _AMOUNT.fullmatch(value)
    if found is None:
        reading.wrong(name, f"must be a currency and an amount, like EUR350.75, not {shown(value)}")
        return None
    try:
        return Money.of(Decimal(found[2]), found[1])
    except ValueError as error:
        reading.errors.append((name, f"{name}: {error}"))
        return None
