"""What do the bodies of the operator's API look like? All are ours. Amounts in requests are decimal numbers."""

from datetime import datetime
from typing import Annotated, Final, Literal, get_args

from msgspec import Meta, Struct

from countermand.actions.ordering.timeline import EntryKind
from countermand.contracts.http.answer import JsonObject
from countermand.contracts.manage.actor_texts import Address, Claimed, Person
from countermand.contracts.manage.appointment_messages import Appointment
from countermand.contracts.manage.approval_messages import ApprovedBy
from countermand.contracts.manage.cancel_messages import Overridden, OverriddenThen
from countermand.contracts.manage.money_messages import Balance, Correction, Currency, PositiveAmount
from countermand.domain.orders.order_state import NO_MOVES, Transition

PROBLEM_JSON: Final = "application/problem+json"

MoveName = Literal["accept", "start", "pass_no_return", "hold", "reject", "activate", "complete", "expire", "fail"]
EntryName = Literal["placed", "ask", "payment", "changed", "appointment"]
assert set(get_args(EntryName)) == {kind.value for kind in EntryKind}
assert set(get_args(MoveName)) == {move.value for move in Transition if move not in NO_MOVES}


class PaymentGiven(Struct, kw_only=True):
    """A payment that a provider reports. A repeat of its reference is the same payment."""

    reference: Annotated[
        str,
        Meta(
            description=(
                "The provider's own name of the payment: visible characters and spaces. A repeat of it is the same "
                "payment"
            ),
            min_length=1,
            max_length=255,
        ),
    ]
    amount: PositiveAmount
    currency: Currency


class MoveGiven(Struct, kw_only=True):
    """The transition that happened to the order."""

    move: Annotated[
        MoveName,
        Meta(description="What happened to the order. docs/states.md has a table of the states and transitions"),
    ]


class Payment(Struct, kw_only=True):
    """A payment. Money that arrived after the order had ended is `late`."""

    reference: Annotated[str, Meta(description="The provider's own name of the payment")]
    amount_minor: Annotated[int, Meta(description="The amount in hundredths of the currency's unit: 1250 is 12.50")]
    currency: Annotated[str, Meta(description="ISO 4217")]
    recorded_at: Annotated[datetime, Meta(description="When this service recorded the payment, in UTC")]
    late: Annotated[
        bool, Meta(description="Whether the order had ended before the money arrived. Late money must be paid back")
    ]
    voided_at: Annotated[
        datetime | None, Meta(description="When it was recorded that the payment never happened, in UTC; null if not")
    ]


class State(Struct, kw_only=True):
    """The current state of an order."""

    state: Annotated[str, Meta(description="The state that the order has now")]
    version: Annotated[int, Meta(description="How often the order has changed, counted from 1")]


class Finding(Struct, kw_only=True):
    """The finding of one rule. `changes_at` is the first instant at which its finding will differ."""

    rule: Annotated[str, Meta(description="The rule's name in the settings")]
    code: Annotated[str, Meta(description="The code of a refusal by this rule")]
    passed: Annotated[bool, Meta(description="Whether the rule allows the cancellation")]
    fact: Annotated[
        str,
        Meta(
            description=(
                "The fact of the order that the rule looks at: state, appointment_starts_at, first_payment_at or "
                "unrefunded_payment_at"
            )
        ),
    ]
    value: Annotated[str | None, Meta(description="The fact as it is, as text; null if there is none")]
    message: Annotated[str, Meta(description="What the rule found, as a sentence")]
    changes_at: Annotated[
        datetime | None,
        Meta(
            description=(
                "The first instant at which the finding will differ, in UTC; null if time alone does not change it"
            )
        ),
    ]


class Decision(Struct, kw_only=True):
    """The decision that a cancellation would get, or would have got at a past instant.

    `cancellable_until` is the first instant at which the order can no longer be cancelled.
    """

    order_id: Annotated[str, Meta(description="The order's id, such as connect-54 or shopping- and a uid")]
    cancellable: Annotated[bool, Meta(description="Whether a cancellation at that instant would succeed")]
    cancellable_until: Annotated[
        datetime | None,
        Meta(
            description=(
                "The first instant at which the order can no longer be cancelled, in UTC; null if there is none, or "
                "the order cannot be cancelled"
            )
        ),
    ]
    at: Annotated[datetime, Meta(description="The instant that the decision is for, in UTC")]
    policy_version: Annotated[str, Meta(description="A hash of the policy that decided")]
    policy_source: Annotated[
        Literal["now", "then"],
        Meta(
            description=(
                "Whose policy and facts decided: now (those of the present), or then (those of a past instant `at`)"
            )
        ),
    ]
    findings: Annotated[list[Finding], Meta(description="What each rule of the policy found")]


