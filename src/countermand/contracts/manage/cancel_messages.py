"""What do the bodies of a cancellation and of its undoing look like, and how is an override shown?"""

from typing import Annotated

from msgspec import Meta, Struct

from countermand.domain.cancelling.rules import CODE_PATTERN

Overridden = Annotated[
    list[str],
    Meta(
        description=(
            "The codes of the rules that refused and were overridden; empty if there was no override. In CSV, spaces "
            "stand between them"
        )
    ),
]
OverriddenThen = Annotated[
    list[str] | None,
    Meta(
        description=(
            "The codes of the rules that refused and were overridden, so that the ask cancelled the order; empty if "
            "there was no override, null for everything else"
        )
    ),
]


class CancelGiven(Struct, kw_only=True):
    """The operator's reason for the cancellation."""

    reason: Annotated[
        str,
        Meta(
            description="Why the order is cancelled, for the record: at least one visible character",
            min_length=1,
            max_length=2000,
        ),
    ]
    override: Annotated[
        list[Annotated[str, Meta(extra_json_schema={"pattern": f"^{CODE_PATTERN}$"})]],  # the action checks it
        Meta(
            description=(
                "The codes of the rules to override: exactly those that refuse, as `cancellability` names them. This "
                "needs the permission `override`, too. Empty: the policy decides"
            ),
            max_length=20,
            examples=[["payment_recorded"]],
        ),
    ] = []


class RestoreGiven(Struct, kw_only=True):
    """Why the cancellation is undone."""

    reason: Annotated[
        str,
        Meta(
            description="Why the cancellation is undone, for the record: at least one visible character",
            min_length=1,
            max_length=2000,
        ),
    ]
