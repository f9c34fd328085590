"""Text that people type: tidied first, checked then, documented as it is taken, and refused in words."""

import re
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from countermand.actions.errors import FieldsError
from countermand.contracts.connect import create_messages as connect
from countermand.contracts.http.body import read
from countermand.contracts.http.typed_text import tidy_phone
from countermand.contracts.manage import catalogue_messages
from countermand.contracts.manage import messages as manage
from countermand.contracts.shopping import messages as shopping
from countermand.contracts.shopping.orders import messages as orders

MESSAGES = [
    found
    for module in (connect, shopping, orders, manage, catalogue_messages)
    for found in vars(module).values()
    if isinstance(found, type) and issubclass(found, msgspec.Struct)
]


def patterns(message: Any) -> dict[str, str]:
    return {
        field.encode_name: plain.pattern
        for field in msgspec.structs.fields(message)
        if isinstance(plain := _plain(inspect.type_info(field.type)), inspect.StrType) and plain.pattern
    }


def _plain(known: inspect.Type) -> inspect.Type:
    if isinstance(known, inspect.Metadata):
        return _plain(known.type)
    if isinstance(known, inspect.UnionType):
        return next((one for one in map(_plain, known.types) if isinstance(one, inspect.StrType)), known)
    return known


def test_no_error_shows_a_pattern_to_a_person():
    checked = 0
    for message in MESSAGES:
        for name, pattern in patterns(message).items():
            checked += 1
            with pytest.raises(FieldsError) as raised:
                read(message, {name: "\n"})
            (said,) = (sentence for field, sentence in raised.value.errors if field == name)
            assert pattern not in said
            assert "like ^" not in said
    assert checked > 15


@pytest.mark.parametrize(
    "typed", ["(02) 9876 5432", "+61-(0)2-9876-5432", "0412345678", "+61(2)98765432", "0061412345678"]
)
def test_the_documented_pattern_takes_a_number_as_it_is_typed_and_as_it_is_kept(typed: str):
    documented = patterns(connect.CreateRequest)["contactPhone"]
    assert re.search(documented, typed)
    assert re.search(documented, tidy_phone(typed))
    assert tidy_phone(tidy_phone(typed)) == tidy_phone(typed)


def test_a_country_and_a_language_are_taken_in_any_case_and_with_blanks_around_wherever_they_stand():
    consumer = {"country": " nl", "language": "NL\u00a0", "email": "\tjo@example.com "}
    line = {"product": "p", "quantity": 1, "consumers": [consumer]}
    asked = {"products": [line], "consumer": consumer, "shipping_method": {"uid": "x", "country": "be "}}
    made = read(orders.CreateRequest, asked)
    assert made.products is not None
    assert made.products[0].consumers is not None
    for one in (made.consumer, made.products[0].consumers[0]):
        assert isinstance(one, shopping.Consumer)
        assert (one.country, one.language, one.email) == ("NL", "nl", "jo@example.com")
    assert isinstance(made.shipping_method, orders.ShippingGiven)
    assert made.shipping_method.country == "BE"
    assert asked["consumer"] == {"country": " nl", "language": "NL\u00a0", "email": "\tjo@example.com "}


@pytest.mark.parametrize(
    "email", ["jo", "jo@", "@example.com", "jo doe@example.com", "jo@example.com,jan@example.com", ""]
)
def test_what_is_no_e_mail_address_is_refused_in_words_wherever_one_is_given(email: str):
    given = [
        (message, field)
        for message in MESSAGES
        for field in msgspec.structs.fields(message)
        if "mail" in field.encode_name.lower() and field.encode_name in patterns(message)
    ]
    assert {message for message, _ in given} == {shopping.Consumer, orders.OrderConsumer, connect.CreateRequest}
    for message, field in given:
        with pytest.raises(FieldsError) as raised:
            read(message, {field.encode_name: email})
        said = [sentence for name, sentence in raised.value.errors if name == field.encode_name]
        assert said == [f'{field.encode_name} must be an e-mail address, like jo@example.com, not "{email}"']


@pytest.mark.parametrize("country", ["NLD", "N", "N L", "NL\n", "", 5])
def test_what_is_no_country_is_refused(country: Any):
    with pytest.raises(FieldsError, match="country must be a country's two letters"):
        read(shopping.Consumer, {"country": country})
