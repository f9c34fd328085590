"""The lists that a person at the desk works through, as data: what selects their rows, and what a row has."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from countermand.actions.cancelling.ports import CancellationRecord, RefusalRecord
from countermand.domain.appointments.appointment_task import AppointmentTask
from countermand.domain.cancelling.approval import Approval, ApprovalState
from countermand.domain.client import ClientId
from countermand.domain.contract import ContractName
from countermand.domain.money import Money
from countermand.domain.orders.order import Order, OrderUid
from countermand.domain.orders.payment import Payment
from countermand.domain.orders.payment_correction import Correction, RefundState

Item = TypeVar("Item")
Record = TypeVar("Record", CancellationRecord, RefusalRecord)


@dataclass(frozen=True, kw_only=True, slots=True)
class RowsWanted:
    """Selects rows: of a contract, of a client, from an instant on and before another.

    `code` is for refusals, and `state` for refunds and approvals. `after` is the place of the last row of the page
    before, as the list gave it.
    """

    contract: ContractName | None = None
    client: ClientId | None = None
    since: datetime | None = None
    until: datetime | None = None
    code: str | None = None
    state: RefundState | ApprovalState | None = None
    after: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ListPage(Generic[Item]):
    """Some rows of a list. If more may follow, `following` is the place where they begin, even if there are no rows."""

    items: Sequence[Item]
    following: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedDecision(Generic[Record]):
    """A decision record with what people call its order, and the name of the client that asked."""

    record: Record
    uid: OrderUid | None
    client_name: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedPayment:
    """Late money with its order, and what of the order's late money in this currency is still here."""

    payment: Payment
    order: Order
    left_minor: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedRefund:
    """A refund with its order."""

    refund: Correction
    order: Order


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedApproval:
    """An approval with its order."""

    approval: Approval
    order: Order


@dataclass(frozen=True, kw_only=True, slots=True)
class PartPaidOrder:
    """A pending order with a payment of less than its total. `total` is None if this version cannot read it."""

    order: Order
    total: Money | None
    paid_minor: int  # in the currency of the total


@dataclass(frozen=True, kw_only=True, slots=True)
class ReasonCount:
    """How many refusals had the same codes; None for those whose codes are not known."""

    codes: tuple[str, ...] | None
    refusals: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ReasonCounts:
    """Counts of refusals. If there were too many to count, only those from the instant `since` on are counted."""

    counts: Sequence[ReasonCount]
    since: datetime | None


class DeskLists(Protocol):
    """Reads the lists, a page at a time. Every list raises `FieldsError` if `after` is no place in it."""

    async def cancellations_listed(
        self, wanted: RowsWanted, at_most: int
    ) -> ListPage[ListedDecision[CancellationRecord]]:
        """Return cancellations, sorted by the order's number. A page may be short though more follow."""
        ...

    async def refusals_listed(self, wanted: RowsWanted, at_most: int) -> ListPage[ListedDecision[RefusalRecord]]:
        """Return refusals, newest first. With a code, also those whose codes are not filled in yet.

        A page may be short though more follow.
        """
        ...

    async def refusal_reasons(self, wanted: RowsWanted) -> ReasonCounts:
        """Count refusals by their codes: the newest ones that `wanted.since` and `until` select, up to a limit."""
        ...

    async def late_payments_listed(self, wanted: RowsWanted, at_most: int) -> ListPage[ListedPayment]:
        """Return late money that was not all paid back, newest first. The client is the order's.

        A page may be short though more follow.
        """
        ...

    async def refunds_listed(self, wanted: RowsWanted, at_most: int) -> ListPage[ListedRefund]:
        """Return refunds, in one state or in every state, newest first. The client is the order's."""
        ...

    async def approvals_listed(self, wanted: RowsWanted, at_most: int, now: datetime) -> ListPage[ListedApproval]:
        """Return approvals, in one state or in every state, newest first. The client is the one that asked.

        An open approval has expired if it has at `now`. A page may be short though more follow.
        """
        ...

    async def waiting_tasks_listed(self, wanted: RowsWanted, at_most: int) -> ListPage[AppointmentTask]:
        """Return pending tasks by number, without those that cannot succeed any more: see `request.answer_task`.

        The client is the one that asked, and the instants are those at which it asked.
        """
        ...

    async def part_payments_listed(self, wanted: RowsWanted, at_most: int) -> ListPage[PartPaidOrder]:
        """Return orders that are paid in part, sorted by number. The instants are those of the first payment."""
        ...
