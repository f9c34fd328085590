"""The lists of the desk: JSON a page at a time, or CSV and JSON lines with all rows, which are streamed."""

import re
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

import msgspec
from litestar.datastructures.headers import Accept

from countermand.actions.errors import FieldsError
from countermand.actions.ordering.desk_lists import ListPage, RowsWanted
from countermand.actions.ordering.read_desk_lists import (
    count_reasons,
    list_cancellations,
    list_late_payments,
    list_part_payments,
    list_refunds,
    list_refusals,
)
from countermand.contracts.http.answer import JSON, Answer, json_answer
from countermand.contracts.http.calls import Call, CallContext, Request, ServiceCall, Services, no_body
from countermand.contracts.http.openapi import Reply, parameter
from countermand.contracts.http.query import Query
from countermand.contracts.http.streamed import StreamedAnswer
from countermand.contracts.manage import csv_rows, list_messages, list_output, money_messages
from countermand.contracts.manage.calls import ROOT, instant_in, operation
from countermand.contracts.manage.csv_rows import CSV
from countermand.domain.client import LARGEST_CLIENT_ID, ClientId, Permission
from countermand.domain.contract import ContractName
from countermand.domain.orders.payment_correction import RefundState

LINES: Final = "application/x-ndjson"
PAGE: Final = 100
_STREAMED_AT_ONCE: Final = 500
_STATES: Final = tuple(state.value for state in RefundState)
_NAME: Final = re.compile("[a-z][a-z0-9_]{0,63}")
STREAMED: Final = "With `Accept: text/csv` or `application/x-ndjson`, the answer has all rows, and is streamed"

Message = TypeVar("Message", bound=msgspec.Struct)


@dataclass(frozen=True, kw_only=True)
class DeskList(Generic[Message]):
    """A list: how a page of its rows is read as messages, the message of a row, and the message of a page."""

    row: type[Message]
    read: Callable[[Services, RowsWanted, int], Awaitable[ListPage[Message]]]
    page: Callable[[Sequence[Message], str | None], msgspec.Struct]
    filters: Sequence[str]

    async def __call__(self, context: CallContext[None]) -> Answer:
        """Answer with a page, or with a stream of all rows from there on."""
        wanted = wanted_in(context.request, self.filters)
        media_type = media_type_of(context.request)
        first = await self.read(context.services, wanted, PAGE if media_type == JSON else _STREAMED_AT_ONCE)
        if media_type == JSON:
            return json_answer(200, self.page(first.items, first.following))
        pieces = self._pieces(context.services, wanted, first, media_type)
        return StreamedAnswer(status=200, headers=_stream_headers(media_type), pieces=pieces)

    async def _pieces(
        self, services: Services, wanted: RowsWanted, page: ListPage[Message], media_type: str
    ) -> AsyncGenerator[bytes, None]:
        """Yield a piece for each page. Each page is read from a state of its own, so no connection waits for a client.

        Rows that are added meanwhile may be there or not; no row is there twice.
        """
        as_line = csv_rows.row if media_type == CSV else _json_line
        if media_type == CSV:
            yield csv_rows.headings(self.row)
        while True:
            yield b"".join(as_line(item) for item in page.items)
            if page.following is None:
                return
            page = await self.read(services, replace(wanted, after=page.following), _STREAMED_AT_ONCE)


def media_type_of(request: Request) -> str:
    """Return the media type that the caller prefers: JSON, unless it names another one."""
    accept = request.headers.get(b"accept", b"").decode("latin-1")
    return (Accept(accept).best_match([JSON, CSV, LINES]) if accept else None) or JSON


def wanted_in(request: Request, filters: Sequence[str]) -> RowsWanted:
    """Return the filters of a request. Raises `FieldsError` with every error, also for an unknown parameter."""
    query = Query(request.query_string)
    given = {name: query.one(name) for name in filters}
    query.refuse_others(filters)
    instants = {}
    for name in ("from", "until"):
        text = given.get(name)
        try:
            instants[name] = None if text is None else instant_in(name, text)
        except FieldsError as error:
            query.errors += error.errors
    client = given.get("client")
    if client is not None and not (client.isascii() and client.isdigit() and 0 < int(client[:19]) <= LARGEST_CLIENT_ID):
        query.wrong("client", "the id of a client, which is a number", client)
    for name in ("contract", "code"):
        text = given.get(name)
        if text is not None and not _NAME.fullmatch(text):
            query.wrong(name, f"the name of a {name}, in small letters", text)
    state = given.get("state")
    if state is not None and state not in _STATES:
        query.wrong("state", f"one of {', '.join(_STATES)}", state)
    query.check()
    contract = given.get("contract")
    return RowsWanted(
        contract=None if contract is None else ContractName(contract),
        client=None if client is None else ClientId(int(client)),
        since=instants["from"],
        until=instants["until"],
        code=given.get("code"),
        state=None if state is None else RefundState(state),
        after=given.get("after"),
    )


def _json_line(message: msgspec.Struct) -> bytes:
    return msgspec.json.encode(message) + b"\n"


def _stream_headers(media_type: str) -> tuple[tuple[bytes, bytes], ...]:
    content_type = f"{media_type}; charset=utf-8" if media_type == CSV else media_type
    return ((b"content-type", content_type.encode()), (b"vary", b"accept"))


async def _cancellations(
    services: Services, wanted: RowsWanted, at_most: int
) -> ListPage[list_messages.ListedCancellation]:
    found = await list_cancellations(services.store, wanted, at_most)
    return ListPage(items=[list_output.cancellation_shown(one) for one in found.items], following=found.following)


