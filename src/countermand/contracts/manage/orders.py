"""Orders in the operator's API: read an order with its history, record what happened, cancel on behalf.

All calls are ours. Errors are problem details (RFC 9457).
"""

from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Final

from countermand.actions.cancelling.approvals import TwoPersonsOutcome, ask_to_override
from countermand.actions.cancelling.cancel_orders import CancelledWithHistory, NotCancelled
from countermand.actions.cancelling.decide_again import policies_of
from countermand.actions.cancelling.explain import PolicyArchive
from countermand.actions.cancelling.explain_past import explain_at
from countermand.actions.cancelling.override import OverrideDiffers, override_refusal
from countermand.actions.cancelling.ports import CancelOrder, PolicyContents
from countermand.actions.errors import OutcomeUnknownError, UnavailableError
from countermand.actions.ordering.history import History
from countermand.actions.ordering.late_money import late_money_sentence
from countermand.actions.ordering.read_orders import read_history
from countermand.actions.ordering.record_progress import advance_order, record_payment
from countermand.actions.ordering.views import OrderView
from countermand.contracts.http.answer import Answer, ForbiddenError, json_answer
from countermand.contracts.http.body import read
from countermand.contracts.http.calls import (
    Call,
    CallContext,
    DecodedBody,
    ServiceCall,
    Services,
    TransactionCall,
    no_body,
)
from countermand.contracts.http.execute import in_transaction
from countermand.contracts.http.openapi import Reply, parameter
from countermand.contracts.http.query import Query
from countermand.contracts.http.store import Transaction
from countermand.contracts.manage import approval_messages, messages
from countermand.contracts.manage.approval_output import approval_asked
from countermand.contracts.manage.calls import (
    ORDER,
    RULES,
    check_reason,
    check_reference,
    instant_asked,
    money_in,
    operation,
    order_in,
)
from countermand.contracts.manage.cancel_messages import CancelGiven
from countermand.contracts.manage.order_ids import order_id_text
from countermand.contracts.manage.translate import (
    decision_shown,
    order_shown,
    override_differs_answer,
    payment_shown,
    problem,
    refusal_answer,
)
from countermand.domain.cancelling.approval import Approval
from countermand.domain.client import Client, Permission
from countermand.domain.money import Money
from countermand.domain.orders.order import Order, OrderId
from countermand.domain.orders.order_state import Transition

