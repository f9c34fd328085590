from decimal import Decimal

import pytest
from iso4217 import Currency

from countermand.domain.money import Money

# Metals, units of account and the like: the list gives them no minor unit.
NO_MINOR_UNIT = {"XAG", "XAU", "XBA", "XBB", "XBC", "XBD", "XDR", "XPD", "XPT", "XSU", "XTS", "XUA", "XXX"}


def test_the_published_list_gives_every_currency_a_minor_unit_but_for_what_is_no_money():
    assert {one.code for one in Currency if one.exponent is None} == NO_MINOR_UNIT


@pytest.mark.parametrize("currency", sorted({one.code for one in Currency} - NO_MINOR_UNIT))
def test_amounts_have_two_decimals_in_just_the_currencies_of_which_the_published_list_says_so(currency: str):
    if Currency(currency).exponent == 2:
        assert Money.of(Decimal("1.25"), currency) == Money(minor=125, currency=currency)
    else:
        with pytest.raises(ValueError, match="two decimals"):
            Money.of(1, currency)
