"""Reads and writes amounts of money in JSON: two decimals, and an ISO 4217 currency."""

from typing import Annotated

from msgspec import Meta, Raw, Struct

from countermand.contracts.http.body import Number
from countermand.domain.money import Money

Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)", examples=["EUR"])]


class AmountGiven(Struct, kw_only=True):
    """An amount in a request."""

    amount: Annotated[
        Number,
        Meta(
            description="The amount in the currency's unit, with at most two decimals, as 12.50",
            extra_json_schema={"type": "number", "minimum": 0, "multipleOf": 0.01},
        ),
    ]
    currency: Annotated[Currency, Meta(description="ISO 4217")]


WrittenAmount = Annotated[Raw, Meta(description="Always with two decimals", extra_json_schema={"type": "number"})]


class Amount(Struct, kw_only=True):
    """Money: a JSON number with two decimals, as 1.00, and an ISO 4217 currency."""

    amount: WrittenAmount
    currency: Annotated[str, Meta(description="ISO 4217")]


def amount(money: Money) -> Amount:
    """Return money for an answer: a number with two decimals, and its currency."""
    return Amount(amount=Raw(str(money).encode()), currency=money.currency)
