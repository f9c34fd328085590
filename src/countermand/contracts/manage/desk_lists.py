"""The lists of the desk: JSON a page at a time, or CSV and JSON lines with all rows, which are streamed."""

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Generic, Protocol, TypeVar

import msgspec
from litestar.datastructures.headers import Accept

from countermand.actions.cancelling.explain import PolicyArchive
from countermand.actions.ordering.desk_lists import ListPage, RowsWanted
from countermand.actions.ordering.read_desk_lists import (
    count_reasons,
    list_approvals,
    list_cancellations,
    list_late_payments,
    list_part_payments,
    list_refunds,
    list_refusals,
)
from countermand.actions.ports import Clock
from countermand.contracts.http.answer import JSON, Answer, json_answer
from countermand.contracts.http.calls import Call, CallContext, Request, ServiceCall, no_body
from countermand.contracts.http.openapi import Reply, parameter
from countermand.contracts.http.query import Query
from countermand.contracts.http.store import Store
from countermand.contracts.http.streamed import StreamedAnswer
from countermand.contracts.manage import approval_messages, csv_rows, list_messages, list_output
from countermand.contracts.manage.approval_output import approval_shown
from countermand.contracts.manage.calls import ROOT, instant_asked, operation
from countermand.contracts.manage.csv_rows import CSV
from countermand.contracts.manage.filters import client_asked, code_asked, contract_asked, state_asked
from countermand.domain.cancelling.approval import ApprovalState
from countermand.domain.client import Permission
from countermand.domain.orders.payment_correction import LISTED_STATES, RefundState

LINES: Final = "application/x-ndjson"
PAGE: Final = 100
_STREAMED_AT_ONCE: Final = 500
STREAMED: Final = "With `Accept: text/csv` or `application/x-ndjson`, the answer has all rows, and is streamed"

Message = TypeVar("Message", bound=msgspec.Struct)


class Records(Protocol):
    """Where the lists are read from."""

    @property
    def store(self) -> Store:
        """The orders and what happened to them."""
        ...

    @property
    def clock(self) -> Clock:
        """The clock by which an approval expires."""
        ...

    @property
    def archive(self) -> PolicyArchive:
        """The policies that decided."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownPage:
    """A page of a list as the API answers it, with its rows and the place of the next page."""

    message: msgspec.Struct
    rows: Sequence[msgspec.Struct]
    following: str | None


@dataclass(frozen=True, kw_only=True)
class DeskList(Generic[Message]):
    """A list: how a page of its rows is read as messages, the message of a row, and the message of a page."""

    row: type[Message]
    read: Callable[[Records, RowsWanted, int], Awaitable[ListPage[Message]]]
    page: Callable[[Sequence[Message], str | None], msgspec.Struct]
    filters: Sequence[str]
    states: Sequence[RefundState | ApprovalState] = LISTED_STATES  # the values of the filter `state`

    async def __call__(self, context: CallContext[None]) -> Answer:
        """Answer with a page, or with a stream of all rows from there on."""
        wanted = wanted_in(Query(context.request.query_string), self.states)
        media_type = media_type_of(context.request)
        if media_type == JSON:
            return json_answer(200, (await self.shown(context.services, wanted)).message)
        first = await self.read(context.services, wanted, _STREAMED_AT_ONCE)
        pieces = self._pieces(context.services, wanted, first, media_type)
        return StreamedAnswer(status=200, headers=stream_headers(media_type), pieces=pieces)

    async def shown(self, records: Records, wanted: RowsWanted) -> ShownPage:
        """Return a page as the API answers it, with its rows."""
        found = await self.read(records, wanted, PAGE)
        message = self.page(found.items, found.following)
        return ShownPage(message=message, rows=found.items, following=found.following)

    async def all_rows(self, records: Records, wanted: RowsWanted, media_type: str) -> AsyncGenerator[bytes, None]:
        """Yield all rows from there on as CSV or as JSON lines, a page at a time."""
        first = await self.read(records, wanted, _STREAMED_AT_ONCE)
        async for piece in self._pieces(records, wanted, first, media_type):
            yield piece

    async def _pieces(
        self, records: Records, wanted: RowsWanted, page: ListPage[Message], media_type: str
    ) -> AsyncGenerator[bytes, None]:
        """Yield a piece for each page. Each page is read from a state of its own, so no connection waits for a client.

        Rows that are added meanwhile may be there or not; no row is there twice.
        """
        as_line = csv_rows.row if media_type == CSV else json_line
        if media_type == CSV:
            yield csv_rows.headings(self.row)
        while True:
            yield b"".join(as_line(item) for item in page.items)
            if page.following is None:
                return
            page = await self.read(records, replace(wanted, after=page.following), _STREAMED_AT_ONCE)


def media_type_of(request: Request) -> str:
    """Return the media type that the caller prefers: JSON, unless it names another one."""
    accept = request.headers.get(b"accept", b"").decode("latin-1")
    return (Accept(accept).best_match([JSON, CSV, LINES]) if accept else None) or JSON


def wanted_in(query: Query, states: Sequence[RefundState | ApprovalState] = LISTED_STATES) -> RowsWanted:
    """Return the filters of a request, of which `state` is one of `states`. Raises `FieldsError` with every error."""
    wanted = RowsWanted(
        contract=contract_asked(query),
        client=client_asked(query, or_command_line=True),
        since=instant_asked(query, "from"),
        until=instant_asked(query, "until"),
        code=code_asked(query, "code"),
        state=state_asked(query, "state", states),
        after=query.one("after"),
    )
    query.check()
    return wanted


def json_line(message: msgspec.Struct) -> bytes:
    """Return a message as a JSON line."""
    return msgspec.json.encode(message) + b"\n"


def stream_headers(media_type: str) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers of an answer that is streamed."""
    content_type = f"{media_type}; charset=utf-8" if media_type == CSV else media_type
    return ((b"content-type", content_type.encode()), (b"vary", b"accept"))


