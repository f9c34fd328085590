"""Says what became of a payment that came after its order had ended."""

from countermand.actions.ordering.correction_ports import CorrectionReading
from countermand.actions.ordering.record_progress import RecordedPayment
from countermand.domain.money import written_minor
from countermand.domain.orders.balance import balances_of


async def late_money_sentence(reading: CorrectionReading, recorded: RecordedPayment) -> str:
    """Return a sentence for who recorded late money: how much of it is here, to be refunded or assigned.

    The rest is gone: it was paid back, or it makes up for money that was refunded and also charged back.
    """
    order, payment = recorded.order, recorded.payment
    balances = balances_of(await reading.payments_of(order.id), await reading.corrections_of(order.id))
    left, money = balances[payment.money.currency].late, payment.money
    said = f"the order is {order.state}; the payment {payment.reference} is kept as late money"
    if left >= money.minor:
        return f"{said}: assign or refund it"
    return (
        f"{said}, and {written_minor(left)} of its {money} {money.currency} can be refunded: "
        "what was refunded and charged back before took the rest"
    )