async def _refusals(services: Services, wanted: RowsWanted, at_most: int) -> ListPage[list_messages.ListedRefusal]:
    found = await list_refusals(services.store, services.archive, wanted, at_most)
    return ListPage(items=[list_output.refusal_shown(one) for one in found.items], following=found.following)


async def _late_payments(services: Services, wanted: RowsWanted, at_most: int) -> ListPage[list_messages.LatePayment]:
    found = await list_late_payments(services.store, wanted, at_most)
    return ListPage(items=[list_output.late_payment_shown(one) for one in found.items], following=found.following)


async def _part_payments(services: Services, wanted: RowsWanted, at_most: int) -> ListPage[list_messages.PartPayment]:
    found = await list_part_payments(services.store, wanted, at_most)
    return ListPage(items=[list_output.part_payment_shown(one) for one in found.items], following=found.following)


async def _refunds(services: Services, wanted: RowsWanted, at_most: int) -> ListPage[money_messages.ListedRefund]:
    found = await list_refunds(services.store, wanted, at_most)
    return ListPage(items=[list_output.refund_shown(one) for one in found.items], following=found.following)


async def _reasons(context: CallContext[None]) -> Answer:
    wanted = wanted_in(context.request, _REASON_FILTERS)
    counted = await count_reasons(context.services.store, wanted)
    counts: Counter[str | None] = Counter()
    for one in counted:
        for code in (None,) if one.codes is None else one.codes:
            counts[code] += one.refusals
    reasons = [list_messages.Reason(code=code, count=count) for code, count in counts.most_common()]
    return json_answer(200, list_messages.Reasons(reasons=reasons, refusals=sum(one.refusals for one in counted)))


_REASON_FILTERS: Final = ("contract", "client", "from", "until")
_FILTERS: Final = (*_REASON_FILTERS, "after")
_INSTANT: Final = {"type": "string", "format": "date-time"}
_PARAMETERS: Final[Mapping[str, tuple[str, Mapping[str, object]]]] = {
    "contract": ("Only orders of this contract", {"type": "string", "examples": ["connect"]}),
    "from": ("Only from this instant on", _INSTANT),
    "until": ("Only before this instant", _INSTANT),
    "code": ("Only refusals with this code", {"type": "string", "examples": ["payment_recorded"]}),
    "state": ("Only refunds in this state", {"type": "string", "enum": list(_STATES)}),
    "after": ("The `next` of the previous page", {"type": "string"}),
}


def _parameters(filters: Sequence[str], client: str) -> list[dict[str, object]]:
    described: Mapping[str, tuple[str, Mapping[str, object]]] = {**_PARAMETERS, "client": (client, {"type": "integer"})}
    return [parameter(name, "query", *described[name], required=False) for name in filters]


def _list_call(
    name: str, path: str, summary: str, client: str, message: type[msgspec.Struct], handle: DeskList[Message]
) -> Call:
    return ServiceCall(
        operation=operation(
            name,
            "GET",
            f"{ROOT}/{path}",
            summary,
            Permission.READ,
            {200: Reply(when=f"A page of the list. {STREAMED}", message=message)},
            parameters=_parameters(handle.filters, client),
        ),
        body=no_body,
        handle=handle,
    )


_ASKED: Final = "Only requests of the client with this id"
_PLACED: Final = "Only orders that the client with this id placed"
CALLS: Final[tuple[Call, ...]] = (
    _list_call(
        "listCancellations",
        "cancellations",
        "List cancellations, up to 100 on each page, sorted by the order's number",
        _ASKED,
        list_messages.Cancellations,
        DeskList(
            row=list_messages.ListedCancellation,
            read=_cancellations,
            page=lambda items, following: list_messages.Cancellations(cancellations=list(items), next=following),
            filters=_FILTERS,
        ),
    ),
    _list_call(
        "listRefusals",
        "refusals",
        "List refused cancellations, up to 100 on each page, newest first",
        _ASKED,
        list_messages.Refusals,
        DeskList(
            row=list_messages.ListedRefusal,
            read=_refusals,
            page=lambda items, following: list_messages.Refusals(refusals=list(items), next=following),
            filters=("code", *_FILTERS),
        ),
    ),
    ServiceCall(
        operation=operation(
            "countRefusals",
            "GET",
            f"{ROOT}/refusals/reasons",
            "Count refused cancellations by their codes",
            Permission.READ,
            {200: Reply(when="How often each rule refused", message=list_messages.Reasons)},
            parameters=_parameters(_REASON_FILTERS, _ASKED),
        ),
        body=no_body,
        handle=_reasons,
    ),
    _list_call(
        "listLatePayments",
        "late-payments",
        "List money that came after its order had ended, up to 100 payments on each page, newest first",
        _PLACED,
        list_messages.LatePayments,
        DeskList(
            row=list_messages.LatePayment,
            read=_late_payments,
            page=lambda items, following: list_messages.LatePayments(late_payments=list(items), next=following),
            filters=_FILTERS,
        ),
    ),
    _list_call(
        "listRefunds",
        "refunds",
        "List refunds that are due, done, failed or withdrawn, up to 100 on each page, newest first",
        _PLACED,
        money_messages.Refunds,
        DeskList(
            row=money_messages.ListedRefund,
            read=_refunds,
            page=lambda items, following: money_messages.Refunds(refunds=list(items), next=following),
            filters=("state", *_FILTERS),
        ),
    ),
    _list_call(
        "listPartPayments",
        "part-payments",
        "List orders that are paid in part, up to 100 on each page, sorted by the order's number",
        _PLACED,
        list_messages.PartPayments,
        DeskList(
            row=list_messages.PartPayment,
            read=_part_payments,
            page=lambda items, following: list_messages.PartPayments(part_payments=list(items), next=following),
            filters=_FILTERS,
        ),
    ),
)