async def _cancellations(
    records: Records, wanted: RowsWanted, at_most: int
) -> ListPage[list_messages.ListedCancellation]:
    found = await list_cancellations(records.store, wanted, at_most)
    return ListPage(items=[list_output.cancellation_shown(one) for one in found.items], following=found.following)


async def _refusals(records: Records, wanted: RowsWanted, at_most: int) -> ListPage[list_messages.ListedRefusal]:
    found = await list_refusals(records.store, records.archive, wanted, at_most)
    return ListPage(items=[list_output.refusal_shown(one) for one in found.items], following=found.following)


async def _late_payments(records: Records, wanted: RowsWanted, at_most: int) -> ListPage[list_messages.LatePayment]:
    found = await list_late_payments(records.store, wanted, at_most)
    return ListPage(items=[list_output.late_payment_shown(one) for one in found.items], following=found.following)


async def _part_payments(records: Records, wanted: RowsWanted, at_most: int) -> ListPage[list_messages.PartPayment]:
    found = await list_part_payments(records.store, wanted, at_most)
    return ListPage(items=[list_output.part_payment_shown(one) for one in found.items], following=found.following)


async def _refunds(records: Records, wanted: RowsWanted, at_most: int) -> ListPage[list_messages.ListedRefund]:
    found = await list_refunds(records.store, wanted, at_most)
    return ListPage(items=[list_output.refund_shown(one) for one in found.items], following=found.following)


async def _approvals(records: Records, wanted: RowsWanted, at_most: int) -> ListPage[approval_messages.Approval]:
    now = records.clock()
    found = await list_approvals(records.store, wanted, at_most, now)
    return ListPage(
        items=[approval_shown(one.approval, one.order, now) for one in found.items], following=found.following
    )


async def _count(context: CallContext[None]) -> Answer:
    services = context.services
    counted = await reasons_counted(services, Query(context.request.query_string), services.clock())
    return json_answer(200, counted)


async def reasons_counted(records: Records, query: Query, now: datetime) -> list_messages.Reasons:
    """Return how often each rule refused, of the refusals that the parameters select. Raises `FieldsError`."""
    counted, since = await count_reasons(records.store, wanted_in(query), now)
    counts: Counter[str | None] = Counter()
    for one in counted:
        for code in (None,) if one.codes is None else one.codes:
            counts[code] += one.refusals
    reasons = [list_messages.Reason(code=code, count=count) for code, count in counts.most_common()]
    in_all = sum(one.refusals for one in counted)
    return list_messages.Reasons(reasons=reasons, refusals=in_all, counted_from=since)


