"""What do the lists of the operator's API look like? A row fits a line of a spreadsheet."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from countermand.contracts.http.money import WrittenAmount
from countermand.contracts.manage import money_messages as money
from countermand.contracts.manage.actor_texts import Claimed, Person
from countermand.contracts.manage.approval_messages import ApprovedBy
from countermand.contracts.manage.cancel_messages import Overridden

_NEXT = "The parameter `after` of the next page; null at the end. A page may be short though more pages follow"
OrderIdText = Annotated[str, Meta(description="The order's id, such as connect-54 or shopping- and a uid")]
ContractText = Annotated[str, Meta(description="The contract of the order")]
Next = Annotated[str | None, Meta(description=_NEXT)]


class ListedCancellation(Struct, kw_only=True):
    """A cancellation of the list."""

    order_id: OrderIdText
    contract: ContractText
    decided_at: Annotated[datetime, Meta(description="When the order was cancelled, in UTC")]
    client_id: Annotated[int, Meta(description="The id of the client that cancelled")]
    client_name: Annotated[str | None, Meta(description="The name of that client; null if there is no such client")]
    staff_id: Person
    acting_as: Claimed
    channel: Annotated[str, Meta(description="The channel that the request came over: a contract, or manage")]
    state: Annotated[str, Meta(description="The order's state before the cancellation")]
    appointment_starts_at: Annotated[
        datetime | None, Meta(description="The start of the appointment that it cancelled, in UTC; null for none")
    ]
    overridden: Overridden
    approved_by: ApprovedBy
    reason: Annotated[str | None, Meta(description="The reason that the request gave; null for none")]
    policy_version: Annotated[str, Meta(description="A hash of the policy that decided")]
    command_id: Annotated[str, Meta(description="The id of the cancel request, which log lines have, too")]


class Cancellations(Struct, kw_only=True):
    """A page of cancellations, sorted by the order's number."""

    cancellations: Annotated[list[ListedCancellation], Meta(description="Up to 100 cancellations")]
    next: Next


class ListedRefusal(Struct, kw_only=True):
    """A refused cancellation of the list."""

    order_id: OrderIdText
    contract: ContractText
    decided_at: Annotated[datetime, Meta(description="When it was refused, in UTC")]
    codes: Annotated[
        list[str] | None,
        Meta(
            description="The codes of the rules that refused; null if the policy of that time is not known. In CSV, "
            "spaces stand between them"
        ),
    ]
    client_id: Annotated[int, Meta(description="The id of the client that asked")]
    client_name: Annotated[str | None, Meta(description="The name of that client; null if there is no such client")]
    staff_id: Person
    acting_as: Claimed
    channel: Annotated[str, Meta(description="The channel that the request came over: a contract, or manage")]
    state: Annotated[str, Meta(description="The order's state when it was refused")]
    appointment_starts_at: Annotated[
        datetime | None, Meta(description="The start of the active appointment then, in UTC; null for none")
    ]
    first_payment_at: Annotated[
        datetime | None, Meta(description="The time of the first payment before it, in UTC; null for none")
    ]
    reason: Annotated[str | None, Meta(description="The reason that the request gave; null for none")]
    policy_version: Annotated[str, Meta(description="A hash of the policy that decided")]
    command_id: Annotated[str, Meta(description="The id of the cancel request, which log lines have, too")]


class Refusals(Struct, kw_only=True):
    """A page of refused cancellations, newest first."""

    refusals: Annotated[list[ListedRefusal], Meta(description="Up to 100 refusals")]
    next: Next


class Reason(Struct, kw_only=True):
    """How often a rule refused."""

    code: Annotated[
        str | None, Meta(description="The code of the rule; null counts refusals whose codes are not filled in yet")
    ]
    count: Annotated[int, Meta(description="How many refusals have this code; a refusal may have several codes")]


