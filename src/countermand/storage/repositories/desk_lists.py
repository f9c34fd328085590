"""Reads the lists for the desk, a page at a time. A cancellation writes no index for them.

So a list without an index for its filters looks at a limited number of rows for each page, and the page may be short.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Integer, case, func, or_, select, text, tuple_, union_all

from countermand.actions.cancelling.ports import CancellationRecord, RefusalRecord
from countermand.actions.errors import FieldsError
from countermand.actions.ordering.desk_lists import (
    ListedApproval,
    ListedDecision,
    ListedPayment,
    ListedRefund,
    ListPage,
    PartPaidOrder,
    ReasonCount,
    ReasonCounts,
    RowsWanted,
)
from countermand.actions.shown_values import shown
from countermand.domain.appointments.appointment_task import AppointmentTask, TaskKind
from countermand.domain.cancelling.approval import ApprovalState
from countermand.domain.orders.balance import balances_of
from countermand.domain.orders.order import Order, OrderUid, order_id_from
from countermand.domain.orders.order_state import ENDED_UNFULFILLED, TRANSITIONS, OrderState
from countermand.domain.orders.payment import Payment
from countermand.domain.orders.payment_correction import LISTED_STATES, Correction
from countermand.storage.repositories.appointments import task_of
from countermand.storage.repositories.approvals import approval_of, in_state
from countermand.storage.repositories.corrections import TAKES_MONEY, correction_of
from countermand.storage.repositories.decisions import cancellation_of, refusal_of
from countermand.storage.repositories.documents import total_of
from countermand.storage.repositories.refusals import has_code
from countermand.storage.repositories.rows import order_of, orders_named, payment_of
from countermand.storage.sql_types import Column, Query, Row
from countermand.storage.statement_runner import StatementRunner
from countermand.storage.tables.appointments import appointment_tasks
from countermand.storage.tables.cancelling import approvals, cancellations, refusals
from countermand.storage.tables.clients import clients
from countermand.storage.tables.columns import instant, micros
from countermand.storage.tables.orders import order_details, orders, payment_corrections, payments

LOOKED_AT: Final = 20_000
_LONGEST: Final = 255  # of a text in a place: the reference of a payment
_ENDED: Final = [state.value for state in sorted(ENDED_UNFULFILLED)]
_GOING_ON: Final = [state.value for state, moves in TRANSITIONS.items() if moves]
_BETWEEN: Final = "_"  # between the parts of a place; no part but the last has one


class DeskListRows(StatementRunner):
    """Implements `DeskLists`."""

    async def cancellations_listed(
        self, wanted: RowsWanted, at_most: int
    ) -> ListPage[ListedDecision[CancellationRecord]]:
        """See `DeskLists.cancellations_listed`."""
        it = cancellations.c
        (after,) = _place(wanted, [it.order_id]) or (0,)
        met = [it.order_id > after, *_of(wanted, it.contract, it.client_id), *_between(wanted, it.decided_at)]
        bound = await self._looked_at(it.order_id, after)
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
        in_range, bound = await self._looked_at_from_newest(wanted, newest)
        met = [*in_range, *_of(wanted, it.contract, it.client_id)]
        if wanted.code is not None:
            met.append(or_(it.codes.is_(None), has_code(wanted.code)))
        listed = _with_names(select(refusals), it.order_id, it.client_id).where(*met)
        found = await self.rows(listed.order_by(*_descending(newest)).limit(at_most))
        items = [ListedDecision(record=refusal_of(row), uid=_uid(row), client_name=row["client_name"]) for row in found]
        last = found[-1] if len(found) == at_most else bound
        return ListPage(items=items, following=None if last is None else _written(last, "decided_at", "command_id"))

    async def refusal_reasons(self, wanted: RowsWanted) -> ReasonCounts:
        """See `DeskLists.refusal_reasons`. Reads the newest `LOOKED_AT` refusals, or fewer."""
        it = refusals.c
        met = _between(wanted, it.decided_at)
        newest = select(it.decided_at).where(*met).order_by(it.decided_at.desc())
        left_out = await self._one(newest.offset(LOOKED_AT).limit(1))
        if left_out is not None:
            met.append(it.decided_at > left_out["decided_at"])
        met += _of(wanted, it.contract, it.client_id)
        counted = select(it.codes, func.count().label("refusals")).where(*met).group_by(it.codes)
        counts = [
            ReasonCount(codes=None if row["codes"] is None else tuple(row["codes"].split()), refusals=row["refusals"])
            for row in await self.rows(counted)
        ]
        return ReasonCounts(counts=counts, since=None if left_out is None else instant(left_out["decided_at"] + 1))

    async def late_payments_listed(self, wanted: RowsWanted, at_most: int) -> ListPage[ListedPayment]:
        """See `DeskLists.late_payments_listed`. Reads along an index that has late money alone.

        The database leaves out what was paid back, so that a page is not empty because old late money was.
        """
        it = payments.c
        newest = it.recorded_at, it.order_id, it.reference
        met, bound = await self._looked_at_from_newest(wanted, newest, it.is_late)
        met += [it.voided_at.is_(None), _is_late_money_left(), *_of(wanted, orders.c.contract, orders.c.client_id)]
        late = select(payments).join(orders, it.order_id == orders.c.id).where(*met)
        found = await self.rows(late.order_by(*_descending(newest)).limit(at_most))
        by_number = await self._orders_of(found)
        left = await self._late_left([row["order_id"] for row in found])
        items = [
            ListedPayment(
                payment=payment_of(row),
                order=by_number[row["order_id"]],
                left_minor=left[row["order_id"], row["currency"]],
            )
            for row in found
        ]
        last = found[-1] if len(found) == at_most else bound
        return ListPage(items=items, following=None if last is None else _written(last, "recorded_at", "reference"))

    async def refunds_listed(self, wanted: RowsWanted, at_most: int) -> ListPage[ListedRefund]:
        """See `DeskLists.refunds_listed`. Reads each state along the index, and merges the pages of the states."""
        it = payment_corrections.c
        newest = it.recorded_at, it.order_id, it.number
        found: list[Row] = []
        bounds: list[Row] = []
        for state in LISTED_STATES if wanted.state is None else (wanted.state,):
            of_state = it.state == state.value, it.state.is_not(None)
            met, bound = await self._looked_at_from_newest(wanted, newest, *of_state)
            met += _of(wanted, orders.c.contract, orders.c.client_id)
            refunds = select(payment_corrections).join(orders, it.order_id == orders.c.id).where(*met)
            found += await self.rows(refunds.order_by(*_descending(newest)).limit(at_most))
            bounds += [] if bound is None else [bound]
        bound = max(bounds, key=_refund_place, default=None)
        if bound is not None:  # what is older was not looked at in every state
            found = [row for row in found if _refund_place(row) >= _refund_place(bound)]
        found = sorted(found, key=_refund_place, reverse=True)[:at_most]
        by_number = await self._orders_of(found)
        items = [ListedRefund(refund=correction_of(row), order=by_number[row["order_id"]]) for row in found]
        last = found[-1] if len(found) == at_most else bound
        return ListPage(items=items, following=None if last is None else _written(last, "recorded_at", "number"))

    async def approvals_listed(self, wanted: RowsWanted, at_most: int, now: datetime) -> ListPage[ListedApproval]:
        """See `DeskLists.approvals_listed`. Reads along the index of the instants."""
        it = approvals.c
        newest = it.asked_at, it.order_id, it.id
        met, bound = await self._looked_at_from_newest(wanted, newest)
        met += _of(wanted, orders.c.contract, it.client_id)
        if wanted.state is not None:
            met += in_state(ApprovalState(wanted.state), now)
        asked = select(approvals).join(orders, it.order_id == orders.c.id).where(*met)
        found = await self.rows(asked.order_by(*_descending(newest)).limit(at_most))
        by_number = await self._orders_of(found)
        items = [ListedApproval(approval=approval_of(row), order=by_number[row["order_id"]]) for row in found]
        last = found[-1] if len(found) == at_most else bound
        return ListPage(items=items, following=None if last is None else _written(last, "asked_at", "id"))

    async def part_payments_listed(self, wanted: RowsWanted, at_most: int) -> ListPage[PartPaidOrder]:
        """See `DeskLists.part_payments_listed`."""
        it = orders.c
        (after,) = _place(wanted, [it.id]) or (0,)
        bound = await self._looked_at(it.id, after)
        met = [it.id > after, it.state == OrderState.PENDING.value, it.first_payment_at.is_not(None)]
        met += [] if bound is None else [it.id <= bound]
        met += [*_of(wanted, it.contract, it.client_id), *_between(wanted, it.first_payment_at)]
        total = order_details.c.total_minor, order_details.c.currency
        document = case((order_details.c.total_minor.is_(None), order_details.c.details)).label("details")
        query = orders_named().add_columns(*total, document).where(*met).order_by(it.id).limit(at_most)
        found = await self.rows(query)
        paid = await self._paid([row["id"] for row in found])
        items = [self._part_paid(row, paid) for row in found]
        last = found[-1]["id"] if len(found) == at_most else bound
        return ListPage(items=items, following=None if last is None else str(last))

    async def waiting_tasks_listed(self, wanted: RowsWanted, at_most: int) -> ListPage[AppointmentTask]:
        """See `DeskLists.waiting_tasks_listed`. Reads along an index that has pending tasks alone."""
        it = appointment_tasks.c
        (after,) = _place(wanted, [it.id]) or (0,)
        is_pending = it.state == text("'pending'")  # a parameter would hide from PostgreSQL that the index suffices
        bound = await self._looked_at(it.id, after, is_pending)
        met = [is_pending, it.id > after, *([] if bound is None else [it.id <= bound])]
        met += _between(wanted, it.asked_at)
        met += [] if wanted.client is None else [it.client_id == wanted.client]
        met += [orders.c.state.not_in(_ENDED), orders.c.state.in_(_GOING_ON) | (it.kind == TaskKind.CANCEL.value)]
        waiting = select(appointment_tasks).join(orders, orders.c.id == it.order_id).where(*met)
        found = await self.rows(waiting.order_by(it.id).limit(at_most))
        last = found[-1]["id"] if len(found) == at_most else bound
        return ListPage(items=[task_of(row) for row in found], following=None if last is None else str(last))

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

    async def _looked_at_from_newest(
        self, wanted: RowsWanted, newest: Sequence[Column], *also: ColumnElement[bool]
    ) -> tuple[list[ColumnElement[bool]], Row | None]:
        """Return the condition of the next `LOOKED_AT` rows along an index of instants, and the last of these rows.

        The row is None if there are not so many. `newest` has the columns of a place in the list: its instant first.
        """
        at, met = newest[0], [*also, *_between(wanted, newest[0])]
        before = _place(wanted, newest)
        if before is not None:
            met += [at <= before[0], tuple_(*newest) < tuple_(*before)]
        along = select(*newest).where(*met).order_by(*_descending(newest))
        bound = await self._one(along.offset(LOOKED_AT - 1).limit(1))
        if bound is not None:
            place = [bound[column.name] for column in newest]
            met += [at >= place[0], tuple_(*newest) >= tuple_(*place)]
        return met, bound

    async def _looked_at(self, key: Column, after: int | str, *also: ColumnElement[bool]) -> int | None:
        """Return the last of the next `LOOKED_AT` numbers of rows; None if there are not so many."""
        last = select(key.label("last")).where(key > after, *also).order_by(key).offset(LOOKED_AT - 1).limit(1)
        row = await self._one(last)
        return None if row is None else int(row["last"])


def _is_late_money_left() -> ColumnElement[bool]:
    """Return the condition that not all late money of a late payment's order is gone, in its currency.

    What leaves an order takes its late money last. An older version recorded payments of 0, which are listed, too.
    """
    it, its, that = payments.c, payments.alias("its").c, payment_corrections.c
    came = select(func.sum(its.amount_minor)).where(its.order_id == it.order_id, its.currency == it.currency)
    gone = select(func.coalesce(func.sum(that.amount_minor), 0)).where(
        that.order_id == it.order_id, that.currency == it.currency, TAKES_MONEY
    )
    is_left = came.correlate(payments).scalar_subquery() > gone.correlate(payments).scalar_subquery()
    return (it.amount_minor == 0) | is_left


def _descending(columns: Sequence[Column]) -> list[ColumnElement[object]]:
    return [column.desc() for column in columns]


def _of(wanted: RowsWanted, contract: Column, client: Column) -> list[ColumnElement[bool]]:
    """Return the conditions that no index of these lists knows."""
    met: list[ColumnElement[bool]] = []
    if wanted.contract is not None:
        met.append(contract == wanted.contract)
    if wanted.client is not None:
        met.append(client == wanted.client)
    return met


def _between(wanted: RowsWanted, at: Column) -> list[ColumnElement[bool]]:
    met: list[ColumnElement[bool]] = []
    if wanted.since is not None:
        met.append(at >= micros(wanted.since))
    if wanted.until is not None:
        met.append(at < micros(wanted.until))
    return met


def _with_names(query: Query, order_id: Column, client_id: Column) -> Query:
    """Add the uid of the order and the name of the client."""
    return (
        query.add_columns(order_details.c.uid, clients.c.name.label("client_name"))
        .outerjoin(order_details, order_details.c.order_id == order_id)
        .outerjoin(clients, clients.c.id == client_id)
    )


def _uid(row: Row) -> OrderUid | None:
    return None if row["uid"] is None else OrderUid(row["uid"])


def _refund_place(row: Row) -> tuple[int, int, int]:
    return row["recorded_at"], row["order_id"], row["number"]


def _place(wanted: RowsWanted, keys: Sequence[Column]) -> Sequence[int | str] | None:
    """Return the values of these columns after which the page begins; numbers come first. Raises `FieldsError`."""
    if wanted.after is None:
        return None
    place = wanted.after.split(_BETWEEN, len(keys) - 1)
    numbers = [one for one, key in zip(place, keys, strict=False) if isinstance(key.type, Integer)]
    texts = place[len(numbers) :]
    are_numbers = all(order_id_from(one) is not None for one in numbers)  # an instant has the same form and limits
    if len(place) != len(keys) or not are_numbers or any("\0" in one or len(one) > _LONGEST for one in texts):
        raise FieldsError([("after", f"after must be the next of an earlier page, not {shown(wanted.after)}")])
    return [*map(int, numbers), *texts]


def _written(row: Row, at: str, last: str) -> str:
    return _BETWEEN.join((str(row[at]), str(row["order_id"]), str(row[last])))
