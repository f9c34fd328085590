"""Converts approvals to messages and answers."""

from datetime import datetime

from countermand.actions.cancelling.approvals import APPROVAL_DIFFERS, ApprovalDiffers
from countermand.contracts.http.answer import Answer
from countermand.contracts.manage import approval_messages, messages
from countermand.contracts.manage.order_ids import order_id_text
from countermand.contracts.manage.translate import problem
from countermand.domain.cancelling.approval import Approval, Terms
from countermand.domain.orders.order import Order


def approval_asked(approval: Approval, order: Order) -> approval_messages.ApprovalAsked:
    """Return an approval as its asker gets it."""
    return approval_messages.ApprovalAsked(
        approval=approval.id,
        order_id=order_id_text(order),
        order_version=approval.terms.order_version,
        override=list(approval.terms.codes),
        due=_due(approval.terms),
        until=approval.expires_at,
    )


def approval_shown(approval: Approval, order: Order, now: datetime) -> approval_messages.Approval:
    """Return an approval of an order, in its state at an instant."""
    asker = approval.asker
    return approval_messages.Approval(
        id=approval.id,
        state=approval.state_at(now).value,
        order_id=order_id_text(order),
        contract=order.contract,
        order_version=approval.terms.order_version,
        override=list(approval.terms.codes),
        due=_due(approval.terms),
        reason=approval.reason,
        asked_at=approval.asked_at,
        until=approval.expires_at,
        client_id=asker.client_id,
        staff_id=asker.staff_id,
        acting_as=asker.acting_as,
        ended_at=approval.ended_at,
        ended_by=approval.ended_by,
        differed=[one.value for one in approval.differed],
    )


def approval_differs_answer(differs: ApprovalDiffers) -> Answer:
    """Return everything that differs from what the approval was for."""
    wrong = [
        messages.Wrong(code=APPROVAL_DIFFERS, field=one.value, message=said) for one, said in differs.sentences.items()
    ]
    return problem(409, APPROVAL_DIFFERS, differs.sentence, wrong)


def _due(terms: Terms) -> list[approval_messages.Due]:
    return [approval_messages.Due(amount_minor=one.minor, currency=one.currency) for one in terms.due]
