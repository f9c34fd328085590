"""Cancels an order that the policy refuses to cancel, for an operator who names exactly the rules that refuse.

An override has a transaction of its own, which locks the order's row first, as a payment, a void and an expiry do. It
leaves the same rows as a cancellation that the policy grants. Money that is kept for the order becomes a refund that is
due.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from countermand.actions.cancelling.cancel_orders import Cancelled, NotCancelled
from countermand.actions.cancelling.policies import Policies
from countermand.actions.cancelling.ports import (
    OVERRIDE_DIFFERS,
    CancellationRecord,
    CancelOrder,
    DecisionWriting,
    OwnedKey,
    RefusalRecord,
)
from countermand.actions.errors import FieldsError
from countermand.actions.ordering.account import Account, account_of
from countermand.actions.ordering.correction_ports import CorrectionWriting
from countermand.actions.ordering.lock_order import locked
from countermand.actions.ordering.record_progress import ProgressTransaction, end_order
from countermand.actions.shown_values import shown
from countermand.domain.cancelling.approval import Terms
from countermand.domain.cancelling.decision import Decision, Granted, Refused, decide
from countermand.domain.cancelling.rules import CODE_PATTERN, NEVER_OVERRIDDEN
from countermand.domain.money import Money
from countermand.domain.orders.order import Order, OrderId
from countermand.domain.orders.order_events import order_cancelled, refund_due
from countermand.domain.orders.order_state import OrderState
from countermand.domain.orders.payment_correction import (
    CANCELLED_WITHOUT_REASON,
    Correction,
    CorrectionKind,
    RefundState,
)
from countermand.domain.staff_id import StaffId


class OverrideTransaction(ProgressTransaction, CorrectionWriting, DecisionWriting, Protocol):
    """Implemented by a transaction in which a refusal can be overridden."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OverrideDiffers:
    """The request does not name exactly the rules that refuse. The refusal is recorded, and nothing was cancelled."""

    order_id: OrderId
    decision: Decision
    named: tuple[str, ...]

    @property
    def broken(self) -> tuple[str, ...]:
        """The codes of the rules that refuse, in the policy's order."""
        return broken_codes(self.decision)

    @property
    def sentence(self) -> str:
        """Both sets of codes, and what to do next."""
        broken, named = ", ".join(self.broken), ", ".join(self.named)
        if not broken:
            return f"no rule refuses, but override names {named}; nothing was cancelled; leave override out"
        said = f"the rules that refuse are {broken}, but override names {named}"
        return f"{said}; nothing was cancelled; name exactly the rules that refuse"


@dataclass(frozen=True, kw_only=True, slots=True)
class Overridable:
    """A locked order with what refuses its cancellation, and with its account."""

    order: Order
    decision: Refused
    account: Account

    @property
    def terms(self) -> Terms:
        """What a second person is asked to confirm."""
        return Terms(order_version=self.order.version, codes=self.decision.codes, due=tuple(self.account.kept))


OverrideOutcome = Cancelled | NotCancelled | OverrideDiffers


def check_overridable(codes: Iterable[str]) -> None:
    """Raise `FieldsError` for texts that are no codes, and for codes that nobody can override."""
    named = sorted(set(codes))
    wrong = [
        f"override must name codes like payment_recorded, not {shown(code)}; cancellability has the codes that refuse"
        for code in named
        if not re.fullmatch(CODE_PATTERN, code)
    ]
    wrong += [f"override must not name {code}: nobody can override it" for code in named if code in NEVER_OVERRIDDEN]
    if wrong:
        raise FieldsError([("override", said) for said in wrong])


async def override_refusal(
    tx: OverrideTransaction, policies: Policies, command: CancelOrder, codes: Sequence[str], now: datetime
) -> OverrideOutcome:
    """Cancel the order if `codes` are exactly those of the rules that refuse; else record the refusal.

    If a rule refuses that nobody can override, the outcome is the policy's refusal. Raises `NotFoundError`, and
    `FieldsError` as `check_overridable`.
    """
    found = await overridable(tx, policies, command, codes, now)
    if isinstance(found, Overridable):
        await cancel_overridden(tx, command, found, now, kept_under=command.kept_under)
        return Cancelled(order_id=found.order.id)
    return found


async def overridable(
    tx: OverrideTransaction, policies: Policies, command: CancelOrder, codes: Sequence[str], now: datetime
) -> Overridable | NotCancelled | OverrideDiffers:
    """Lock the order, and return it if `codes` are exactly those of the rules that refuse; else record the refusal.

    The other outcomes and the exceptions are those of `override_refusal`.
    """
    check_overridable(codes)
    order = await locked(tx, command.order_id)
    decision = decide(order.facts, policies.of(order), now)
    broken = broken_codes(decision)
    if isinstance(decision, Refused) and set(broken) == set(codes):
        return Overridable(order=order, decision=decision, account=await account_of(tx, order.id))
    refusal = RefusalRecord(
        command=command,
        contract=order.contract,
        decided_at=now,
        policy_version=decision.policy_version,
        facts=order.facts,
        codes=broken or (OVERRIDE_DIFFERS,),
    )
    await tx.insert_refusal(refusal)
    if isinstance(decision, Refused) and not NEVER_OVERRIDDEN.isdisjoint(broken):
        return NotCancelled(order_id=order.id, refused=decision)
    return OverrideDiffers(order_id=order.id, decision=decision, named=tuple(sorted(set(codes))))


async def cancel_overridden(
    tx: OverrideTransaction,
    command: CancelOrder,
    found: Overridable,
    now: datetime,
    *,
    approved_by: StaffId | None = None,
    kept_under: OwnedKey | None = None,
) -> None:
    """Cancel a locked order that the policy refuses to cancel.

    `approved_by` is the second person, if there was one. `kept_under` is the key of the request that cancels it.
    """
    order, account, reason = found.order, found.account, command.reason
    events = [order_cancelled(order.state, reason, approved_by)]
    if account.kept:
        events.append(refund_due(account.kept, reason))
    await end_order(tx, command.actor, order, OrderState.CANCELLED, events, now)
    record = CancellationRecord(
        order_id=order.id,
        command_id=command.command_id,
        decided_at=now,
        actor=command.actor,
        contract=order.contract,
        policy_version=found.decision.policy_version,
        facts=order.facts,
        reason=reason,
        overridden=found.decision.codes,
        kept_under=kept_under,
        approved_by=approved_by,
    )
    await tx.insert_cancellation(record)
    for number, money in enumerate(account.kept, start=account.next_number):
        await tx.insert_correction(order.id, _due(number, money, command, now))


def _due(number: int, money: Money, command: CancelOrder, now: datetime) -> Correction:
    return Correction(
        number=number,
        kind=CorrectionKind.REFUND,
        money=money,
        reason=CANCELLED_WITHOUT_REASON if command.reason is None else command.reason,
        recorded_at=now,
        actor=command.actor,
        state=RefundState.DUE,
    )


def broken_codes(decision: Decision) -> tuple[str, ...]:
    """Return the codes of the rules that refuse, in the policy's order."""
    return () if isinstance(decision, Granted) else decision.codes
