"""How much, in which currency? Whole minor units inside; two decimals outside."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

# ISO 4217 currencies whose minor unit is not a hundredth. The shopping contract prints two decimals always
# (published amount page), so an amount in one of these cannot be said in it and is refused where it enters.
_OTHER_THAN_TWO_DECIMALS: Final = frozenset(
    [
        "BHD",
        "IQD",
        "JOD",
        "KWD",
        "LYD",
        "OMR",
        "TND",
        "CLF",
        "UYW",
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ]
)
_LARGEST_MINOR: Final = 10**15  # a thousand times a thousand million; guards the 64-bit columns, not a business rule


@dataclass(frozen=True, kw_only=True, slots=True)
class Money:
    """An amount in whole minor units (cents) of a currency with two decimals."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if len(self.currency) != 3 or not (self.currency.isascii() and self.currency.isupper()):  # noqa: PLR2004 - ISO 4217
            raise ValueError(f"a currency is three capital letters, not {self.currency!r}")
        if self.currency in _OTHER_THAN_TWO_DECIMALS:
            raise ValueError(f"amounts here have two decimals, which {self.currency} has not")
        if not 0 <= self.minor <= _LARGEST_MINOR:
            raise ValueError(f"an amount lies between 0 and {_LARGEST_MINOR // 100}, not {self.minor / 100:.2f}")

    @classmethod
    def of(cls, amount: Decimal | int, currency: str) -> "Money":
        """Read an amount in major units. Refuses (ValueError) what has more than two decimals: nothing is rounded."""
        try:
            minor = Decimal(amount).scaleb(2)
            whole = minor.to_integral_value()
        except InvalidOperation:
            raise ValueError(f"{amount!r} is not an amount") from None
        if minor != whole:
            raise ValueError(f"an amount has at most two decimals, not {amount}")
        if abs(whole) > _LARGEST_MINOR:
            raise ValueError(f"an amount lies between 0 and {_LARGEST_MINOR // 100}, not {amount}")
        return cls(minor=int(whole), currency=currency)

    def __str__(self) -> str:
        return f"{self.minor // 100}.{self.minor % 100:02d}"
