"""Reads the lists for the desk, a page at a time. A cancellation writes no index for them.

So a list without an index for its filters looks at a limited number of rows for each page, and the page may be short.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, case, func, or_, select, tuple_, union_all

from countermand.actions.cancelling.ports import CancellationRecord, RefusalRecord
from countermand.actions.errors import FieldsError
from countermand.actions.ordering.desk_lists import (
    ListedDecision,
    ListedPayment,
    ListedRefund,
    ListPage,
    PartPaidOrder,
    ReasonCount,
    RowsWanted,
)
from countermand.domain.orders.balance import balances_of
from countermand.domain.orders.order import Order, OrderUid
from countermand.domain.orders.order_state import OrderState
from countermand.domain.orders.payment import Payment
from countermand.domain.orders.payment_correction import Correction, RefundState
from countermand.storage.repositories.corrections import TAKES_MONEY, correction_of
from countermand.storage.repositories.documents import total_of
from countermand.storage.repositories.refusals import has_code
from countermand.storage.repositories.rows import Row, cancellation_of, order_of, orders_named, payment_of, refusal_of
from countermand.storage.sql_types import Column, Query
from countermand.storage.statement_runner import StatementRunner
from countermand.storage.tables.cancelling import cancellations, refusals
from countermand.storage.tables.clients import clients
from countermand.storage.tables.columns import micros
from countermand.storage.tables.orders import order_details, orders, payment_corrections, payments

LOOKED_AT: Final = 20_000
_BETWEEN: Final = "_"  # between the parts of a place; no part but the last has one


class DeskListRows(StatementRunner):
    """Implements `DeskLists`."""

    async def cancellations_listed(
        self, wanted: RowsWanted, at_most: int
    ) -> ListPage[ListedDecision[CancellationRecord]]:
        """See `DeskLists.cancellations_listed`."""
        it = cancellations.c
        (after,) = _place(wanted, 1) or (0,)
        met = [it.order_id > int(after), *_met(wanted, it.contract, it.client_id, it.decided_at)]
        bound = await self._looked_at(it.order_id, int(after))
        if bound is not None:
            met.append(it.order_id <= bound)
        found = await self.rows(
            _with_names(select(cancellations), it.order_id, it.client_id)
            .where(*met)
            .order_by(it.order_id)
            .limit(at_most)
        )
        items = [
            ListedDecision(record=cancellation_of(row), uid=_uid(row), client_name=row["client_name"]) for row in found
        ]
        last = found[-1]["order_id"] if len(found) == at_most else bound
        return ListPage(items=items, following=None if last is None else str(last))

    async def refusals_listed(self, wanted: RowsWanted, at_most: int) -> ListPage[ListedDecision[RefusalRecord]]:
        """See `DeskLists.refusals_listed`. Reads along the index of the instants, where rare codes are far apart."""
        it = refusals.c
        newest = it.decided_at, it.order_id, it.command_id
        before = _place(wanted, 3)
        in_range = _met(wanted, it.contract, it.client_id, it.decided_at)
        if before is not None:
            at, order_id, command_id = int(before[0]), int(before[1]), before[2]
            in_range += [it.decided_at <= at, tuple_(*newest) < tuple_(at, order_id, command_id)]
        descending = [column.desc() for column in newest]
        bound = await self._one(select(*newest).where(*in_range).order_by(*descending).offset(LOOKED_AT - 1).limit(1))
        if bound is not None:
            in_range.append(tuple_(*newest) >= tuple_(bound["decided_at"], bound["order_id"], bound["command_id"]))
        met = [*in_range, *_has_code(wanted, it.codes)]
        found = await self.rows(
            _with_names(select(refusals), it.order_id, it.client_id).where(*met).order_by(*descending).limit(at_most)
        )
        items = [ListedDecision(record=refusal_of(row), uid=_uid(row), client_name=row["client_name"]) for row in found]
        last = found[-1] if len(found) == at_most else bound
        return ListPage(items=items, following=None if last is None else _written(last, "decided_at", "command_id"))

    async def refusal_reasons(self, wanted: RowsWanted) -> Sequence[ReasonCount]:
        """See `DeskLists.refusal_reasons`."""
        it = refusals.c
        met = [*_met(wanted, it.contract, it.client_id, it.decided_at), *_has_code(wanted, it.codes)]
        counted = select(it.codes, func.count().label("refusals")).where(*met).group_by(it.codes)
        return [
            ReasonCount(codes=None if row["codes"] is None else tuple(row["codes"].split()), refusals=row["refusals"])
            for row in await self.rows(counted)
        ]

    async def late_payments_listed(self, wanted: RowsWanted, at_most: int) -> ListPage[ListedPayment]:
        """See `DeskLists.late_payments_listed`. Reads along an index that has late money alone."""
        it = payments.c
        newest = it.recorded_at, it.order_id, it.reference
        met = [it.is_late, it.voided_at.is_(None), *_met(wanted, orders.c.contract, orders.c.client_id, it.recorded_at)]
        before = _place(wanted, 3)
        if before is not None:
            at, order_id, reference = int(before[0]), int(before[1]), before[2]
            met += [it.recorded_at <= at, tuple_(*newest) < tuple_(at, order_id, reference)]
        late = select(payments).join(orders, it.order_id == orders.c.id).where(*met)
        found = await self.rows(late.order_by(*(column.desc() for column in newest)).limit(at_most))
        by_number = await self._orders_of(found)
        left = await self._late_left([row["order_id"] for row in found])
        items = [
            ListedPayment(payment=payment_of(row), order=by_number[row["order_id"]], left_minor=minor)
            for row in found
            if (minor := left.get((row["order_id"], row["currency"]), 0)) or not row["amount_minor"]
        ]
        last = found[-1] if len(found) == at_most else None
        return ListPage(items=items, following=None if last is None else _written(last, "recorded_at", "reference"))

    async def refunds_listed(self, wanted: RowsWanted, at_most: int) -> ListPage[ListedRefund]:
        """See `DeskLists.refunds_listed`. Reads each state along the index, and merges the pages of the states."""
        it = payment_corrections.c
        newest = it.recorded_at, it.order_id, it.number
        met = _met(wanted, orders.c.contract, orders.c.client_id, it.recorded_at)
        before = _place(wanted, 3, last_is_number=True)
        if before is not None:
            at, order_id, number = map(int, before)
            met += [it.recorded_at <= at, tuple_(*newest) < tuple_(at, order_id, number)]
        refunds = select(payment_corrections).join(orders, it.order_id == orders.c.id).where(*met)
        refunds = refunds.order_by(*(column.desc() for column in newest)).limit(at_most)
        found: list[Row] = []
        for state in RefundState if wanted.state is None else (wanted.state,):
            found += await self.rows(refunds.where(it.state == state.value, it.state.is_not(None)))
        found.sort(key=lambda row: (row["recorded_at"], row["order_id"], row["number"]), reverse=True)
        found = found[:at_most]
        by_number = await self._orders_of(found)
        items = [ListedRefund(refund=correction_of(row), order=by_number[row["order_id"]]) for row in found]
        last = found[-1] if len(found) == at_most else None
        return ListPage(items=items, following=None if last is None else _written(last, "recorded_at", "number"))

    async def part_payments_listed(self, wanted: RowsWanted, at_most: int) -> ListPage[PartPaidOrder]:
        """See `DeskLists.part_payments_listed`."""
        it = orders.c
        (after,) = _place(wanted, 1) or (0,)
        bound = await self._looked_at(it.id, int(after))
        met = [it.id > int(after), it.state == OrderState.PENDING.value, it.first_payment_at.is_not(None)]
        met += [] if bound is None else [it.id <= bound]
        met += _met(wanted, it.contract, it.client_id, it.first_payment_at)
        total = order_details.c.total_minor, order_details.c.currency
        document = case((order_details.c.total_minor.is_(None), order_details.c.details)).label("details")
        query = orders_named().add_columns(*total, document).where(*met).order_by(it.id).limit(at_most)
        found = await self.rows(query)
        paid = await self._paid([row["id"] for row in found])
        items = [self._part_paid(row, paid) for row in found]
        last = found[-1]["id"] if len(found) == at_most else bound
        return ListPage(items=items, following=None if last is None else str(last))

    async def _late_left(self, order_ids: Sequence[int]) -> dict[tuple[int, str], int]:
        """Return what of the orders' late money is still here, by currency."""
        paid: defaultdict[int, list[Payment]] = defaultdict(list)
        for row in await self.rows(select(payments).where(payments.c.order_id.in_(order_ids))):
            paid[row["order_id"]].append(payment_of(row))
        gone: defaultdict[int, list[Correction]] = defaultdict(list)
        corrections = select(payment_corrections).where(payment_corrections.c.order_id.in_(order_ids))
        for row in await self.rows(corrections):
            gone[row["order_id"]].append(correction_of(row))
        return {
            (order_id, currency): balance.late
            for order_id, its in paid.items()
            for currency, balance in balances_of(its, gone[order_id]).items()
        }

    async def _orders_of(self, found: Sequence[Row]) -> dict[int, Order]:
        its = await self.rows(orders_named().where(orders.c.id.in_({row["order_id"] for row in found})))
        return {row["id"]: order_of(row, self._kinds) for row in its}

    def _part_paid(self, row: Row, paid: dict[tuple[int, str], int]) -> PartPaidOrder:
        order = order_of(row, self._kinds)
        total = total_of(order.kind, row["total_minor"], row["currency"], row["details"])
        paid_minor = 0 if total is None else paid.get((order.id, total.currency), 0)
        return PartPaidOrder(order=order, total=total, paid_minor=paid_minor)

    async def _paid(self, order_ids: Sequence[int]) -> dict[tuple[int, str], int]:
        """Return what is paid of the orders by currency, as `PaymentReading.paid_minor` counts it."""
        it, that = payments.c, payment_corrections.c
        paid = select(it.order_id, it.currency, it.amount_minor.label("minor"))
        gone = select(that.order_id, that.currency, (-that.amount_minor).label("minor"))
        rows = union_all(
            paid.where(it.order_id.in_(order_ids), it.is_late.is_(False)),
            gone.where(that.order_id.in_(order_ids), TAKES_MONEY),
        ).subquery()
        kept = select(rows.c.order_id, rows.c.currency, func.sum(rows.c.minor).label("kept"))
        found = await self.rows(kept.group_by(rows.c.order_id, rows.c.currency))
        return {(row["order_id"], row["currency"]): int(row["kept"]) for row in found}

    async def _looked_at(self, key: Column, after: int) -> int | None:
        """Return the last of the next `LOOKED_AT` numbers of orders; None if there are not so many."""
        last = select(key.label("last")).where(key > after).order_by(key).offset(LOOKED_AT - 1).limit(1)
        row = await self._one(last)
        return None if row is None else int(row["last"])


