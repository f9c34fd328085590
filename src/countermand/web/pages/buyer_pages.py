"""Serves the pages for buyers: the sandbox's payment page, and the tickets of an order. They load nothing from others.

Every client that knows a page's address may see the page. The address has the order's uid, or the uid and a token, and
no client can guess either.
"""

import hmac
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from litestar.handlers import HTTPRouteHandler
from markupsafe import Markup

from countermand.actions.errors import CountermandError, NotFoundError
from countermand.actions.ordering.record_progress import PaymentTransaction, left_to_pay, pay_in_sandbox
from countermand.actions.ordering.views import OrderView
from countermand.actions.ordering.visibility import is_shown
from countermand.actions.ports import Clock
from countermand.actions.ticketing.seat import seat_of
from countermand.contracts.http.answer import Answer, error_headers
from countermand.contracts.http.contract import Page
from countermand.contracts.http.store import Store
from countermand.domain.contract import ContractName
from countermand.domain.money import Money, written_minor
from countermand.domain.orders.order import UID_PATTERN, OrderUid, order_id_of
from countermand.domain.orders.order_state import OrderState
from countermand.domain.redirects import policy_source_of
from countermand.domain.ticketing.catalogue import Event, I18n
from countermand.domain.ticketing.seating import Seat
from countermand.telemetry.requests import Requests
from countermand.web.framework import FrameworkRequest
from countermand.web.pages.rendering import PageRenderer
from countermand.web.pages.ticket_codes import TicketCodes
from countermand.web.reporting import PageHandler, page_route
from countermand.web.request_log import outcome_of

PAYMENT: Final = "/payments/{uid}"
ETICKETS: Final = "/etickets/{token}"
_UID_LENGTH: Final = 32
_STATUS: Final[Mapping[str, int]] = {"not_found": 404, "unavailable": 503}

