"""Corrections of payments in the operator's API: void, assign, refund, charge back. All answer with the order."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from msgspec import Struct

from countermand.actions.cancelling.explain import PolicyArchive
from countermand.actions.cancelling.ports import PolicyContents
from countermand.actions.errors import FieldsError
from countermand.actions.ordering.correct_payments import (
    PaymentWindows,
    assign_late_money,
    charge_back,
    refund,
    void_payment,
)
from countermand.contracts.http.answer import Answer
from countermand.contracts.http.body import read
from countermand.contracts.http.calls import Call, CallContext, DecodedBody, Services, TransactionCall
from countermand.contracts.http.openapi import Operation, Reply, parameter
from countermand.contracts.http.store import Transaction
from countermand.contracts.manage import messages
from countermand.contracts.manage import money_messages as money
from countermand.contracts.manage.calls import ORDER, check_reason, money_in, operation, order_in
from countermand.contracts.manage.order_ids import order_named
from countermand.contracts.manage.orders import order_answer
from countermand.domain.actor import Actor
from countermand.domain.client import Client, Permission
from countermand.domain.money import Money
from countermand.domain.orders.order import Order, OrderId

_PAYMENT: Final = ORDER + "/payments/{reference}"
_REFERENCE: Final = parameter(
    "reference",
    "path",
    "The provider's own name of the payment, percent-encoded",
    {"type": "string", "minLength": 1, "maxLength": 255, "examples": ["psp-20261121-17"]},
)
_REPLY: Final = {200: Reply(when="The order with its history; a repeat changes nothing", message=messages.Order)}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Gone:
    """Money that went back: the provider's reference, the amount, and why."""

    reference: str
    money: Money
    reason: str


_GoBack = Callable[[Transaction, Actor, OrderId, str, Money, str, datetime], Awaitable[Order]]


@dataclass(frozen=True, kw_only=True, slots=True)
class _SameState:
    """Lets an action that opens snapshots read within a transaction."""

    tx: PolicyContents

    def snapshot(self) -> AbstractAsyncContextManager[PolicyContents]:
        return nullcontext(self.tx)


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
            TransactionCall(operation=_CHARGEBACK, body=_chargeback_given, handle=_handler(charge_back)),
        )

    async def _void(self, tx: Transaction, context: CallContext[money.VoidGiven]) -> Answer:
        order, now = await order_in(tx, context.request), context.services.clock()
        reference = context.request.path_parameters["reference"]
        reason = context.body.reason
        await void_payment(tx, context.actor, order.id, reference, reason, now, windows=self._windows)
        return await _order_answer(tx, context.services, context.client, order.id)

    async def _assign(self, tx: Transaction, context: CallContext[money.AssignGiven]) -> Answer:
        order, now = await order_in(tx, context.request), context.services.clock()
        try:
            other = await order_named(tx, context.body.order)
        except FieldsError as error:  # it names the parameter of the path
            raise FieldsError([("order", said) for _, said in error.errors]) from None
        reference = context.request.path_parameters["reference"]
        reason = context.body.reason
        await assign_late_money(tx, context.actor, order.id, reference, other.id, reason, now, windows=self._windows)
        return await _order_answer(tx, context.services, context.client, order.id)


def _handler(go_back: _GoBack) -> Callable[[Transaction, CallContext[_Gone]], Awaitable[Answer]]:
    async def handle(tx: Transaction, context: CallContext[_Gone]) -> Answer:
        order, now, given = await order_in(tx, context.request), context.services.clock(), context.body
        await go_back(tx, context.actor, order.id, given.reference, given.money, given.reason, now)
        return await _order_answer(tx, context.services, context.client, order.id)

    return handle


async def _order_answer(tx: Transaction, services: Services, client: Client, order_id: OrderId) -> Answer:
    view, history = (await tx.views([order_id]))[order_id], await tx.history(order_id)
    return await order_answer(services, client, PolicyArchive(store=_SameState(tx=tx)), view, history)


def _void_given(given: DecodedBody) -> money.VoidGiven:
    void = read(money.VoidGiven, given.json)
    check_reason(void.reason)
    return void


def _assign_given(given: DecodedBody) -> money.AssignGiven:
    assigned = read(money.AssignGiven, given.json)
    check_reason(assigned.reason)
    return assigned


def _refund_given(given: DecodedBody) -> _Gone:
    return _gone(read(money.RefundGiven, given.json))


def _chargeback_given(given: DecodedBody) -> _Gone:
    return _gone(read(money.ChargebackGiven, given.json))


def _gone(given: money.RefundGiven | money.ChargebackGiven) -> _Gone:
    check_reason(given.reason)
    return _Gone(reference=given.reference, money=money_in(given.amount, given.currency), reason=given.reason)


def _operation(name: str, path: str, summary: str, request: type[Struct]) -> Operation:
    return operation(
        name,
        "POST",
        path,
        summary,
        Permission.MONEY,
        _REPLY,
        request=request,
        parameters=[_REFERENCE] if path.startswith(_PAYMENT) else (),
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
    "Record a refund that was made. It settles what is due first",
    money.RefundGiven,
)
_CHARGEBACK: Final = _operation(
    "recordChargeback",
    ORDER + "/chargebacks",
    "Record that the payer's bank has taken money back",
    money.ChargebackGiven,
)