def _met(wanted: RowsWanted, contract: Column, client: Column, at: Column) -> list[ColumnElement[bool]]:
    met: list[ColumnElement[bool]] = []
    if wanted.contract is not None:
        met.append(contract == wanted.contract)
    if wanted.client is not None:
        met.append(client == wanted.client)
    if wanted.since is not None:
        met.append(at >= micros(wanted.since))
    if wanted.until is not None:
        met.append(at < micros(wanted.until))
    return met


def _has_code(wanted: RowsWanted, codes: Column) -> list[ColumnElement[bool]]:
    if wanted.code is None:
        return []
    return [or_(codes.is_(None), has_code(wanted.code))]


def _with_names(query: Query, order_id: Column, client_id: Column) -> Query:
    """Add the uid of the order and the name of the client."""
    return (
        query.add_columns(order_details.c.uid, clients.c.name.label("client_name"))
        .outerjoin(order_details, order_details.c.order_id == order_id)
        .outerjoin(clients, clients.c.id == client_id)
    )


def _uid(row: Row) -> OrderUid | None:
    return None if row["uid"] is None else OrderUid(row["uid"])


def _place(wanted: RowsWanted, parts: int, *, last_is_number: bool = False) -> Sequence[str] | None:
    """Return the parts of the place after which the page begins. Raises `FieldsError`."""
    if wanted.after is None:
        return None
    place = wanted.after.split(_BETWEEN, parts - 1)
    numbers = place if last_is_number else place[: max(1, parts - 1)]
    if len(place) != parts or not all(one.isascii() and one.isdigit() and len(one) < 20 for one in numbers):  # noqa: PLR2004
        raise FieldsError([("after", f"after must be the next of an earlier page, not {wanted.after!r}")])
    return place


def _written(row: Row, at: str, last: str) -> str:
    return _BETWEEN.join((str(row[at]), str(row["order_id"]), str(row[last])))