class OrderEvent(Struct, kw_only=True):
    """Something that happened to the order, as its event reports it."""

    kind: Annotated[str, Meta(description="What happened, such as order.placed, order.cancelled or payment.recorded")]
    order_version: Annotated[int, Meta(description="The order's version after it")]
    recorded_at: Annotated[datetime, Meta(description="When it was recorded, in UTC")]
    client_id: Annotated[int, Meta(description="The id of the client that caused it; 0 for the command line")]
    staff_id: Person
    acting_as: Claimed
    channel: Annotated[
        str | None,
        Meta(
            description=(
                "The channel that the request came over: a contract, or manage; null if nobody asked, and in the "
                "records of older versions"
            )
        ),
    ]
    address: Address
    details: Annotated[JsonObject, Meta(description="More about it; the kind decides which fields there are")]
    delivered_at: Annotated[
        datetime | None, Meta(description="When the event was delivered, in UTC; null if it was not")
    ]


class DecisionRecord(Struct, kw_only=True):
    """The record of a cancellation or a refusal: when, for which client, over which channel, by which policy, why."""

    command_id: Annotated[str, Meta(description="The id of the cancel request, which log lines have, too")]
    decided_at: Annotated[datetime, Meta(description="When the decision was made, in UTC")]
    client_id: Annotated[int, Meta(description="The id of the client that asked; 0 for the command line")]
    staff_id: Person
    acting_as: Claimed
    address: Address
    contract: Annotated[str, Meta(description="The contract of the order")]
    door: Annotated[str, Meta(description="The channel that the request came over: a contract, or manage")]
    policy_version: Annotated[str, Meta(description="A hash of the policy that decided")]
    state: Annotated[str, Meta(description="The order's state at the decision")]
    appointment_starts_at: Annotated[
        datetime | None, Meta(description="The start of the active appointment at the decision, in UTC; null for none")
    ]
    first_payment_at: Annotated[
        datetime | None, Meta(description="The time of the first payment before the decision, in UTC; null for none")
    ]
    unrefunded_payment_at: Annotated[
        datetime | None, Meta(description="The same, but null if the order was refunded in full at the decision")
    ]
    reason: Annotated[
        str | None, Meta(description="The reason that the request gave; null if the contract has no reasons")
    ]
    codes: Annotated[
        list[str] | None,
        Meta(
            description=(
                "The codes of the rules that refused, in the policy's order; empty for a cancellation. Null if the "
                "policy of that time is not known"
            )
        ),
    ]
    overridden: Overridden
    approved_by: ApprovedBy = None


class Actor(Struct, kw_only=True):
    """Who did something."""

    client_id: Annotated[int, Meta(description="The id of the client whose request it was; 0 for the command line")]
    client_name: Annotated[str | None, Meta(description="The name of that client; null if there is no such client")]
    staff_id: Person
    acting_as: Claimed
    channel: Annotated[
        str | None, Meta(description="The channel of the request: a contract, or manage; null if it is not known")
    ]
    address: Address


class TimelineEntry(Struct, kw_only=True):
    """Something that happened to the order, or an ask to cancel it."""

    at: Annotated[datetime, Meta(description="When it happened, in UTC")]
    kind: Annotated[
        EntryName,
        Meta(
            description=(
                "What it is about: placed (the order was placed), changed (its state changed), appointment, payment, "
                "or ask (somebody asked to cancel it)"
            )
        ),
    ]
    who: Annotated[
        Actor | None,
        Meta(
            description=(
                "Who did it; null if the service did it by itself, as when an unpaid order expires, or if that is not "
                "known any more"
            )
        ),
    ]
    event: Annotated[
        str | None, Meta(description="The kind of its event, such as order.advanced; null for an ask, which has none")
    ]
    order_version: Annotated[
        int | None,
        Meta(description="The order's version after it; null for an ask, and for an event that was deleted since"),
    ]
    details: Annotated[
        JsonObject | None,
        Meta(description="More about the event; its kind decides which fields there are. Null for an ask"),
    ]
    decision: Annotated[
        Literal["cancelled", "refused"] | None,
        Meta(description="What the policy decided about the ask; null for everything else"),
    ] = None
    codes: Annotated[
        list[str] | None,
        Meta(
            description=(
                "The codes of the rules that refused the ask; empty if it cancelled the order, null for everything "
                "else and if the policy of that time is not known"
            )
        ),
    ] = None
    overridden: OverriddenThen = None
    approved_by: ApprovedBy = None
    findings: Annotated[
        list[Finding] | None,
        Meta(
            description=(
                "What each rule of the policy found then, on the facts of then; null for everything but an ask, and if "
                "the policy of that time is not known"
            )
        ),
    ] = None
    policy_version: Annotated[
        str | None, Meta(description="A hash of the policy that decided; null for everything but an ask")
    ] = None
    command_id: Annotated[
        str | None,
        Meta(description="The id of the cancel request, which log lines have, too; null for everything but an ask"),
    ] = None
    reason: Annotated[
        str | None, Meta(description="The reason that the cancel request gave; null if there was none")
    ] = None


