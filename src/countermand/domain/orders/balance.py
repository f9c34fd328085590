"""Where is the money of an order? Each amount that was recorded is in exactly one place."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from countermand.domain.orders.payment import Payment
from countermand.domain.orders.payment_correction import Correction, CorrectionKind, RefundState


@dataclass(frozen=True, kw_only=True, slots=True)
class Balance:
    """The money of an order in one currency, in minor units.

    `recorded` is the sum of all others. `kept` is negative only if the payer's bank took back what was refunded, too.
    """

    recorded: int = 0
    kept: int = 0
    due: int = 0
    refunded: int = 0
    charged_back: int = 0
    late: int = 0
    voided: int = 0

    @property
    def stands(self) -> int:
        """What came in: the payments that were not voided."""
        return self.recorded - self.voided

    @property
    def refundable(self) -> int:
        """The largest refund that can be made now. What a chargeback took is not paid out again."""
        return max(0, self.due + self.kept + self.late)

    @property
    def is_covered(self) -> bool:
        """Whether enough came in for what was refunded, for what was charged back, and for what is due beside both."""
        of_each = self.refunded + self.due <= self.stands and self.charged_back <= self.stands
        return of_each and (self.due == 0 or self.kept >= 0)


def balances_of(payments: Iterable[Payment], corrections: Iterable[Correction]) -> Mapping[str, Balance]:
    """Return the balance of an order by currency.

    What leaves lowers what is kept, down to nothing, and then the late money. Only sums decide, so that the balance
    does not depend on the clocks of the nodes that recorded the rows.
    """
    in_time, late, voided = Counter[str](), Counter[str](), Counter[str]()
    for payment in payments:
        place = voided if payment.voided_at is not None else late if payment.is_late else in_time
        place[payment.money.currency] += payment.money.minor
    due, refunded, charged_back = Counter[str](), Counter[str](), Counter[str]()
    for one in corrections:
        if one.is_due:
            due[one.money.currency] += one.money.minor
        elif one.state is RefundState.DONE:
            refunded[one.money.currency] += one.money.minor
        elif one.kind is CorrectionKind.CHARGEBACK:
            charged_back[one.money.currency] += one.money.minor
    found = {}
    for currency in sorted({*in_time, *late, *voided, *due, *refunded, *charged_back}):
        gone = due[currency] + refunded[currency] + charged_back[currency]
        of_late = min(max(0, gone - in_time[currency]), late[currency])
        found[currency] = Balance(
            recorded=in_time[currency] + late[currency] + voided[currency],
            kept=in_time[currency] - (gone - of_late),
            due=due[currency],
            refunded=refunded[currency],
            charged_back=charged_back[currency],
            late=late[currency] - of_late,
            voided=voided[currency],
        )
    return found


def is_refunded_in_full(
    payments: Iterable[Payment], corrections: Collection[Correction], at: datetime | None = None
) -> bool:
    """Whether payments in time stand, and nothing is left of them in any currency; at an instant, or now.

    Refunds that were made and chargebacks take money away. A refund that is due does not: it must still be made. A
    refund that failed took money away until then.
    """
    left = Counter[str]()
    for payment in payments:
        stands = payment.voided_at is None if at is None else payment.stood_at(at)
        if stands and not payment.is_late:
            left[payment.money.currency] += payment.money.minor
    if not left:
        return False
    for one in _gone(tuple(corrections), at):
        left[one.money.currency] -= one.money.minor
    return all(minor <= 0 for minor in left.values())


def _gone(corrections: Collection[Correction], at: datetime | None) -> Iterable[Correction]:
    """Yield the refunds that were made and the chargebacks whose money is away; at an instant, or now."""
    back_at = {one.reference: one.recorded_at for one in corrections if one.was_owed}
    for one in corrections:
        if one.gone_at is None or (at is not None and at < one.gone_at):
            continue
        if one.state is not RefundState.RETURNED or (at is not None and at < back_at.get(one.reference, one.gone_at)):
            yield one