_AT: Final = parameter(
    "at",
    "query",
    "Decide for this instant instead of now. A past instant is decided by the facts and the policy of then",
    {"type": "string", "format": "date-time"},
    required=False,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _SameState:
    """Lets an action that opens snapshots read within a transaction."""

    tx: PolicyContents

    def snapshot(self) -> AbstractAsyncContextManager[PolicyContents]:
        return nullcontext(self.tx)


async def _read_one(context: CallContext[None]) -> Answer:
    services = context.services
    async with services.store.snapshot() as reading:
        order = await order_in(reading, context.request)
    view, history = await read_history(services.store, order.id)
    return await order_answer(services, context.client, services.archive, view, history)


async def _cancellability(context: CallContext[None]) -> Answer:
    request, services = context.request, context.services
    query = Query(request.query_string)
    at = instant_asked(query, "at")
    query.check()
    async with services.store.snapshot() as reading:
        order = await order_in(reading, request)
    store, policies, now = services.store, services.policies, services.clock()
    return json_answer(
        200, decision_shown(await explain_at(store, services.archive, policies, order.id, at=at, now=now))
    )


async def _pay(tx: Transaction, context: CallContext[tuple[str, Money]]) -> Answer:
    order, now = await order_in(tx, context.request), context.services.clock()
    recorded = await record_payment(tx, context.actor, order.id, *context.body, now)
    if recorded.payment.is_late:
        return problem(409, "late_money", await late_money_sentence(tx, recorded))
    return json_answer(200 if recorded.repeated else 201, payment_shown(recorded.payment))


async def _advance(tx: Transaction, context: CallContext[Transition]) -> Answer:
    order, now = await order_in(tx, context.request), context.services.clock()
    advanced = await advance_order(tx, context.actor, order.id, context.body, now)
    return json_answer(200, messages.State(state=advanced.state.value, version=advanced.version))


async def _cancel_order(context: CallContext[CancelGiven]) -> Answer:
    services = context.services
    if context.body.override:
        return await in_transaction(_OVERRIDE, context, RULES)
    async with services.store.snapshot() as reading:
        order = await order_in(reading, context.request)
    outcome = await services.cancel(_command(context, order))
    if isinstance(outcome, NotCancelled):
        return refusal_answer(outcome.refused)
    if not isinstance(outcome, CancelledWithHistory):  # the order is cancelled, so "nothing was done" would be wrong
        raise OutcomeUnknownError("the order is cancelled, but could not be read")
    try:
        return await order_answer(services, context.client, services.archive, outcome.view, outcome.history)
    except UnavailableError as error:
        raise OutcomeUnknownError("the order is cancelled, but could not be read") from error


async def _override(tx: Transaction, context: CallContext[CancelGiven]) -> Answer:
    services = context.services
    order, now = await order_in(tx, context.request), services.clock()
    command, codes = _command(context, order), tuple(context.body.override)
    outcome: TwoPersonsOutcome
    if services.override_needs_two:
        outcome = await ask_to_override(tx, services.policies, command, codes, now)
    else:
        outcome = await override_refusal(tx, services.policies, command, codes, now)
    services.note_outcome(outcome)
    if isinstance(outcome, Approval):
        return json_answer(202, approval_asked(outcome, order))
    if isinstance(outcome, OverrideDiffers):
        return override_differs_answer(outcome)
    if isinstance(outcome, NotCancelled):
        return refusal_answer(outcome.refused)
    return await order_answer_within(tx, services, context.client, order.id)


def _command(context: CallContext[CancelGiven], order: Order) -> CancelOrder:
    return CancelOrder(
        command_id=context.services.command_ids.next(),
        order_id=order.id,
        order_name=order_id_text(order),
        actor=context.actor,
        on_behalf=True,
        reason=context.body.reason,
        idempotency=context.key,
    )


async def order_answer(
    services: Services, client: Client, archive: PolicyArchive, view: OrderView, history: History
) -> Answer:
    """Answer with an order and its history. The archive has the policies of its decisions."""
    policies = await policies_of(archive, history.decisions)
    refusals_since = services.clock() - services.refusals_kept
    return json_answer(200, order_shown(view, history, policies, client, refusals_since=refusals_since))


async def order_answer_within(tx: Transaction, services: Services, client: Client, order_id: OrderId) -> Answer:
    """Answer with an order and its history, as the transaction sees them."""
    view, history = (await tx.views([order_id]))[order_id], await tx.history(order_id)
    return await order_answer(services, client, PolicyArchive(store=_SameState(tx=tx)), view, history)


def _cancellation(given: DecodedBody) -> CancelGiven:
    cancellation = read(CancelGiven, given.json)
    check_reason(cancellation.reason)
    if cancellation.override and not given.client.may(Permission.OVERRIDE):
        raise ForbiddenError(RULES.permission_missing.format(permission=Permission.OVERRIDE))
    return cancellation


def _payment(given: DecodedBody) -> tuple[str, Money]:
    payment = read(messages.PaymentGiven, given.json)
    check_reference(payment.reference)
    return payment.reference, money_in(payment.amount, payment.currency)


def _transition(given: DecodedBody) -> Transition:
    return Transition(read(messages.MoveGiven, given.json).move)


_ORDER_REPLY: Final = {200: Reply(when="The order with its history", message=messages.Order)}
_CANCEL: Final = operation(
    "cancelOrder",
    "POST",
    ORDER + "/cancel",
    "Cancel on the customer's behalf, under the same policy or by an override of it. The cancellation is recorded",
    Permission.CANCEL,
    {
        **_ORDER_REPLY,
        202: Reply(
            when="Nothing was cancelled: the settings ask for two persons, and another person has to confirm the "
            "override",
            message=approval_messages.ApprovalAsked,
        ),
    },
    request=CancelGiven,
)
_OVERRIDE: Final = TransactionCall(operation=_CANCEL, body=_cancellation, handle=_override)
CALLS: Final[tuple[Call, ...]] = (
    ServiceCall(
        operation=operation("readOrder", "GET", ORDER, "Read an order with its history", Permission.READ, _ORDER_REPLY),
        body=no_body,
        handle=_read_one,
    ),
    ServiceCall(
        operation=operation(
            "explainOrder",
            "GET",
            ORDER + "/cancellability",
            "Ask whether an order may be cancelled, why, and until when. Changes nothing",
            Permission.READ,
            {
                200: Reply(when="The decision with every finding", message=messages.Decision),
                409: Reply(
                    when="The facts or the policy of a past instant are not known any more",
                    message=messages.Problem,
                    media_type=messages.PROBLEM_JSON,
                ),
            },
            parameters=[_AT],
        ),
        body=no_body,
        handle=_cancellability,
    ),
    ServiceCall(
        operation=_CANCEL,
        body=_cancellation,
        handle=_cancel_order,
    ),
    TransactionCall(
        operation=operation(
            "recordPayment",
            "POST",
            ORDER + "/payments",
            "Record a payment. If the order has ended, the answer is 409, and the payment is kept as late money",
            Permission.RECORD,
            {
                201: Reply(when="The new payment", message=messages.Payment),
                200: Reply(when="The payment, which the provider had reported before", message=messages.Payment),
            },
            request=messages.PaymentGiven,
            or_permission=Permission.MONEY,
        ),
        body=_payment,
        handle=_pay,
    ),
    TransactionCall(
        operation=operation(
            "advanceOrder",
            "POST",
            ORDER + "/moves",
            "Advance an order to its next state",
            Permission.RECORD,
            {200: Reply(when="The order's new state", message=messages.State)},
            request=messages.MoveGiven,
        ),
        body=_transition,
        handle=_advance,
    ),
)
