"""Serves the pages for buyers: the sandbox's payment page, and the tickets of an order. They load nothing from others.

Every client that knows a page's address may see the page. The address has the order's uid, or the uid and a token, and
no client can guess either.
"""

import hmac
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from http import HTTPStatus
from typing import Final, Literal
from urllib.parse import urlsplit

from litestar.handlers import HTTPRouteHandler
from markupsafe import Markup

from countermand.actions.errors import CountermandError, NotFoundError
from countermand.actions.ordering.record_progress import PaymentTransaction, left_to_pay, pay_in_sandbox
from countermand.actions.ordering.views import OrderView
from countermand.actions.ordering.visibility import is_shown
from countermand.actions.ports import Clock
from countermand.contracts.http.answer import Answer, error_headers
from countermand.contracts.http.contract import Page
from countermand.contracts.http.store import Store
from countermand.domain.contract import ContractName
from countermand.domain.money import Money, written_minor
from countermand.domain.orders.balance import Balance, balances_of
from countermand.domain.orders.order import UID_PATTERN, OrderUid, order_id_of
from countermand.domain.orders.order_state import ENDED_UNFULFILLED, OrderState
from countermand.domain.redirects import policy_source_of
from countermand.domain.ticketing.catalogue import Event
from countermand.telemetry.requests import Requests
from countermand.web.framework import FrameworkRequest
from countermand.web.pages.calendar_file import calendar_file, has_a_date
from countermand.web.pages.moments import Moment, day
from countermand.web.pages.order_states import label_of, state_shown, why_no_tickets
from countermand.web.pages.page_answer import guarded, page_answer
from countermand.web.pages.rendering import PageRenderer
from countermand.web.pages.ticket_codes import TicketCodes
from countermand.web.pages.ticket_texts import TicketText, in_english, ticket_text
from countermand.web.reporting import PageHandler, page_route
from countermand.web.request_log import outcome_of

