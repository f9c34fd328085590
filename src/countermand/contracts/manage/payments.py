"""Corrections of payments in the operator's API: void, assign, refund, fail, charge back. All answer with the order."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from msgspec import Struct

from countermand.actions.ordering.correct_payments import assign_late_money, charge_back, refund, void_payment
from countermand.actions.ordering.fail_refund import fail_refund
from countermand.actions.ordering.payment_windows import PaymentWindows
from countermand.contracts.http.answer import Answer
from countermand.contracts.http.body import read
from countermand.contracts.http.calls import Call, CallContext, DecodedBody, TransactionCall
from countermand.contracts.http.openapi import Operation, Reply, parameter
from countermand.contracts.http.store import Transaction
from countermand.contracts.manage import messages
from countermand.contracts.manage import money_messages as money
from countermand.contracts.manage.calls import ORDER, check_reason, check_reference, money_in, operation, order_in
from countermand.contracts.manage.order_ids import order_named
from countermand.contracts.manage.orders import order_answer_within
from countermand.domain.actor import Actor
from countermand.domain.client import Permission
from countermand.domain.money import Money
from countermand.domain.orders.order import Order, OrderId

_PAYMENT: Final = ORDER + "/payments/{reference}"
_MADE: Final = ORDER + "/refunds/{reference}"


def _reference(of: str, example: str) -> Mapping[str, object]:
    schema = {"type": "string", "minLength": 1, "maxLength": 255, "examples": [example]}
    return parameter("reference", "path", f"The provider's own name of the {of}, percent-encoded", schema)


_REFERENCES: Final = {_PAYMENT: _reference("payment", "psp-20261121-17"), _MADE: _reference("refund", "re-20261121-1")}
_REPLY: Final = {200: Reply(when="The order with its history; a repeat changes nothing", message=messages.Order)}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Gone:
    """Money that went back: the provider's reference, the amount, and why."""

    reference: str
    money: Money
    reason: str


_GoBack = Callable[[Transaction, Actor, OrderId, str, Money, str, datetime], Awaitable[Order]]


class ManagedPayments:
    """The calls on payments. `windows` says how long a reopened order of each contract can be paid."""

    def __init__(self, windows: PaymentWindows) -> None:
        self._windows = windows

    def calls(self) -> tuple[Call, ...]:
        """Return the calls on payments with their handlers."""
        return (
            TransactionCall(operation=_VOID, body=_void_given, handle=self._void),
            TransactionCall(operation=_ASSIGN, body=_assign_given, handle=self._assign),
            TransactionCall(operation=_REFUND, body=_refund_given, handle=_handler(refund)),
            TransactionCall(operation=_FAILED, body=_failed_given, handle=_fail),
            TransactionCall(operation=_CHARGEBACK, body=_chargeback_given, handle=_handler(charge_back)),
        )

    async def _void(self, tx: Transaction, context: CallContext[money.VoidGiven]) -> Answer:
        order, now = await order_in(tx, context.request), context.services.clock()
        reference = context.request.path_parameters["reference"]
        reason = context.body.reason
        await void_payment(tx, context.actor, order.id, reference, reason, now, windows=self._windows)
        return await order_answer_within(tx, context.services, context.client, order.id)

    async def _assign(self, tx: Transaction, context: CallContext[money.AssignGiven]) -> Answer:
        order, now = await order_in(tx, context.request), context.services.clock()
        reference = context.request.path_parameters["reference"]
        check_reference(reference)  # the other order would get it
        other = await order_named(tx, context.body.order, field="order")
        reason = context.body.reason
        await assign_late_money(tx, context.actor, order.id, reference, other.id, reason, now, windows=self._windows)
        return await order_answer_within(tx, context.services, context.client, order.id)


async def _fail(tx: Transaction, context: CallContext[money.FailedGiven]) -> Answer:
    order, now = await order_in(tx, context.request), context.services.clock()
    reference = context.request.path_parameters["reference"]
    await fail_refund(tx, context.actor, order.id, reference, context.body.reason, now)
    return await order_answer_within(tx, context.services, context.client, order.id)


def _handler(go_back: _GoBack) -> Callable[[Transaction, CallContext[_Gone]], Awaitable[Answer]]:
    async def handle(tx: Transaction, context: CallContext[_Gone]) -> Answer:
        order, now, given = await order_in(tx, context.request), context.services.clock(), context.body
        await go_back(tx, context.actor, order.id, given.reference, given.money, given.reason, now)
        return await order_answer_within(tx, context.services, context.client, order.id)

    return handle


def _void_given(given: DecodedBody) -> money.VoidGiven:
    void = read(money.VoidGiven, given.json)
    check_reason(void.reason)
    return void


def _assign_given(given: DecodedBody) -> money.AssignGiven:
    assigned = read(money.AssignGiven, given.json)
    check_reason(assigned.reason)
    return assigned


def _failed_given(given: DecodedBody) -> money.FailedGiven:
    failed = read(money.FailedGiven, given.json)
    check_reason(failed.reason)
    return failed


def _refund_given(given: DecodedBody) -> _Gone:
    return _gone(read(money.RefundGiven, given.json))


def _chargeback_given(given: DecodedBody) -> _Gone:
    return _gone(read(money.ChargebackGiven, given.json))


def _gone(given: money.RefundGiven | money.ChargebackGiven) -> _Gone:
    check_reference(given.reference)
    check_reason(given.reason)
    return _Gone(reference=given.reference, money=money_in(given.amount, given.currency), reason=given.reason)


def _operation(name: str, path: str, summary: str, request: type[Struct], *, conflicts: bool = True) -> Operation:
    return operation(
        name,
        "POST",
        path,
        summary,
        Permission.MONEY,
        _REPLY,
        request=request,
        parameters=[parameter for start, parameter in _REFERENCES.items() if path.startswith(start)],
        conflicts=conflicts,
    )


_VOID: Final = _operation(
    "voidPayment",
    _PAYMENT + "/void",
    "Record that a payment never happened. An order that it completed can be paid again, for as long as a new order",
    money.VoidGiven,
)
_ASSIGN: Final = _operation(
    "assignPayment",
    _PAYMENT + "/assign",
    "Move late money to the order that it was meant for",
    money.AssignGiven,
)
_REFUND: Final = _operation(
    "recordRefund",
    ORDER + "/refunds",
    "Record a refund that was made. It pays off what is due first",
    money.RefundGiven,
)
_FAILED: Final = _operation(
    "failRefund",
    _MADE + "/failed",
    "Record that a refund that was made came back. Its money is owed again",
    money.FailedGiven,
    conflicts=False,
)
_CHARGEBACK: Final = _operation(
    "recordChargeback",
    ORDER + "/chargebacks",
    "Record that the payer's bank has taken money back",
    money.ChargebackGiven,
)
