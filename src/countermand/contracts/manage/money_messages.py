"""What do the bodies look like that are about voids, refunds, chargebacks and the money of an order?"""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from countermand.contracts.http.body import Number
from countermand.contracts.manage.actor_texts import Address, Claimed, Person

Reason = Annotated[
    str,
    Meta(description="Why, for the record: at least one visible character", min_length=1, max_length=2000),
]
PositiveAmount = Annotated[
    Number,
    Meta(
        description="The amount in the currency's unit, with at most two decimals, as 12.50",
        extra_json_schema={"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.01},
    ),
]
Currency = Annotated[
    str,
    Meta(
        description="ISO 4217. Money in another currency than the order's total is recorded, and pays nothing of it",
        pattern=r"^[A-Z]{3}$(?!\n)",
        examples=["EUR"],
    ),
]
CorrectionId = Annotated[str, Meta(description="The id of the void, refund or chargeback: the order's id and a number")]
_StateText = Annotated[
    str | None,
    Meta(
        description=(
            "The state of a refund: due (it must be made), done, failed (it was made and came back, so it must be made "
            "again) or withdrawn; null for a void and a chargeback. Two states count in no sum: paid_off (it was due "
            "or had failed, and a refund with a row of its own was made) and returned (it was made and came back, and "
            "a row of its own has failed)"
        )
    ),
]
SettledAt = Annotated[
    datetime | None, Meta(description="When this service recorded that it was made, in UTC; null if it was not")
]
RecordedAt = Annotated[datetime, Meta(description="When this service recorded it, in UTC")]
RecorderId = Annotated[int, Meta(description="The id of the client that recorded it; 0 for the command line")]


class VoidGiven(Struct, kw_only=True):
    """Why the payment never happened."""

    reason: Reason


class AssignGiven(Struct, kw_only=True):
    """The order that late money was meant for."""

    order: Annotated[str, Meta(description="The id of the other order, such as connect-54", min_length=1)]
    reason: Reason


class FailedGiven(Struct, kw_only=True):
    """Why a refund that was made came back."""

    reason: Reason


class _MoneyGone(Struct, kw_only=True):
    reference: Annotated[
        str,
        Meta(
            description=(
                "The provider's own name of it: visible characters and spaces. A repeat with the same amount changes "
                "nothing"
            ),
            min_length=1,
            max_length=255,
        ),
    ]
    amount: PositiveAmount
    currency: Currency
    reason: Reason


class RefundGiven(_MoneyGone, kw_only=True):
    """A refund that was made."""


class ChargebackGiven(_MoneyGone, kw_only=True):
    """Money that the payer's bank has taken back."""


class Balance(Struct, kw_only=True):
    """Where the money is, in hundredths of the currency's unit. `recorded_minor` is the sum of the others."""

    currency: Annotated[str, Meta(description="ISO 4217")]
    recorded_minor: Annotated[int, Meta(description="All payments that were recorded")]
    kept_minor: Annotated[
        int, Meta(description="What is kept for the order; negative if a chargeback took what was refunded, too")
    ]
    due_minor: Annotated[int, Meta(description="What must be refunded")]
    refunded_minor: Annotated[int, Meta(description="What was refunded")]
    charged_back_minor: Annotated[int, Meta(description="What was charged back")]
    late_minor: Annotated[int, Meta(description="What came after the order had ended and is still here")]
    voided_minor: Annotated[int, Meta(description="What never happened: the payments that were voided")]


class Correction(Struct, kw_only=True):
    """A void of a payment, a refund or a chargeback."""

    id: CorrectionId
    kind: Annotated[str, Meta(description="void, refund or chargeback")]
    reference: Annotated[
        str | None,
        Meta(
            description=(
                "The provider's own name of it. For a refund that failed, that of the refund that came back. Null for "
                "a void, and for a refund that was due"
            )
        ),
    ]
    payment_reference: Annotated[
        str | None, Meta(description="The reference of the payment that was voided; null for others")
    ]
    amount_minor: Annotated[int, Meta(description="The amount in hundredths of the currency's unit: 1250 is 12.50")]
    currency: Annotated[str, Meta(description="ISO 4217")]
    state: _StateText
    reason: Annotated[str, Meta(description="Why")]
    recorded_at: RecordedAt
    settled_at: SettledAt
    client_id: RecorderId
    staff_id: Person
    acting_as: Claimed
    address: Address
