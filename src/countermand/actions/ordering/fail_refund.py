"""Records that a refund that was made came back: its money must be paid back again."""

from dataclasses import replace
from datetime import datetime

from countermand.actions.errors import NotFoundError
from countermand.actions.ordering.account import account_of, is_refunded
from countermand.actions.ordering.correct_payments import CorrectionTransaction
from countermand.actions.ordering.end_dues import withdraw_dues
from countermand.actions.ordering.lock_order import locked_to_pay
from countermand.domain.actor import Actor
from countermand.domain.orders.order import Order, OrderId
from countermand.domain.orders.order_events import refund_failed
from countermand.domain.orders.payment_correction import Correction, CorrectionKind, RefundState


async def fail_refund(
    tx: CorrectionTransaction, actor: Actor, order_id: OrderId, reference: str, reason: str, now: datetime
) -> Order:
    """Record that the provider or the bank sent a refund back; a repeat changes nothing.

    Its money is owed again, and the next refund pays it off. What a chargeback took meanwhile is withdrawn. Raises
    `NotFoundError`.
    """
    order = (await locked_to_pay(tx, order_id)).order
    account = await account_of(tx, order_id)
    made = account.made(CorrectionKind.REFUND, reference)
    if not made:
        raise NotFoundError(
            f"the order has no refund {reference} that was made; nothing was changed; look the reference up"
        )
    if all(one.state is RefundState.RETURNED for one in made):
        return order
    money = replace(made[0].money, minor=sum(one.money.minor for one in made))
    returned = [replace(one, state=RefundState.RETURNED) for one in made]
    failed = Correction(
        number=account.next_number,
        kind=CorrectionKind.REFUND,
        money=money,
        reason=reason,
        recorded_at=now,
        actor=actor,
        reference=reference,
        state=RefundState.FAILED,
    )
    for one in returned:
        await tx.change_refund(order_id, one)
    await tx.insert_correction(order_id, failed)
    await withdraw_dues(tx, order_id, account.with_corrections(*returned, failed), money.currency, now)
    facts = replace(order.facts, refunded_in_full=await is_refunded(tx, order_id))
    changed = await tx.change_order(order, facts)
    await tx.append_events(changed, actor, [refund_failed(reference, money, reason)], now)
    return changed
