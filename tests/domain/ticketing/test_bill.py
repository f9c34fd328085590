from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermand.domain.money import Money
from countermand.domain.ticketing.bill import CurrenciesDifferError, bill_of, line_price, missing_fields
from countermand.domain.ticketing.catalogue import EventUid, Method, Product, Voucher

EVENT = EventUid("e" * 32)
OTHER_EVENT = EventUid("f" * 32)


def euros(minor: int) -> Money:
    return Money(minor=minor, currency="EUR")


def product(price_minor: int = 1000, *, costs_minor: int = 0, **more: Any) -> Product:
    return Product(
        uid=more.pop("uid", "p"),
        name={"en": "Ticket"},
        price=more.pop("price", euros(price_minor)),
        service_costs=euros(costs_minor),
        availability=10,
        total_availability=10,
        event_uid=more.pop("event_uid", EVENT),
        **more,
    )


def method(costs: Money, kind: str = "payment", **more: Any) -> Method:
    return Method(uid=kind, kind=kind, name={"en": kind}, image=None, costs=costs, **more)


def voucher(percent: int, **more: Any) -> Voucher:
    return Voucher(code=f"{percent}", event_uid=EVENT, discount_percent=percent, **more)


def bill(*lines: tuple[Product, int, bool], **more: Any) -> Any:
    return bill_of(lines, **{"vouchers": [], "methods": [], "donation": None, "currency": None} | more)


def test_the_total_is_products_service_costs_donation_and_methods():
    made = bill(
        (product(1250, costs_minor=75), 2, False),
        (product(500, costs_minor=20), 1, False),
        methods=[method(euros(100)), method(euros(395), "shipping")],
        donation=euros(250),
    )
    assert (made.product_total_minor, made.service_costs_minor, made.donation_minor) == (3000, 170, 250)
    assert made.grand_total_minor == 3000 + 170 + 250 + 100 + 395
    assert made.currency == "EUR"


def test_nobody_is_charged_for_the_paying_of_nothing_but_a_cent_is_something():
    free = (product(0), 3, False)
    costly = [method(euros(100))]
    assert bill(free, methods=costly).grand_total_minor == 0
    assert bill(free, methods=costly, donation=euros(1)).grand_total_minor == 101
    assert bill((product(1), 1, False), methods=costly).grand_total_minor == 101


def test_the_parts_of_a_combo_product_cost_nothing_and_keep_their_price_to_show():
    part = line_price(product(700, costs_minor=50), [voucher(10)], is_part=True)
    assert (part.price_minor, part.paid_minor, part.service_costs_minor) == (700, 0, 0)


@pytest.mark.parametrize(
    ("price_minor", "percent", "paid_minor"),
    [
        (1000, 10, 900),
        (5, 10, 4),
        (4, 10, 4),
        (15, 10, 13),
        (14, 10, 13),
        (1, 50, 0),
        (1, 49, 1),
        (999, 100, 0),
        (0, 100, 0),
    ],
)
def test_a_discount_is_rounded_half_up_to_the_cent(price_minor: int, percent: int, paid_minor: int):
    assert line_price(product(price_minor), [voucher(percent)], is_part=False).paid_minor == paid_minor


def test_a_discount_is_taken_off_each_price_and_not_off_their_sum_nor_off_service_costs():
    made = bill((product(5, costs_minor=3), 3, False), vouchers=[voucher(10)])
    assert (made.product_total_minor, made.service_costs_minor) == (12, 9)  # 3 x 4, where 15 less a tenth is 13


def test_of_several_vouchers_the_best_counts_and_those_for_others_do_not():
    others = [voucher(90, product_uids=("another",)), Voucher(code="x", event_uid=OTHER_EVENT, discount_percent=80)]
    assert line_price(product(), others, is_part=False).paid_minor == 1000
    assert line_price(product(), [voucher(10), *others, voucher(30), voucher(20)], is_part=False).paid_minor == 700
    assert line_price(product(), [voucher(10, product_uids=("p",))], is_part=False).paid_minor == 900


@pytest.mark.parametrize(
    "more",
    [
        {"currency": "USD"},
        {"donation": Money(minor=0, currency="USD")},
        {"methods": [method(Money(minor=1, currency="USD"))]},
    ],
    ids=["asked for", "donation", "method"],
)
def test_one_order_is_in_one_currency(more: dict[str, Any]):
    with pytest.raises(CurrenciesDifferError) as raised:
        bill((product(), 1, False), **more)
    assert raised.value.currencies == {"EUR", "USD"}
    assert "products: EUR; " in str(raised.value)
    assert ": USD)" in str(raised.value)


def test_a_method_that_costs_nothing_is_in_any_currency():
    assert bill((product(), 1, False), methods=[method(Money(minor=0, currency="USD"))]).currency == "EUR"


def test_fields_that_a_method_needs_are_named_once_and_blank_is_missing():
    both = [
        method(euros(0), required_consumer_fields=("email", "phone")),
        method(euros(0), "shipping", required_consumer_fields=("street", "email")),
    ]
    assert missing_fields({"email": "jo@example.com", "phone": "  "}, both) == ("phone", "street")
    assert missing_fields({"email": "a", "phone": "1", "street": "s"}, both) == ()
    assert missing_fields({}, []) == ()


cents = st.integers(0, 10_000_00)


@given(
    lines=st.lists(st.tuples(cents, cents, st.integers(1, 20), st.booleans()), min_size=1, max_size=8),
    percents=st.lists(st.integers(1, 100), max_size=3),
    donation=st.none() | cents,
    costs=st.lists(cents, max_size=2),
)
def test_whatever_is_bought_the_bill_adds_up_and_a_voucher_never_makes_it_dearer(
    lines: list[tuple[int, int, int, bool]], percents: list[int], donation: int | None, costs: list[int]
):
    wanted = [(product(price, costs_minor=service), count, is_part) for price, service, count, is_part in lines]
    given_: dict[str, Any] = {
        "methods": [method(euros(one)) for one in costs],
        "donation": None if donation is None else euros(donation),
    }
    made = bill(*wanted, vouchers=[voucher(one) for one in percents], **given_)
    counts = [count for _, count, _ in wanted]
    each = list(zip(made.lines, counts, strict=True))
    assert made.product_total_minor == sum(line.paid_minor * count for line, count in each)
    assert made.service_costs_minor == sum(line.service_costs_minor * count for line, count in each)
    before_methods = made.product_total_minor + made.service_costs_minor + (donation or 0)
    assert made.grand_total_minor == (before_methods + sum(costs) if before_methods else 0)
    assert all(0 <= line.paid_minor <= line.price_minor for line in made.lines)
    assert made.grand_total_minor <= bill(*wanted, **given_).grand_total_minor
