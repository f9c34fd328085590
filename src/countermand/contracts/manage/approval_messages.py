"""What do approvals look like in the operator's API? A row fits a line of a spreadsheet."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from countermand.contracts.manage.actor_texts import Claimed, Person
from countermand.domain.money import written_minor

ApprovedBy = Annotated[
    str | None,
    Meta(description="The id of the second person, who confirmed the cancellation; null if one person sufficed"),
]
_OrderIdText = Annotated[str, Meta(description="The order's id, such as connect-54 or shopping- and a uid")]
_Until = Annotated[datetime, Meta(description="The first instant at which it can no longer be confirmed, in UTC")]
_Version = Annotated[int, Meta(description="The order's version that it is for")]
_Codes = Annotated[
    list[str],
    Meta(description="The codes of the rules that the confirmation overrides. In CSV, spaces stand between them"),
]


class Due(Struct, kw_only=True):
    """An amount that becomes due."""

    amount_minor: Annotated[int, Meta(description="The amount in hundredths of the currency's unit: 1250 is 12.50")]
    currency: Annotated[str, Meta(description="ISO 4217")]

    def __str__(self) -> str:
        return f"{written_minor(self.amount_minor)} {self.currency}"


_Due = Annotated[
    list[Due],
    Meta(description="What must be refunded after the confirmation, by currency. In CSV, amount and currency in turns"),
]


class ApprovalAsked(Struct, kw_only=True):
    """A cancellation that another person has to confirm. Nothing was cancelled."""

    approval: Annotated[str, Meta(description="The id of the approval, for the calls that confirm and withdraw it")]
    order_id: _OrderIdText
    order_version: _Version
    override: _Codes
    due: _Due
    until: _Until


class Approval(Struct, kw_only=True):
    """An approval, with what became of it."""

    id: Annotated[str, Meta(description="The id of the approval")]
    state: Annotated[
        str,
        Meta(
            description=(
                "open, confirmed, expired (nobody confirmed it in time), ended (the order, the rules that refuse or "
                "the amount had changed when a person confirmed it) or withdrawn (by the person who asked)"
            )
        ),
    ]
    order_id: _OrderIdText
    contract: Annotated[str, Meta(description="The contract of the order")]
    order_version: _Version
    override: _Codes
    due: _Due
    reason: Annotated[str | None, Meta(description="The reason that the request gave; null for none")]
    asked_at: Annotated[datetime, Meta(description="When it was asked for, in UTC")]
    until: _Until
    client_id: Annotated[int, Meta(description="The id of the client that asked; 0 for the command line")]
    staff_id: Person
    acting_as: Claimed
    ended_at: Annotated[
        datetime | None, Meta(description="When it was confirmed, withdrawn or ended, in UTC; null if it was not")
    ]
    ended_by: Annotated[
        str | None, Meta(description="The id of the person who confirmed it, withdrew it, or found it changed")
    ]
    differed: Annotated[
        list[str],
        Meta(description="What had changed when a person confirmed it: version, codes, amount. Empty for nothing"),
    ]


class Approvals(Struct, kw_only=True):
    """A page of approvals, newest first."""

    approvals: Annotated[list[Approval], Meta(description="Up to 100 approvals")]
    next: Annotated[
        str | None,
        Meta(
            description="The parameter `after` of the next page; null at the end. A page may be short though more "
            "pages follow"
        ),
    ]