class Reasons(Struct, kw_only=True):
    """How often each rule refused, the most frequent first."""

    reasons: Annotated[list[Reason], Meta(description="One entry for each code, the most frequent code first")]
    refusals: Annotated[int, Meta(description="How many refusals are counted: each counts once here")]
    counted_from: Annotated[
        datetime,
        Meta(
            description=(
                "The instant from which on refusals are counted, in UTC: `from` or, without it, seven days before "
                "`until` or now. It is later if there are more than 20,000: then the newest are counted"
            )
        ),
    ]


class LatePayment(Struct, kw_only=True):
    """Money that came after its order had ended, which must be paid back or assigned to another order."""

    order_id: OrderIdText
    contract: ContractText
    order_reference: Annotated[str, Meta(description="The order's number for people")]
    order_state: Annotated[str, Meta(description="The order's state now")]
    client_id: Annotated[int, Meta(description="The id of the client that placed the order")]
    reference: Annotated[str, Meta(description="The payment provider's own name of the payment")]
    amount_minor: Annotated[int, Meta(description="The amount in hundredths of the currency's unit: 1250 is 12.50")]
    currency: Annotated[str, Meta(description="ISO 4217")]
    recorded_at: Annotated[datetime, Meta(description="When this service recorded the payment, in UTC")]
    left_minor: Annotated[
        int,
        Meta(
            description=(
                "What of the order's late money in this currency is still here, and was neither refunded nor charged "
                "back: of all late payments of the order together"
            )
        ),
    ]


class LatePayments(Struct, kw_only=True):
    """A page of late money, newest first."""

    late_payments: Annotated[list[LatePayment], Meta(description="Up to 100 payments that came too late")]
    next: Next


class ListedRefund(Struct, kw_only=True):
    """A refund of the list."""

    id: money.CorrectionId
    order: OrderIdText
    contract: ContractText
    order_reference: Annotated[str, Meta(description="The order's number for people")]
    amount: Annotated[WrittenAmount, Meta(description="The amount in the currency's unit, with two decimals")]
    currency: Annotated[str, Meta(description="ISO 4217")]
    state: Annotated[str, Meta(description="due (it must be made), done, failed (it must be made again) or withdrawn")]
    reference: Annotated[
        str | None,
        Meta(
            description=(
                "The provider's own name of the refund that was made or, if it failed, that came back; null if it was "
                "not made yet"
            )
        ),
    ]
    reason: Annotated[str, Meta(description="Why")]
    recorded_at: money.RecordedAt
    settled_at: money.SettledAt
    client_id: money.RecorderId
    staff_id: Person
    acting_as: Claimed


class Refunds(Struct, kw_only=True):
    """A page of refunds, newest first."""

    refunds: Annotated[list[ListedRefund], Meta(description="Up to 100 refunds")]
    next: Next


class PartPayment(Struct, kw_only=True):
    """An order that waits for the rest of its total."""

    order_id: OrderIdText
    contract: ContractText
    order_reference: Annotated[str, Meta(description="The order's number for people")]
    client_id: Annotated[int, Meta(description="The id of the client that placed the order")]
    created_at: Annotated[datetime, Meta(description="When the order was placed, in UTC")]
    first_payment_at: Annotated[datetime | None, Meta(description="When the first part was paid, in UTC")]
    currency: Annotated[str | None, Meta(description="ISO 4217, of the total; null if this node cannot read the total")]
    total_minor: Annotated[
        int | None, Meta(description="The order's total in hundredths of the currency's unit; null as the currency is")
    ]
    paid_minor: Annotated[
        int | None,
        Meta(description="What is paid of it; payments in another currency do not count. Null as the currency is"),
    ]
    left_minor: Annotated[int | None, Meta(description="What is left to pay; null as the currency is")]


class PartPayments(Struct, kw_only=True):
    """A page of orders that are paid in part, sorted by the order's number."""

    part_payments: Annotated[list[PartPayment], Meta(description="Up to 100 orders that are paid in part")]
    next: Next
