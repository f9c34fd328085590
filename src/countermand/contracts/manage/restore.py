"""The call that undoes a cancellation, in the operator's API."""

from typing import Final

from countermand.actions.cancelling.restore import UndoTerms, restore_order
from countermand.contracts.http.answer import Answer
from countermand.contracts.http.body import read
from countermand.contracts.http.calls import Call, CallContext, DecodedBody, TransactionCall
from countermand.contracts.http.openapi import Reply
from countermand.contracts.http.store import Transaction
from countermand.contracts.manage import messages
from countermand.contracts.manage.calls import ORDER, check_reason, operation, order_in
from countermand.contracts.manage.cancel_messages import RestoreGiven
from countermand.contracts.manage.orders import order_answer_within
from countermand.domain.client import Permission


class ManagedRestores:
    """The call that undoes a cancellation. `terms` says which can be undone; without it, the call is only described."""

    def __init__(self, terms: UndoTerms | None) -> None:
        self._terms = terms

    def calls(self) -> tuple[Call, ...]:
        """Return the call with its handler."""
        return (TransactionCall(operation=_RESTORE, body=_restore_given, handle=self._restore),)

    async def _restore(self, tx: Transaction, context: CallContext[RestoreGiven]) -> Answer:
        assert self._terms is not None
        order, now = await order_in(tx, context.request), context.services.clock()
        await restore_order(tx, context.actor, order.id, context.body.reason, now, terms=self._terms)
        return await order_answer_within(tx, context.services, context.client, order.id)


def _restore_given(given: DecodedBody) -> RestoreGiven:
    restore = read(RestoreGiven, given.json)
    check_reason(restore.reason)
    return restore


_RESTORE: Final = operation(
    "restoreOrder",
    "POST",
    ORDER + "/restore",
    "Undo a cancellation within the time that the settings give. The order has its tickets, seats and visit again, or "
    "the answer names what is gone, and nothing changes",
    Permission.CANCEL,
    {200: Reply(when="The order with its history", message=messages.Order)},
    request=RestoreGiven,
)
