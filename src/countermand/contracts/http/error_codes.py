"""Explains the codes of errors: the sentences that the OpenAPI documents and `docs/errors.md` have about each code."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from countermand.actions import errors
from countermand.contracts.http import answer

# What each error means to a caller. An error that is not here is unexpected.
MEANINGS: Final[Mapping[type[Exception], str]] = {
    answer.MalformedRequestError: "The request cannot be read, or a header is wrong. Mend what the message names.",
    errors.NotAuthenticatedError: "The credential is missing, wrong or no longer valid.",
    answer.ForbiddenError: "The client is known, but does not have the permission.",
    errors.NotFoundError: "What the request names does not exist, or belongs to another client.",
    answer.MethodNotAllowedError: "The path takes other methods; the header Allow names them.",
    answer.BodyTooLargeError: "The body has more than 64 KiB.",
    answer.UnsupportedMediaTypeError: "The body has another media type than this call takes.",
    errors.FieldsError: "One or more fields are wrong. The answer names every one of them.",
    errors.IdempotencyKeyReusedError: "The Idempotency-Key was used for another request. Use a new key.",
    errors.UnavailableError: "Nothing was done. Send the request again after the seconds in Retry-After.",
}
_UNEXPECTED: Final = "Unexpected, or the outcome is unknown. Send the request again to find out."

# The rules of a policy.
RULES: Final[Mapping[str, str]] = {
    "order_not_cancellable": "The order is in a state in which it cannot be cancelled.",
    "order_already_cancelled": "The order was cancelled before.",
    "appointment_within_notice": "An active appointment begins too soon. Cancel the appointment first, if you can.",
    "payment_recorded": (
        "A payment is recorded for the order. Only the operator can cancel it, by an override. If the message says so, "
        "the order can be cancelled once it is refunded in full."
    ),
}
# What forbids a request or makes it fail. The code is in the answer, in capitals in the shopping contract.
REFUSALS: Final[Mapping[str, str]] = {
    **RULES,
    # service orders and visits
    "order_ended": "The order has ended, so that it takes no visit and no money of another order.",
    "has_appointment": "The order has an active appointment. Cancel that first.",
    "appointment_over": "The appointment is completed, incomplete or cancelled.",
    "appointment_request_pending": "The appointment-request has no slots yet. Read it again later.",
    "appointment_request_cancelled": "The appointment-request was cancelled. Request slots again.",
    "slot_not_offered": "The appointment-request did not offer this slot.",
    "slot_taken": "Others have taken the last visit of the slot. Book another slot.",
    "slot_gone": "The operator has changed or removed the slot. Request slots again.",
    "slot_over": "The slot has begun. Book another slot.",
    "booking_under_way": "A booking for this order has no answer yet. Read its result first.",
    "cancellation_under_way": "A cancellation of this appointment has no answer yet. Read its result first.",
    "appointment_past_no_return": "It is too late to cancel the appointment.",
    # the operator
    "already_answered": "The task has its answer already.",
    "slot_booked": "The slot has booked visits, so that only its capacity can change.",
    "overlap_running": "The secret from before the last rotation still signs. Wait for its end, or revoke it now.",
    "too_many_endpoints": "The client has as many endpoints as it may have. Remove one first.",
    "move_not_allowed": "The order cannot make this transition from its state.",
    "use_cancel": "This call does not cancel orders. Use the cancel call, where the policy decides.",
    "order_paid": "A payment is recorded for the order, so that it cannot end unfulfilled.",
    "payment_reference_used": "The reference is another payment's. Use this payment's own reference.",
    "late_money": "The order has ended. The payment is kept as late money, which must be assigned or paid back.",
    "payment_voided": "A payment of this order with this reference was voided. Use the reference of the other payment.",
    "payment_paid_back": "Money of the payment was refunded, is due or was charged back, so that it cannot be voided.",
    "payment_not_late": "The payment came in time. Only late money can be assigned; void the payment instead.",
    "refund_exceeds_paid": "The refund is larger than what is kept, due and late. The sentence names the amounts.",
    "refund_reference_used": "The reference is another refund's. Use this refund's own reference.",
    "refund_came_back": "The refund with this reference came back. Record the next refund under its own reference.",
    "chargeback_exceeds_paid": "The chargeback is larger than what came in. The sentence names the amounts.",
    "chargeback_reference_used": "The reference is another chargeback's. Use this chargeback's own reference.",
    "tickets_given_on": "Tickets of the order were given on, so that the order cannot be pending again.",
    "more_held": "More places of the product are sold than its new total.",
    "override_differs": "The override does not name exactly the rules that refuse, so that nothing was cancelled. The "
    "sentence names both.",
    "cancellation_undone": "The request cancelled the order, and the operator has undone that. Use another "
    "Idempotency-Key to cancel the order again.",
    "order_not_cancelled": "The order is not cancelled, so that no cancellation can be undone.",
    "clients_cancellation": "A client cancelled the order itself, and the settings do not let the operator undo that.",
    "undo_window_over": "The time in which the cancellation could be undone is over. The sentence says until when.",
    "money_moved": "Money came or went since the cancellation, so that it cannot be undone. The sentence names it.",
    "not_restorable": "What the cancellation ended is not known, so that it cannot be undone.",
    "visit_elsewhere": "The operator's own system books the visit, so that the cancellation cannot be undone here.",
    "seat_gone": "Others have the seats by now, or the plan lacks them. The sentence names them.",
    "approval_needs_person": "An override needs two persons here, and the token is a client's own, or names a person "
    "only in Acting-As. Send a person's token.",
    "approval_same_person": "Another person has to confirm the approval than the one who asked for it.",
    "approval_not_independent": "The person was added or changed after the approval was asked for: by the person who "
    "asked, by a person whom that one had changed, or by nobody who is known. Let another person confirm it.",
    "approval_of_another": "Another person asked for the approval. Only that person can withdraw it.",
    "approval_expired": "Nobody confirmed the approval within the hour. Ask again.",
    "approval_used": "The approval was confirmed, withdrawn or ended before, and counts only once. Look at the order.",
    "approval_differs": "The order's version, the rules that refuse or the amount that becomes due have changed since "
    "the approval was asked for. The approval has ended, and the sentence says what differs. Ask again.",
    "past_unknown": "The facts or the policy of that past instant are not known. The sentence says what to ask.",
    "export_too_large": "Too much is stored about the person for one answer. Export it on the command line.",
    "seats_held": "Valid tickets hold seats that the new plan lacks, or have no seat at all.",
    "client_exists": "Another client has this identity.",
    "client_revoked": "The client is revoked, so that it gets no new secret or key. Restore it first.",
    "client_without_secret": "Another issuer issues the client's tokens, so that there is no secret here to rotate. "
    "Rotate it at the issuer.",
    "secret_overlap": "The client was rotated, and the secret from before still works. Replace only the new secret, if "
    "it is lost, with `keep_old`; or wait; or stop all its secrets with `overlap_s` 0.",
    "no_secret_overlap": "The client has no secret from before a rotation that still works, so that `keep_old` has "
    "nothing to keep. Leave it out.",
    "staff_exists": "Another person has this id. Choose another id.",
    "staff_disabled": "The person is disabled and gets no token.",
    "key_exists": "The client has, or had, a key with this id.",
    "policy_differs": "Only on the command line: its settings have another policy than the servers. Nothing was "
    "cancelled. Give the settings of the servers.",
    "feed_of_other_generation": "The cursor is from before the database was restored, or of another database. Go on at "
    "the cursor in `next`.",
    "feed_events_deleted": "Events after the cursor were deleted, because they were older than what is kept. Go on at "
    "the cursor in `next`.",
    "webhook_key_missing": "The service has no key to encrypt the secrets of endpoints, so that nothing was done. The "
    "operator gives every node a key.",
    "webhook_secret_unreadable": "No key of the node decrypts what the database keeps of the endpoint. The operator "
    "gives the node the key that encrypted it.",
    # ticket orders
    "product_not_available": "There is no such product, or it or its event is disabled.",
    "multiple_events": "The products are for several events. Place one order for each event.",
    "not_on_sale": "The product is not on sale now, or only with a voucher.",
    "not_separately_saleable": "These products are sold only together with others.",
    "profile_missing": "The consumer is missing, or a field of the consumer that the chosen methods need.",
    "insufficient_products": "Too few places of a product are left. Nothing was reserved.",
    "insufficient_consecutive_seats": "There are enough seats, but not side by side.",
    "payment_method_missing": "The order costs something, and names no payment method.",
    "payment_method_not_applicable": "There is no such payment method for the consumer's country.",
    "shipping_method_not_applicable": "There is no such shipping method for the consumer's country.",
    "too_many_tickets": "The order has more tickets than one order may have.",
    "too_few_tickets": "The order has fewer tickets than one order must have.",
    "consumer_unknown": "The consumer's uid is not that of one of your consumers.",
    "consumer_not_for_browsers": "A browser application's token does not allow stored consumers.",
    "ticket_not_found": "There is no such ticket, or it belongs to another client.",
    "tickets_of_several_orders": "The tickets are of several orders. Transfer the tickets of one order at a time.",
    "currencies_differ": "The amounts of the order are in several currencies.",
    "total_out_of_range": "The order's total is too large.",
    "voucher_not_applicable": "There is no such voucher for these products.",
    "voucher_used_up": "The voucher was used as often as it may be.",
    "tickets_not_transferable": "A ticket is not valid, or its order is not completed.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorCode:
    """A code that an answer of this status may have, and its explanation."""

    status: int
    code: str
    meaning: str


def error_codes(
    statuses: Mapping[type[Exception], tuple[int, str]],
    unexpected: tuple[int, str],
    refusals: Iterable[ErrorCode] = (),
) -> tuple[ErrorCode, ...]:
    """Return the codes of a contract, sorted by status. Refusals come after the errors of the same status."""
    told: dict[tuple[int, str], str] = {}
    for kind, (status, code) in statuses.items():
        if kind in MEANINGS:
            said = told.get((status, code), "")
            told[status, code] = f"{said} Or: {MEANINGS[kind]}" if said else MEANINGS[kind]
    told[unexpected] = _UNEXPECTED
    for one in refusals:
        said = told.get((one.status, one.code), "")
        told[one.status, one.code] = f"{said} {one.meaning}".strip()
    codes = [ErrorCode(status=status, code=code, meaning=meaning) for (status, code), meaning in told.items()]
    return tuple(sorted(codes, key=lambda one: one.status))


def refusals(status: int, *codes: str) -> Iterator[ErrorCode]:
    """Yield refusals that are answered with one status and their own codes."""
    for code in codes:
        yield ErrorCode(status=status, code=code, meaning=REFUSALS[code])


def table(codes: Sequence[ErrorCode]) -> str:
    """Return a table of codes in Markdown."""
    rows = [f"| {one.status} | `{one.code}` | {one.meaning} |" for one in codes]
    return "\n".join(["| status | code | meaning |", "|---|---|---|", *rows])
