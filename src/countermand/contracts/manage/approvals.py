"""Approvals in the operator's API: list and read them, confirm what another person asked for, withdraw it."""

import re
from typing import Final

from msgspec.structs import replace

from countermand.actions.cancelling.approvals import ApprovalDiffers, approval_named, confirm, withdraw
from countermand.actions.cancelling.cancel_orders import Cancelled
from countermand.actions.errors import NotFoundError
from countermand.contracts.http.answer import Answer, json_answer
from countermand.contracts.http.body import shown
from countermand.contracts.http.calls import Call, CallContext, Request, ServiceCall, TransactionCall, no_body
from countermand.contracts.http.openapi import Operation, Reply, parameter
from countermand.contracts.http.store import Reading, Transaction
from countermand.contracts.manage import approval_messages, messages
from countermand.contracts.manage.approval_output import approval_differs_answer, approval_shown
from countermand.contracts.manage.calls import ROOT, operation
from countermand.contracts.manage.order_ids import order_id_text
from countermand.contracts.manage.orders import order_answer_within
from countermand.domain.cancelling.approval import APPROVAL_ID_PATTERN, Approval, ApprovalId
from countermand.domain.client import Permission
from countermand.domain.orders.order import Order

_APPROVAL: Final = ROOT + "/approvals/{approval}"
_ID: Final = parameter(
    "approval",
    "path",
    "The approval's id, which the override answered",
    {"type": "string", "pattern": f"^{APPROVAL_ID_PATTERN}$"},
)


def approval_id_from(given: str) -> ApprovalId:
    """Return the id of an approval. Raises `NotFoundError` for a text that no approval can have."""
    if re.fullmatch(APPROVAL_ID_PATTERN, given) is None:
        raise NotFoundError(f"there is no approval {shown(given)}")
    return ApprovalId(given)


def _id(request: Request) -> ApprovalId:
    return approval_id_from(request.path_parameters["approval"])


async def _order_of(reading: Reading, approval: Approval) -> Order:
    order = await reading.order(approval.order_id)
    assert order is not None, "orders are never deleted"
    return order


async def _read(context: CallContext[None]) -> Answer:
    services = context.services
    async with services.store.snapshot() as reading:
        approval = await approval_named(reading, _id(context.request))
        order = await _order_of(reading, approval)
    return json_answer(200, approval_shown(approval, order, services.clock()))


async def _confirm(tx: Transaction, context: CallContext[None]) -> Answer:
    services, approval_id = context.services, _id(context.request)
    order = await _order_of(tx, await approval_named(tx, approval_id))
    services.note_order(order_id_text(order))
    command_id = services.command_ids.next()
    outcome = await confirm(
        tx, services.policies, approval_id, context.actor, command_id, services.clock(), key=context.key
    )
    if isinstance(outcome, ApprovalDiffers):
        services.note_outcome(outcome)
        return approval_differs_answer(outcome)
    services.note_outcome(Cancelled(order_id=outcome.order_id))
    answer = await order_answer_within(tx, services, context.client, outcome.order_id)
    # The repeat did not cancel the order, so an undoing could not find its key: it would say `cancelled` for ever.
    return replace(answer, storable=False) if outcome.repeated else answer


async def _withdraw(tx: Transaction, context: CallContext[None]) -> Answer:
    services, approval_id = context.services, _id(context.request)
    order = await _order_of(tx, await approval_named(tx, approval_id))
    services.note_order(order_id_text(order))
    now = services.clock()
    withdrawn = await withdraw(tx, approval_id, context.actor, now)
    return json_answer(200, approval_shown(withdrawn, order, now))


def _change(name: str, path: str, summary: str, reply: Reply) -> Operation:
    return operation(
        name,
        "POST",
        f"{_APPROVAL}/{path}",
        summary,
        Permission.OVERRIDE,
        {200: reply},
        parameters=[_ID],
        may_lack_body=True,
    )


CALLS: Final[tuple[Call, ...]] = (
    ServiceCall(
        operation=operation(
            "readApproval",
            "GET",
            _APPROVAL,
            "Read an approval",
            Permission.READ,
            {200: Reply(when="The approval in its current state", message=approval_messages.Approval)},
            parameters=[_ID],
        ),
        body=no_body,
        handle=_read,
    ),
    TransactionCall(
        operation=_change(
            "confirmApproval",
            "confirm",
            "Confirm the cancellation that another person asked for, with a person's token. It is carried out at once",
            Reply(when="The order with its history; a repeat changes nothing", message=messages.Order),
        ),
        body=no_body,
        handle=_confirm,
    ),
    TransactionCall(
        operation=_change(
            "withdrawApproval",
            "withdraw",
            "Withdraw what you asked for, before another person confirms it",
            Reply(when="The approval; a repeat changes nothing", message=approval_messages.Approval),
        ),
        body=no_body,
        handle=_withdraw,
    ),
)
