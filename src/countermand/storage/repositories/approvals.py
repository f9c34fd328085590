"""Reads and writes approvals, and the record of who added or changed whom."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, func, insert, select, update

from countermand.domain.cancelling.approval import (
    APPROVAL_LASTS,
    Approval,
    ApprovalId,
    ApprovalState,
    Difference,
    StaffChange,
    Terms,
)
from countermand.domain.known import known
from countermand.domain.money import Money
from countermand.domain.orders.order import OrderId
from countermand.domain.staff_id import StaffId
from countermand.storage.repositories.decisions import codes_column
from countermand.storage.repositories.rows import actor_columns, actor_of, written
from countermand.storage.sql_types import Row
from countermand.storage.statement_runner import StatementRunner
from countermand.storage.tables.cancelling import approvals
from countermand.storage.tables.columns import instant, instant_or_none, micros, micros_or_none
from countermand.storage.tables.staff import staff_changes

_IT: Final = approvals.c


class ApprovalRows(StatementRunner):
    """Implements `ApprovalWriting`."""

    async def approval(self, approval_id: ApprovalId) -> Approval | None:
        """See `ApprovalReading.approval`."""
        row = await self._one(select(approvals).where(_IT.id == approval_id))
        return None if row is None else approval_of(row)

    async def insert_approval(self, approval: Approval) -> None:
        """See `ApprovalWriting.insert_approval`."""
        terms = approval.terms
        due = [{"amount_minor": one.minor, "currency": one.currency} for one in terms.due]
        await self._execute(
            insert(approvals).values(
                order_id=approval.order_id,
                id=approval.id,
                order_version=terms.order_version,
                codes=codes_column(terms.codes),
                due=written({"amounts": due}),
                reason=approval.reason,
                asked_at=micros(approval.asked_at),
                last_change=approval.last_change,
                **_ending(approval),
                **actor_columns(approval.asker),
            )
        )

    async def end_approval(self, approval: Approval) -> None:
        """See `ApprovalWriting.end_approval`."""
        is_it = (_IT.order_id == approval.order_id) & (_IT.id == approval.id)
        await self._execute(update(approvals).where(is_it).values(_ending(approval)))

    async def last_staff_change(self) -> int:
        """See `StaffChanges.last_staff_change`."""
        (row,) = await self.rows(select(func.max(staff_changes.c.number).label("last")))
        return row["last"] or 0

    async def staff_changes_after(self, number: int) -> Sequence[StaffChange]:
        """See `StaffChanges.staff_changes_after`."""
        it = staff_changes.c
        found = await self.rows(select(staff_changes).where(it.number > number).order_by(it.number))
        return [
            StaffChange(
                number=row["number"],
                staff_id=StaffId(row["staff_id"]),
                changed_at=instant(row["changed_at"]),
                changed_by=None if row["changed_by"] is None else StaffId(row["changed_by"]),
            )
            for row in found
        ]


def approval_of(row: Row) -> Approval:
    """Return an approval from its row."""
    due = msgspec.json.decode(row["due"])["amounts"]
    return Approval(
        id=ApprovalId(row["id"]),
        order_id=OrderId(row["order_id"]),
        terms=Terms(
            order_version=row["order_version"],
            codes=tuple(row["codes"].split()),
            due=tuple(Money(minor=one["amount_minor"], currency=one["currency"]) for one in due),
        ),
        reason=row["reason"],
        asker=actor_of(row, row["channel"]),
        asked_at=instant(row["asked_at"]),
        last_change=row["last_change"],
        state=known(ApprovalState, row["state"]),
        ended_at=instant_or_none(row["ended_at"]),
        ended_by=None if row["ended_by"] is None else StaffId(row["ended_by"]),
        differed=tuple(known(Difference, one) for one in (row["differed"] or "").split()),
    )


def in_state(state: ApprovalState, now: datetime) -> list[ColumnElement[bool]]:
    """Return the conditions of the approvals that are in a state at an instant. An open one expires."""
    asked_until = micros(now - APPROVAL_LASTS)
    match state:
        case ApprovalState.OPEN:
            return [_IT.state == ApprovalState.OPEN.value, _IT.asked_at > asked_until]
        case ApprovalState.EXPIRED:
            return [_IT.state == ApprovalState.OPEN.value, _IT.asked_at <= asked_until]
    return [_IT.state == state.value]


def _ending(approval: Approval) -> dict[str, object]:
    """Return the columns that the end of an approval changes."""
    return {
        "state": approval.state.value,
        "ended_at": micros_or_none(approval.ended_at),
        "ended_by": approval.ended_by,
        "differed": " ".join(approval.differed) or None,
    }