PAYMENT: Final = "/payments/{uid}"
ETICKETS: Final = "/etickets/{token}"
CALENDAR: Final = "/etickets/{token}/event.ics"
_UID_LENGTH: Final = 32
_STATUS: Final[Mapping[str, int]] = {"not_found": 404, "unavailable": 503}
_FAILURES: Final[Mapping[int, tuple[str, str, str]]] = {
    404: (
        "There is nothing here",
        "This address leads to no order. Is the address whole?",
        "Open the link again from the message or page of the shop, or ask the shop for it.",
    ),
    503: (
        "Not right now",
        "This cannot be shown right now. Please try again in a moment.",
        "Your order and your tickets are safe.",
    ),
}
_UNEXPECTED: Final = (
    "Something went wrong",
    "This cannot be shown because of an error of ours.",
    "Please try again. If the error stays, ask the shop.",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Line:
    name: str
    quantity: int
    amount: str | None
    is_part: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shown:
    reference: str
    placed: Moment
    lines: Sequence[_Line]
    sums: Sequence[tuple[str, str]]
    total_name: str
    grand_total: str
    paid_name: str
    paid: str | None
    to_pay: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _TicketShown:
    about: TicketText
    code: str
    svg: Markup


class BuyerPages:
    """Serves the pages for buyers. `payments` says whether the sandbox's payment page is switched on.

    `contracts` says, for each page, the orders of which contracts it shows. Clients use `public_url`. The dates are
    written in the time zone `zone`.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        requests: Requests,
        contracts: Mapping[Page, Collection[ContractName]],
        *,
        public_url: str,
        payments: bool,
        zone: tzinfo,
    ) -> None:
        self._renderer = PageRenderer(public_url)
        self._contracts = contracts
        self._store = store
        self._clock = clock
        self._requests = requests
        self._payments = payments
        self._codes = TicketCodes()
        self._zone = zone
        self._host = urlsplit(public_url).hostname or "localhost"

    def routes(self) -> list[HTTPRouteHandler]:
        """Return the pages as routes of the framework."""
        pages = [self._route("GET", ETICKETS, self._etickets), self._route("GET", CALENDAR, self._calendar)]
        if self._payments:
            pages.append(self._route("GET", PAYMENT, self._payment))
            pages.append(self._route("POST", PAYMENT, self._pay))
        return pages

    async def _payment(self, request: FrameworkRequest) -> Answer:
        view, _, to_pay = await self._order(request.path_params["uid"], Page.PAYMENT)
        return self._payment_page(view, to_pay, await self._late_money(view))

    async def _pay(self, request: FrameworkRequest) -> Answer:
        view, _, _ = await self._order(request.path_params["uid"], Page.PAYMENT)
        async with self._store.transaction() as tx:
            is_paid = await self._paid(tx, view)
        if not is_paid:
            view, _, to_pay = await self._order(request.path_params["uid"], Page.PAYMENT)
            return self._payment_page(view, to_pay, await self._late_money(view), status=409)
        here = self._renderer.path(PAYMENT.format(uid=view.order.uid))
        following = _back_to(view) or here
        return page_answer(303, "", (b"location", following.encode()))

    async def _paid(self, tx: PaymentTransaction, view: OrderView) -> bool:
        return await pay_in_sandbox(tx, view.order.id, self._clock())

    async def _etickets(self, request: FrameworkRequest) -> Answer:
        return await self._tickets_page(*await self._order_of_token(request.path_params["token"]))

    async def _calendar(self, request: FrameworkRequest) -> Answer:
        view, events = await self._order_of_token(request.path_params["token"])
        dated = _dated(view, events)
        if not dated:
            raise NotFoundError("there is no such page")
        body = calendar_file(dated, host=self._host, reference=view.order.reference, written_at=self._clock())
        offered = (b"content-disposition", b'attachment; filename="event.ics"')
        return Answer(200, (*guarded(), offered, (b"content-type", b"text/calendar; charset=utf-8")), body)

    async def _order_of_token(self, token: str) -> tuple[OrderView, Mapping[str, Event]]:
        """Return an order, and the event of each of its products. Raises `NotFoundError` for a wrong token."""
        view, events, _ = await self._order(token[:_UID_LENGTH], Page.ETICKETS)
        if not hmac.compare_digest(token.encode(), (view.ticket_details.etickets_token or "").encode()):
            raise NotFoundError("there is no such page")
        return view, events

    async def _order(self, uid: str, page: Page) -> tuple[OrderView, Mapping[str, Event], Money]:
        """Return an order, the event of each of its products, and the money that is left to pay.

        Raises `NotFoundError` for an unknown order, and for an order that this page does not show.
        """
        if re.fullmatch(UID_PATTERN, uid) is None:
            raise NotFoundError("there is no such order")
        order_id = order_id_of(OrderUid(uid))
        async with self._store.snapshot() as reading:
            view = (await reading.views([order_id])).get(order_id)
            if view is None or view.order.uid != uid or not self._has(page, view):
                raise NotFoundError("there is no such order")
            known = await reading.products([product.uid for product in view.products])
            found = {one.event_uid: await reading.event(one.event_uid) for one in known.values() if one.event_uid}
            to_pay = await left_to_pay(reading, view)
        events = {uid: found.get(product.event_uid) for uid, product in known.items() if product.event_uid}
        return view, {uid: event for uid, event in events.items() if event is not None}, to_pay

    def _has(self, page: Page, view: OrderView) -> bool:
        return view.order.contract in self._contracts[page] and is_shown(view)

    async def _late_money(self, view: OrderView) -> Money | None:
        """Return the money that came in after the order had ended and is still here, in its currency, or None."""
        if view.order.state not in ENDED_UNFULFILLED:
            return None
        async with self._store.snapshot() as reading:
            payments = await reading.payments_of(view.order.id)
            corrections = await reading.corrections_of(view.order.id)
        currency = view.ticket_details.currency
        balance = balances_of(payments, corrections).get(currency, Balance())
        return Money(minor=balance.late, currency=currency) if balance.late else None

    def _payment_page(self, view: OrderView, to_pay: Money, late: Money | None, *, status: int = 200) -> Answer:
        back = _back_to(view)
        order = _shown(view, to_pay, late, self._zone)
        state = state_shown(view, to_pay, order.paid)
        text = self._renderer.rendered(
            "payment.html",
            title=state.title,
            order=order,
            state=state,
            can_pay=view.order.state is OrderState.PENDING,
            failed=status == HTTPStatus.CONFLICT,
            back=back,
        )
        return page_answer(status, text, forms_to=back)

    async def _tickets_page(self, view: OrderView, events: Mapping[str, Event]) -> Answer:
        admitting = [one for one in view.tickets if view.admits(one)]
        drawings = await self._codes.drawn([one.code for one in admitting])
        names = {product.uid: in_english(product.name) for product in view.products}
        tickets = [
            _TicketShown(
                about=ticket_text(view, one, names[one.product_uid], events.get(one.product_uid), self._zone),
                code=one.code,
                svg=svg,
            )
            for one, svg in zip(admitting, drawings, strict=True)
        ]
        token = view.ticket_details.etickets_token or ""
        text = self._renderer.rendered(
            "etickets.html",
            title="Your tickets",
            reference=view.order.reference,
            state=view.order.state.value,
            label=label_of(view),
            said=None if tickets else why_no_tickets(view),
            tickets=tickets,
            back=_back_to(view),
            calendar=self._renderer.path(CALENDAR.format(token=token)) if _dated(view, events) else None,
        )
        return page_answer(200, text)

    def _failed_page(self, error: CountermandError) -> Answer:
        outcome, _ = outcome_of(error)
        status = _STATUS.get(outcome, 500)
        title, said, following = _FAILURES.get(status, _UNEXPECTED)
        text = self._renderer.rendered("buyer_error.html", title=title, said=said, following=following)
        return page_answer(status, text, *error_headers(error, scheme=""))

    def _route(self, method: Literal["GET", "POST"], path: str, page: PageHandler) -> HTTPRouteHandler:
        return page_route(method, path, page, self._requests.route(method, path), self._failed_page)


def _back_to(view: OrderView) -> str | None:
    """Return the address that the buyer is led back to, or None for an address that no page may lead to."""
    url = view.ticket_details.redirect_url
    return None if url is None or policy_source_of(url) is None else url


def _dated(view: OrderView, events: Mapping[str, Event]) -> Sequence[Event]:
    """Return the events with a date of those tickets of an order that give entry, each event once."""
    found = [events.get(ticket.product_uid) for ticket in view.tickets if view.admits(ticket)]
    return list({event.uid: event for event in found if event is not None and has_a_date(event)}.values())


def _shown(view: OrderView, to_pay: Money, late: Money | None, zone: tzinfo) -> _Shown:
    given = view.ticket_details

    def money(minor: int) -> str:
        return f"{given.currency} {written_minor(minor)}"

    names = {product.uid: in_english(product.name) for product in view.products}
    prices = given.prices or (None,) * len(view.lines)
    is_pending = view.order.state is OrderState.PENDING
    paid_minor = given.grand_total_minor - to_pay.minor
    in_minor = paid_minor if late is None else late.minor  # nothing else was paid for an order that has ended
    return _Shown(
        reference=view.order.reference,
        placed=day(view.order.created_at, zone),
        lines=[
            _Line(
                name=names[line.product_uid],
                quantity=line.quantity,
                amount=None if price is None or is_part else money(price.paid_minor * line.quantity),
                is_part=is_part,
            )
            for line, price in zip(view.lines, prices, strict=False)
            for is_part in [line.parent_uid is not None]
        ],
        sums=[(name, money(minor)) for name, minor in _sums(view)],
        total_name="To pay" if is_pending and not paid_minor else "Total",
        grand_total=money(given.grand_total_minor),
        paid_name="Paid" if late is None else "Received",
        paid=money(in_minor) if in_minor else None,
        to_pay=money(to_pay.minor),
    )


def _sums(view: OrderView) -> Iterator[tuple[str, int]]:
    """Yield what the total consists of, in minor units. Of an order that has ended, only the total is of interest."""
    given = view.ticket_details
    if view.order.state not in {OrderState.PENDING, OrderState.COMPLETED} or not given.grand_total_minor:
        return
    yield "Tickets", given.product_total_minor
    yield "Service costs", given.service_costs_minor
    for method in (given.payment_method, given.shipping_method):
        if method is not None:
            yield in_english(method.name), method.costs_minor
    if given.donation_minor:
        yield "Donation", given.donation_minor
