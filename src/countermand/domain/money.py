"""How much, in which currency? Whole minor units inside; two decimals outside."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

# ISO 4217 currencies whose minor unit is not a hundredth. The shopping contract always prints two decimals (published
# amount page), so it cannot express an amount in these currencies, and such an amount is refused on entry.
# A test compares this table with the published list of currencies.
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
_DECIMALS: Final = 2
LARGEST_MINOR: Final = 10**15  # ten million million; it protects the 64-bit columns and is no business rule


@dataclass(frozen=True, kw_only=True, slots=True)
class Money:
    """An amount in whole minor units (cents) of a currency with two decimals.

    `of` checks the currency of each amount that comes in. A newer version may have stored an amount in another
    currency; then `is_known` is false, and nothing is sold for that amount.
    """

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if not 0 <= self.minor <= LARGEST_MINOR:
            raise ValueError(f"an amount lies between 0 and {LARGEST_MINOR // 100}, not {self.minor / 100:.2f}")

    @classmethod
    def of(cls, amount: Decimal | int, currency: str) -> "Money":
        """Read an amount in major units. Raises `ValueError` for more than two decimals: nothing is rounded."""
        _check_currency(currency)
        given = Decimal(amount)
        if not given.is_finite() or given.adjusted() > len(str(LARGEST_MINOR)):
            raise ValueError(f"an amount lies between 0 and {LARGEST_MINOR // 100}, not {given:.4g}")
        # Count the digits, because decimal arithmetic rounds to 28 of them.
        negative, digits, exponent = given.as_tuple()
        assert isinstance(exponent, int), "it is finite"
        significant = "".join(map(str, digits)).rstrip("0")
        exponent += len(digits) - len(significant)
        if significant and -exponent > _DECIMALS:
            raise ValueError(f"an amount has at most two decimals, not {-exponent}")
        minor = int(significant) * 10 ** (exponent + _DECIMALS) if significant else 0
        return cls(minor=-minor if negative else minor, currency=currency)

    @property
    def is_known(self) -> bool:
        """Whether this version can write amounts in the currency."""
        return _has_two_decimals(self.currency)

    def __str__(self) -> str:
        return written_minor(self.minor)


def written_minor(minor: int) -> str:
    """Write whole minor units as major units with two decimals: 250 becomes `2.50`, and -5 becomes `-0.05`."""
    return f"{'-' if minor < 0 else ''}{abs(minor) // 100}.{abs(minor) % 100:02d}"


def _has_two_decimals(currency: str) -> bool:
    return currency not in _OTHER_THAN_TWO_DECIMALS


def _check_currency(currency: str) -> None:
    if not re.fullmatch("[A-Z]{3}", currency):
        raise ValueError(f"a currency is three capital letters, not {currency!r}")
    if not _has_two_decimals(currency):
        raise ValueError(f"amounts here have two decimals, which {currency} has not")
