"""Reads the account of an order: its payments, and the corrections that answer them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from countermand.actions.errors import UnavailableError
from countermand.actions.ordering.correction_ports import CorrectionReading
from countermand.domain.money import Money
from countermand.domain.orders.balance import Balance, balances_of, is_refunded_in_full
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.payment import Payment
from countermand.domain.orders.payment_correction import Correction, CorrectionKind


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """The payments of a locked order, and what answers them."""

    payments: Sequence[Payment]
    corrections: Sequence[Correction]

    def balance(self, currency: str) -> Balance:
        """Return the balance in a currency."""
        return balances_of(self.payments, self.corrections).get(currency, Balance())

    @property
    def kept(self) -> Sequence[Money]:
        """What is kept for the order: one amount for each currency in which it is more than nothing, sorted."""
        balances = balances_of(self.payments, self.corrections)
        return [Money(minor=one.kept, currency=currency) for currency, one in balances.items() if one.kept > 0]

    @property
    def next_number(self) -> int:
        """The number of the order's next correction."""
        return max((one.number for one in self.corrections), default=0) + 1

    @property
    def in_time(self) -> Sequence[Payment]:
        """The payments that happened, and that came before the order had ended."""
        return [one for one in self.payments if one.voided_at is None and not one.is_late]

    def without(self, voided: Payment, now: datetime) -> "Account":
        """Return the account after a payment is voided."""
        payments = [replace(one, voided_at=now) if one is voided else one for one in self.payments]
        return replace(self, payments=payments)

    def made(self, kind: CorrectionKind, reference: str) -> Sequence[Correction]:
        """The refund that was made, or the chargeback, with a reference: one row, or several of an older version."""
        return [one for one in self.corrections if one.kind is kind and one.reference == reference and not one.was_owed]

    def with_corrections(self, *changed: Correction) -> "Account":
        """Return the account after corrections were added or changed."""
        by_number = {one.number: one for one in (*self.corrections, *changed)}
        return replace(self, corrections=list(by_number.values()))

    def covers(self, total: Money) -> bool:
        """Whether the payments in time add up to the total, whatever was paid back since."""
        return sum(one.money.minor for one in self.in_time if one.money.currency == total.currency) >= total.minor


async def account_of(tx: CorrectionReading, order_id: OrderId) -> Account:
    """Return the account of a locked order. Raises `UnavailableError` for a correction that this version lacks."""
    account = Account(payments=await tx.payments_of(order_id), corrections=await tx.corrections_of(order_id))
    if not all(one.is_known for one in account.corrections):
        raise UnavailableError(
            "a newer version than this node's corrected the payments of the order; nothing was done; send the request "
            "again, or to another node"
        )
    return account


async def is_refunded(tx: CorrectionReading, order_id: OrderId) -> bool:
    """Whether an order was refunded in full. A correction that this version does not know counts as no refund."""
    return is_refunded_in_full(await tx.payments_of(order_id), await tx.corrections_of(order_id))
