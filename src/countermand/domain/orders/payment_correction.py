"""What answers a payment that was recorded? It is voided, refunded or charged back; nothing is deleted."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from countermand.domain.actor import Actor
from countermand.domain.known import Unknown
from countermand.domain.money import Money


class CorrectionKind(StrEnum):
    """The kinds of corrections."""

    VOID = "void"  # the payment never happened: it was mistyped, or recorded for the wrong order
    REFUND = "refund"  # the operator pays money back
    CHARGEBACK = "chargeback"  # the payer's bank has taken money back


class RefundState(StrEnum):
    """The state of a refund. Money that is due or whose refund failed must still be paid back.

    A refund that was made has a row of its own, so a row that is paid off or returned counts in no sum.
    """

    DUE = "due"
    DONE = "done"
    FAILED = "failed"  # a refund was made and came back, so its money is owed again
    WITHDRAWN = "withdrawn"  # before the money was sent, the payer's bank took it back, or the order was restored
    PAID_OFF = "paid_off"  # it was due, or had failed, and a refund was made
    RETURNED = "returned"  # it was made, and the provider or the bank sent it back


# The states of the list of refunds: no amount stands there twice.
LISTED_STATES: Final = (RefundState.DUE, RefundState.DONE, RefundState.FAILED, RefundState.WITHDRAWN)
# The reason of a refund that is due, if the cancellation gave none.
CANCELLED_WITHOUT_REASON: Final = "the order was cancelled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Correction:
    """A void, a refund or a chargeback. `number` counts the corrections of an order.

    A refund that was made has the provider's `reference`, and so has what is owed again after it failed. A refund that
    is due has none. A void has no reference of its own: it names the payment. Only a refund has a state.
    """

    number: int
    kind: CorrectionKind | Unknown
    money: Money
    reason: str
    recorded_at: datetime
    actor: Actor
    reference: str | None = None
    payment_reference: str | None = None
    state: RefundState | Unknown | None = None
    settled_at: datetime | None = None

    @property
    def is_known(self) -> bool:
        """Whether this version knows the kind and the state. A node corrects no payments beside others."""
        return not isinstance(self.kind, Unknown) and not isinstance(self.state, Unknown)

    @property
    def was_owed(self) -> bool:
        """Whether it says what had to be paid back, and not that money went back."""
        owed = {RefundState.DUE, RefundState.FAILED, RefundState.WITHDRAWN, RefundState.PAID_OFF}
        return self.state in owed

    @property
    def is_due(self) -> bool:
        """Whether it is a refund that must still be made."""
        return self.state in {RefundState.DUE, RefundState.FAILED}

    @property
    def paid_back_at(self) -> datetime | None:
        """When money went to the payer, by a refund or a chargeback, even if it came back since; None if it did not."""
        if self.kind is CorrectionKind.CHARGEBACK:
            return self.recorded_at
        was_made = self.state in {RefundState.DONE, RefundState.RETURNED}
        return (self.settled_at or self.recorded_at) if was_made else None
