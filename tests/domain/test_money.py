from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countermand.domain.money import Money, written_minor

LARGEST_MINOR = 10**15


@pytest.mark.parametrize(
    ("amount", "minor", "said"),
    [
        (Decimal(0), 0, "0.00"),
        (Decimal("-0.00"), 0, "0.00"),
        (Decimal("0.01"), 1, "0.01"),
        (Decimal("13.5"), 1350, "13.50"),
        (Decimal("13.500"), 1350, "13.50"),
        (Decimal("1E+2"), 10000, "100.00"),
        (16, 1600, "16.00"),
        (Decimal(LARGEST_MINOR) / 100, LARGEST_MINOR, "10000000000000.00"),
    ],
)
def test_an_amount_is_whole_cents_inside_and_two_decimals_outside(amount, minor, said):
    money = Money.of(amount, "EUR")

    assert money == Money(minor=minor, currency="EUR")
    assert str(money) == said


@pytest.mark.parametrize(
    "amount",
    [
        "0.001",
        "0.005",
        "13.501",
        "1.00000000000000000000000000000001",  # beyond the 28 digits that decimals calculate with
        "-0.01",
        "-1",
        "10000000000000.01",
        "1E+400",
        "1E+999999",
        "-1E+999999",
        "1E-999999",
        "NaN",
        "sNaN",
        "Infinity",
        "-Infinity",
    ],
)
def test_an_amount_that_cannot_be_is_refused_and_never_rounded(amount):
    with pytest.raises(ValueError, match="amount"):
        Money.of(Decimal(amount), "EUR")


@pytest.mark.parametrize("minor", [-1, LARGEST_MINOR + 1])
def test_whole_cents_out_of_range_are_refused(minor):
    with pytest.raises(ValueError, match="an amount lies between 0 and"):
        Money(minor=minor, currency="EUR")


@pytest.mark.parametrize("currency", ["JPY", "KWD", "CLF"])
def test_a_currency_without_two_decimals_is_refused_by_name(currency):
    with pytest.raises(ValueError, match=f"two decimals, which {currency} has not"):
        Money.of(Decimal(1), currency)


@pytest.mark.parametrize("currency", ["", "EU", "EURO", "eur", "EUr", "ÄÖÜ", "EU1", "E 1", "E  "])
def test_a_currency_is_three_capital_letters(currency):
    with pytest.raises(ValueError, match="three capital letters"):
        Money.of(Decimal(1), currency)


@settings(deadline=None)
@given(st.integers(0, LARGEST_MINOR))
def test_what_is_said_reads_back_as_the_same_amount(minor):
    money = Money(minor=minor, currency="EUR")

    assert Money.of(Decimal(str(money)), "EUR") == money


@pytest.mark.parametrize(
    ("minor", "said"), [(250, "2.50"), (5, "0.05"), (0, "0.00"), (-5, "-0.05"), (-1950, "-19.50"), (-2000, "-20.00")]
)
def test_what_is_missing_is_written_with_a_minus_before_it(minor, said):
    assert written_minor(minor) == said