REASON_FILTERS: Final = ("contract", "client", "from", "until")
_FILTERS: Final = (*REASON_FILTERS, "after")
CANCELLATIONS: Final = DeskList(
    row=list_messages.ListedCancellation,
    read=_cancellations,
    page=lambda items, following: list_messages.Cancellations(cancellations=list(items), next=following),
    filters=_FILTERS,
)
REFUSALS: Final = DeskList(
    row=list_messages.ListedRefusal,
    read=_refusals,
    page=lambda items, following: list_messages.Refusals(refusals=list(items), next=following),
    filters=("code", *_FILTERS),
)
LATE_PAYMENTS: Final = DeskList(
    row=list_messages.LatePayment,
    read=_late_payments,
    page=lambda items, following: list_messages.LatePayments(late_payments=list(items), next=following),
    filters=_FILTERS,
)
REFUNDS: Final = DeskList(
    row=list_messages.ListedRefund,
    read=_refunds,
    page=lambda items, following: list_messages.Refunds(refunds=list(items), next=following),
    filters=("state", *_FILTERS),
)
APPROVALS: Final = DeskList(
    row=approval_messages.Approval,
    read=_approvals,
    page=lambda items, following: approval_messages.Approvals(approvals=list(items), next=following),
    filters=("state", *_FILTERS),
    states=tuple(ApprovalState),
)
PART_PAYMENTS: Final = DeskList(
    row=list_messages.PartPayment,
    read=_part_payments,
    page=lambda items, following: list_messages.PartPayments(part_payments=list(items), next=following),
    filters=_FILTERS,
)
_INSTANT: Final = {"type": "string", "format": "date-time"}
_PARAMETERS: Final[Mapping[str, tuple[str, Mapping[str, object]]]] = {
    "contract": ("Only orders of this contract", {"type": "string", "examples": ["connect"]}),
    "from": ("Only from this instant on", _INSTANT),
    "until": ("Only before this instant", _INSTANT),
    "code": ("Only refusals with this code", {"type": "string", "examples": ["payment_recorded"]}),
    "after": ("The `next` of the previous page", {"type": "string"}),
}


def list_parameters(
    filters: Sequence[str], client: str, states: Sequence[RefundState | ApprovalState] = LISTED_STATES
) -> list[dict[str, object]]:
    """Return the descriptions of a list's parameters. `client` says what the parameter of this name selects."""
    described: Mapping[str, tuple[str, Mapping[str, object]]] = {
        **_PARAMETERS,
        "client": (client, {"type": "integer"}),
        "state": ("Only those in this state", {"type": "string", "enum": [state.value for state in states]}),
    }
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
            parameters=list_parameters(handle.filters, client, handle.states),
        ),
        body=no_body,
        handle=handle,
    )


_ASKED: Final = "Only requests of the client with this id; 0 stands for the command line"
_PLACED: Final = "Only orders that the client with this id placed"
CALLS: Final[tuple[Call, ...]] = (
    _list_call(
        "listCancellations",
        "cancellations",
        "List cancellations, up to 100 on each page, sorted by the order's number",
        _ASKED,
        list_messages.Cancellations,
        CANCELLATIONS,
    ),
    _list_call(
        "listRefusals",
        "refusals",
        "List refused cancellations, up to 100 on each page, newest first",
        _ASKED,
        list_messages.Refusals,
        REFUSALS,
    ),
    ServiceCall(
        operation=operation(
            "countRefusals",
            "GET",
            f"{ROOT}/refusals/reasons",
            "Count refused cancellations by their codes: those of the last seven days, unless from says otherwise",
            Permission.READ,
            {200: Reply(when="How often each rule refused", message=list_messages.Reasons)},
            parameters=list_parameters(REASON_FILTERS, _ASKED),
        ),
        body=no_body,
        handle=_count,
    ),
    _list_call(
        "listLatePayments",
        "late-payments",
        "List money that came after its order had ended, up to 100 payments on each page, newest first",
        _PLACED,
        list_messages.LatePayments,
        LATE_PAYMENTS,
    ),
    _list_call(
        "listRefunds",
        "refunds",
        "List refunds that are due, done, failed or withdrawn, up to 100 on each page, newest first",
        _PLACED,
        list_messages.Refunds,
        REFUNDS,
    ),
    _list_call(
        "listApprovals",
        "approvals",
        "List overrides that another person has to confirm, or had to, up to 100 on each page, newest first",
        _ASKED,
        approval_messages.Approvals,
        APPROVALS,
    ),
    _list_call(
        "listPartPayments",
        "part-payments",
        "List orders that are paid in part, up to 100 on each page, sorted by the order's number",
        _PLACED,
        list_messages.PartPayments,
        PART_PAYMENTS,
    ),
)
