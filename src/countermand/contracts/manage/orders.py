"""The operator's own API, `/manage/v1`: read an order with its history, record what happened, cancel on behalf.

Ours throughout. Errors are problem details (RFC 9457). Whatever can change an answer takes the order's row first.
"""

from datetime import datetime
from typing import Final

from countermand.actions.cancelling.cancel_orders import Cancelled
from countermand.actions.cancelling.explain import explain
from countermand.actions.errors import FieldsError, OutcomeUnknownError, UnavailableError
from countermand.actions.ordering.read_orders import read_history
from countermand.actions.ordering.record_progress import advance_order, record_payment
from countermand.actions.ports import CancelOrder, Transaction
from countermand.contracts.http.answer import Answer, check_media_type, json_answer
from countermand.contracts.http.body import decode, read, shown
from countermand.contracts.http.calls import Call, Services
from countermand.contracts.http.idempotency import idempotency_key
from countermand.contracts.http.openapi import Reply, parameter
from countermand.contracts.manage import messages
from countermand.contracts.manage.calls import ORDER, caller, change, in_range, order_id_in, route
from countermand.contracts.manage.translate import decision_shown, order_shown, payment_shown, problem, refusal_answer
from countermand.domain.client import Client, Permission
from countermand.domain.contract import MANAGE
from countermand.domain.money import Money
from countermand.domain.orders.order_state import Transition

_AT: Final = parameter(
    "at", "query", "Decide as at this instant instead of now", {"type": "string", "format": "date-time"}, required=False
)


async def _read_one(call: Call, services: Services) -> Answer:
    await caller(call, services, Permission.READ)
    view, history = await read_history(services.store, order_id_in(call))
    return json_answer(200, order_shown(view, history))


async def _cancellability(call: Call, services: Services) -> Answer:
    await caller(call, services, Permission.READ)
    at = _instant("at", call.query["at"]) if "at" in call.query else None
    explanation = await explain(services.store, services.policies, services.clock, order_id_in(call), owner=None, at=at)
    return json_answer(200, decision_shown(explanation))


async def _pay(call: Call, services: Services) -> Answer:
    async def do(tx: Transaction, client: Client, given: tuple[str, Money]) -> Answer:
        recorded = await record_payment(tx, client.id, order_id_in(call), *given, services.clock())
        if recorded.payment.is_late:
            said = (
                f"the order is {recorded.order.state}; the payment {recorded.payment.reference} is kept as late money"
            )
            return problem(409, "late_money", said)
        return json_answer(200 if recorded.repeated else 201, payment_shown(recorded.payment))

    return await change(call, services, _payment, do)


async def _advance(call: Call, services: Services) -> Answer:
    async def do(tx: Transaction, client: Client, move: Transition) -> Answer:
        order = await advance_order(tx, client.id, order_id_in(call), move, services.clock())
        return json_answer(200, messages.State(state=order.state.value, version=order.version))

    return await change(call, services, _move, do)


async def _cancel_order(call: Call, services: Services) -> Answer:
    client = await caller(call, services, Permission.CANCEL)
    check_media_type(call.headers)
    key = idempotency_key(call.headers, call.method, call.path, call.body)
    given = read(messages.CancelGiven, decode(call.body))
    if not given.reason.strip():
        raise FieldsError([("reason", f"reason must say something, not {shown(given.reason)}")])
    outcome = await services.cancel(
        CancelOrder(
            command_id=services.command_ids.next(),
            order_id=order_id_in(call),
            client_id=client.id,
            channel=MANAGE,
            on_behalf=True,
            reason=given.reason,
            idempotency=key,
        )
    )
    if not isinstance(outcome, Cancelled):
        return refusal_answer(outcome.refused)
    try:
        view, history = await read_history(services.store, outcome.order_id)
    except UnavailableError as error:  # it is done, so "certainly not done" would be a lie
        raise OutcomeUnknownError(str(error)) from error
    return json_answer(200, order_shown(view, history))


def _payment(call: Call) -> tuple[str, Money]:
    given = read(messages.PaymentGiven, decode(call.body))
    try:
        return given.reference, Money.of(given.amount, given.currency)
    except ValueError as error:
        raise FieldsError([("amount", f"amount: {error}")]) from None


def _move(call: Call) -> Transition:
    return Transition(read(messages.MoveGiven, decode(call.body)).move)


def _instant(name: str, text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        like = "2026-11-23T01:00:00Z"
        raise FieldsError([(name, f"{name} must be an instant with a time zone, like {like}, not {shown(text)}")])
    return in_range(name, instant)


_ORDER_REPLY: Final = {200: Reply(when="The order with its history", message=messages.Order)}
ROUTES: Final = (
    route("readOrder", "GET", ORDER, "Read an order with its history", _read_one, _ORDER_REPLY),
    route(
        "explainOrder",
        "GET",
        ORDER + "/cancellability",
        "May it be cancelled, why, until when? Changes nothing",
        _cancellability,
        {200: Reply(when="The decision with every finding", message=messages.Decision)},
        None,
        _AT,
    ),
    route(
        "cancelOrder",
        "POST",
        ORDER + "/cancel",
        "Cancel on the customer's behalf: the same policy, audited",
        _cancel_order,
        _ORDER_REPLY,
        messages.CancelGiven,
    ),
    route(
        "recordPayment",
        "POST",
        ORDER + "/payments",
        "Record a payment; for an order that has ended, 409, and it is kept as late money",
        _pay,
        {
            201: Reply(when="Recorded", message=messages.Payment),
            200: Reply(when="The provider had reported it before", message=messages.Payment),
        },
        messages.PaymentGiven,
    ),
    route(
        "advanceOrder",
        "POST",
        ORDER + "/moves",
        "Advance an order to its next state",
        _advance,
        {200: Reply(when="The order's new state", message=messages.State)},
        messages.MoveGiven,
    ),
)