class Ticket(Struct, kw_only=True):
    """One ticket."""

    uid: Annotated[str, Meta(description="The ticket's identifier")]
    product_uid: Annotated[str, Meta(description="The identifier of its product")]
    valid: Annotated[bool, Meta(description="Whether the ticket gives entry now")]


class Order(Struct, kw_only=True):
    """An order with its whole history, oldest first."""

    id: Annotated[str, Meta(description="The order's id, such as connect-54 or shopping- and a uid")]
    uid: Annotated[
        str | None,
        Meta(
            description="The 32 characters that name a ticket order in the shopping contract; null for a service order"
        ),
    ]
    contract: Annotated[str, Meta(description="The contract that the order was placed in")]
    reference: Annotated[str, Meta(description="The order's number for people")]
    client_id: Annotated[int, Meta(description="The id of the client that placed the order")]
    state: Annotated[str, Meta(description="The order's state: docs/states.md lists the states")]
    version: Annotated[int, Meta(description="How often the order has changed, counted from 1")]
    created_at: Annotated[datetime, Meta(description="When the order was placed, in UTC")]
    appointment_starts_at: Annotated[
        datetime | None, Meta(description="The start of the active appointment, in UTC; null for none")
    ]
    first_payment_at: Annotated[
        datetime | None, Meta(description="The time of the first payment, in UTC; null for none")
    ]
    unrefunded_payment_at: Annotated[
        datetime | None, Meta(description="The same, but null if the order was refunded or charged back in full")
    ]
    appointments: Annotated[list[Appointment], Meta(description="The visits, oldest first")]
    tickets: Annotated[list[Ticket], Meta(description="The tickets of a ticket order; empty for a service order")]
    order_token: Annotated[
        str | None,
        Meta(
            description=(
                "For the link in the mail to the buyer; everybody with this token can read the order. Null for a "
                "service order, and for a caller with neither the permission `record` nor `cancel`"
            )
        ),
    ]
    payments: Annotated[list[Payment], Meta(description="The payments, oldest first")]
    corrections: Annotated[
        list[Correction], Meta(description="The voids of payments, the refunds and the chargebacks, oldest first")
    ]
    money: Annotated[list[Balance], Meta(description="Where the money is: one entry for each currency")]
    cancellation: Annotated[
        DecisionRecord | None, Meta(description="The record of the cancellation; null if the order was not cancelled")
    ]
    refusals: Annotated[
        list[DecisionRecord],
        Meta(description="The records of refused cancellations, oldest first: the newest 500, if there are more"),
    ]
    timeline: Annotated[
        list[TimelineEntry],
        Meta(
            description=(
                "Everything that happened to the order and every ask to cancel it, in one list, oldest first. Of "
                "refused asks it has the newest 500"
            )
        ),
    ]
    timeline_is_complete: Annotated[
        bool,
        Meta(
            description=(
                "False if changes of the order are missing in the timeline, because their events were deleted after "
                "the days that they are kept; if refusals may be missing, because the order was placed earlier than "
                "they are kept (refusals_kept_d, 400 days); or if it was refused 500 times or more"
            )
        ),
    ]
    facts: Annotated[list[OrderEvent], Meta(description="Everything that happened to the order, oldest first")]


class Wrong(Struct, kw_only=True):
    """One invalid field, or one rule that refused."""

    code: Annotated[str, Meta(description="Why it was refused; stable, for programs")]
    field: Annotated[
        str | None, Meta(description="The path of the wrong field, as products[0].price; null if no field is wrong")
    ]
    message: Annotated[str, Meta(description="What is wrong, as a sentence for people")]


class Problem(Struct, kw_only=True, omit_defaults=True):
    """Problem details (RFC 9457). `code` is stable."""

    title: Annotated[str, Meta(description="The name of the HTTP status")]
    status: Annotated[int, Meta(description="The HTTP status")]
    code: Annotated[
        str,
        Meta(description="Why the request failed; stable, for programs. The description of this API lists all codes"),
    ]
    detail: Annotated[str, Meta(description="A sentence for people; it may change")]
    errors: Annotated[
        list[Wrong], Meta(description="Every wrong field, or every rule that refused; left out if there is none")
    ] = []
    next: Annotated[
        str | None, Meta(description="With 410: the value of after to go on at; left out with every other status")
    ] = None