_WHY_NOT: Final[Mapping[str, str]] = {
    OrderState.COMPLETED: "This order is paid. There is nothing left to do.",
    OrderState.CANCELLED: "This order was cancelled. It can no longer be paid.",
    OrderState.EXPIRED: "This order was not paid in time. It can no longer be paid.",
    OrderState.FAILED: "This order has failed. It can no longer be paid.",
}
_CANNOT_TELL: Final = "This order cannot be shown right now. Please try again in a moment."
_NO_TICKETS: Final[Mapping[str, str]] = {
    OrderState.COMPLETED: "The tickets of this order were given on to somebody else. They are no longer valid.",
    OrderState.PENDING: "This order is not paid yet. Your tickets will be here once it is.",
    OrderState.CANCELLED: "This order was cancelled. Its tickets are no longer valid.",
    OrderState.EXPIRED: "This order was not paid in time. It has no tickets.",
    OrderState.FAILED: "This order has failed. It has no tickets.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Line:
    name: str
    quantity: int
    is_part: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shown:
    reference: str
    lines: Sequence[_Line]
    product_total: str
    service_costs: str
    method_costs: Sequence[tuple[str, str]]
    donation: str | None
    grand_total: str
    paid: str | None
    to_pay: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _TicketShown:
    name: str
    seat: str | None
    code: str
    svg: Markup


class BuyerPages:
    """Serves the pages for buyers. `payments` says whether the sandbox's payment page is switched on.

    `contracts` says, for each page, the orders of which contracts it shows. Clients use `public_url`.
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
    ) -> None:
        self._renderer = PageRenderer(public_url)
        self._contracts = contracts
        self._store = store
        self._clock = clock
        self._requests = requests
        self._payments = payments
        self._codes = TicketCodes()

    def routes(self) -> list[HTTPRouteHandler]:
        """Return the pages as routes of the framework."""
        pages = [self._route("GET", ETICKETS, self._etickets)]
        if self._payments:
            pages.append(self._route("GET", PAYMENT, self._payment))
            pages.append(self._route("POST", PAYMENT, self._pay))
        return pages

    async def _payment(self, request: FrameworkRequest) -> Answer:
        view, _, to_pay = await self._order(request.path_params["uid"], Page.PAYMENT)
        return self._payment_page(view, to_pay)

    async def _pay(self, request: FrameworkRequest) -> Answer:
        view, _, _ = await self._order(request.path_params["uid"], Page.PAYMENT)
        async with self._store.transaction() as tx:
            is_paid = await self._paid(tx, view)
        if not is_paid:
            view, _, to_pay = await self._order(request.path_params["uid"], Page.PAYMENT)
            return self._payment_page(view, to_pay, status=409)
        here = self._renderer.path(PAYMENT.format(uid=view.order.uid))
        following = _back_to(view) or here
        return _page_answer(303, "", (b"location", following.encode()))

    async def _paid(self, tx: PaymentTransaction, view: OrderView) -> bool:
        return await pay_in_sandbox(tx, view.order.id, self._clock())

    async def _etickets(self, request: FrameworkRequest) -> Answer:
        token = request.path_params["token"]
        view, events, _ = await self._order(token[:_UID_LENGTH], Page.ETICKETS)
        if not hmac.compare_digest(token.encode(), (view.ticket_details.etickets_token or "").encode()):
            raise NotFoundError("there is no such page")
        return await self._tickets_page(view, events)

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

    def _payment_page(self, view: OrderView, to_pay: Money, *, status: int = 200) -> Answer:
        state = view.order.state
        back = _back_to(view)
        text = self._renderer.rendered(
            "payment.html",
            title="Pay for your tickets" if state is OrderState.PENDING else "Your order",
            order=_shown(view, to_pay),
            said=None if state is OrderState.PENDING else _WHY_NOT.get(state, _CANNOT_TELL),
            can_pay=state is OrderState.PENDING,
            back=back,
        )
        return _page_answer(status, text, forms_to=back)

    async def _tickets_page(self, view: OrderView, events: Mapping[str, Event]) -> Answer:
        admitting = [one for one in view.tickets if view.admits(one)]
        drawings = await self._codes.drawn([one.code for one in admitting])
        names = {product.uid: _in_english(product.name) for product in view.products}
        tickets = [
            _TicketShown(
                name=_ticket_name(names[one.product_uid], events.get(one.product_uid)),
                seat=_seat(seat_of(view, one)),
                code=one.code,
                svg=svg,
            )
            for one, svg in zip(admitting, drawings, strict=True)
        ]
        text = self._renderer.rendered(
            "etickets.html",
            title="Your tickets",
            reference=view.order.reference,
            said=None if tickets else _NO_TICKETS.get(view.order.state, _CANNOT_TELL),
            tickets=tickets,
        )
        return _page_answer(200, text)

    def _failed_page(self, error: CountermandError) -> Answer:
        outcome, _ = outcome_of(error)
        status = _STATUS.get(outcome, 500)
        said = {
            404: "There is nothing here. Is the address whole?",
            503: "This cannot be shown right now. Please try again in a moment.",
        }.get(status, "Something went wrong. Please try again.")
        title = "Not found" if isinstance(error, NotFoundError) else "Not now"
        return _page_answer(
            status, self._renderer.rendered("none.html", title=title, said=said), *error_headers(error, scheme="")
        )

    def _route(self, method: Literal["GET", "POST"], path: str, page: PageHandler) -> HTTPRouteHandler:
        return page_route(method, path, page, self._requests.route(method, path), self._failed_page)


def _back_to(view: OrderView) -> str | None:
    """Return the address that the buyer is led back to, or None for an address that no page may lead to."""
    url = view.ticket_details.redirect_url
    return None if url is None or policy_source_of(url) is None else url


def _ticket_name(name: str, event: Event | None) -> str:
    if event is None:
        return name
    when = "" if event.starts_at is None else f", {event.starts_at:%Y-%m-%d}"
    return f"{_in_english(event.title)}: {name}{when}"


def _seat(seat: Seat | None) -> str | None:
    return None if seat is None else f"{seat.section}, row {seat.row}, seat {seat.number}"


def _shown(view: OrderView, to_pay: Money) -> _Shown:
    given = view.ticket_details

    def money(minor: int) -> str:
        return f"{given.currency} {written_minor(minor)}"

    names = {product.uid: _in_english(product.name) for product in view.products}
    methods = [one for one in (given.payment_method, given.shipping_method) if one is not None]
    is_free = given.grand_total_minor == 0
    paid_minor = given.grand_total_minor - to_pay.minor
    return _Shown(
        reference=view.order.reference,
        lines=[
            _Line(name=names[line.product_uid], quantity=line.quantity, is_part=line.parent_uid is not None)
            for line in view.lines
        ],
        product_total=money(given.product_total_minor),
        service_costs=money(given.service_costs_minor),
        method_costs=[(_in_english(one.name), money(one.costs_minor)) for one in methods if not is_free],
        donation=money(given.donation_minor) if given.donation_minor else None,
        grand_total=money(given.grand_total_minor),
        paid=money(paid_minor) if paid_minor else None,
        to_pay=money(to_pay.minor),
    )


def _in_english(texts: I18n) -> str:
    """Return the English text, or else the first text that is not empty."""
    return texts.get("en") or next((text for text in texts.values() if text), "")


def _page_answer(status: int, text: str, *headers: tuple[bytes, bytes], forms_to: str | None = None) -> Answer:
    """Return a page that runs no script and is never cached.

    Its forms go only to this service, which may redirect to the shop, to the address `forms_to`.
    """
    source = None if forms_to is None else policy_source_of(forms_to)
    shop = "" if source is None else f" {source}"
    policy = (
        "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
        f"form-action 'self'{shop}"
    )
    safe = (
        (b"content-security-policy", policy.encode("latin-1", "ignore")),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-store"),
        (b"content-type", b"text/html; charset=utf-8"),
    )
    return Answer(status, (*safe, *headers), text.encode())
