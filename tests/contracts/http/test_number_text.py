"""Numbers, truths and amounts as text: which texts are read, as what, and that the document says the same."""

import re
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Struct

from countermand.actions.errors import FieldsError
from countermand.contracts.http import money
from countermand.contracts.http.body import Number, decode, read, shown
from countermand.contracts.http.number_text import amount_text, decimal_number, truth, whole_number
from countermand.contracts.http.openapi import schema_of_own_type


class Pair(Struct, kw_only=True):
    amount: Annotated[Number, decimal_number()]
    currency: str


class Given(Struct, kw_only=True):
    whole: Annotated[int, whole_number()] | None = None
    yes: Annotated[bool, truth()] | None = None
    number: Annotated[Number, decimal_number()] | None = None
    amount: Annotated[Pair, amount_text()] | None = None
    each: list[Annotated[int, whole_number()]] = []
    text: str | None = None


# What the HAL library of the contract's owner reads, and what it writes.
READ: list[tuple[str, Any, Any]] = [
    ("whole", "1", 1),
    ("whole", "-3", -3),
    ("whole", "+3", 3),
    ("whole", " 007\n", 7),
    ("whole", "9" * 18, 10**18 - 1),
    ("whole", 5, 5),
    ("yes", "true", True),
    ("yes", "TRUE", True),
    ("yes", "False", False),
    ("yes", "1", True),
    ("yes", "0", False),
    ("yes", 1, True),
    ("yes", 0, False),
    ("yes", False, False),
    ("number", "2.50", Decimal("2.50")),
    ("number", " .5 ", Decimal("0.5")),
    ("number", "5.", Decimal(5)),
    ("number", "1E+2", Decimal(100)),
    ("number", "-1", Decimal(-1)),
    ("number", 7, Decimal(7)),
    ("amount", "EUR2.50", Pair(amount=Number("2.50"), currency="EUR")),
    ("amount", "EUR 2.50", Pair(amount=Number("2.50"), currency="EUR")),
    ("amount", {"amount": "2.50", "currency": "EUR"}, Pair(amount=Number("2.50"), currency="EUR")),
    ("each", ["1", 2, " 3"], [1, 2, 3]),
]
NOT_READ: list[tuple[str, Any]] = [
    *(
        ("whole", value)
        for value in ("", " ", "1.0", "1e2", "1_000", "0x1", "\u0661", "one", "--1", "1 2", "9" * 19, True, [], {})
    ),
    *(("yes", value) for value in ("", " true", "yes", "on", "2", "-1", "t", "1.0", 2, -1, Decimal("1.0"), [])),
    *(
        ("number", value)
        for value in ("", "NaN", "Infinity", "1E+999999", "2,50", "1_0", "\u0662", "EUR2.50", ".", "1" * 19, True)
    ),
    *(
        ("amount", value)
        for value in ("", "2.50", "EUR", "eur2.50", "EURO2.50", "2.50EUR", "€2.50", "EUR2,50", " EUR2.50", 2.5, 2, [])
    ),
    ("amount", {"amount": "two", "currency": "EUR"}),
    ("each", "1"),
    ("each", ["one"]),
    ("text", 1),
    ("text", True),
]


@pytest.mark.parametrize(("field", "value", "expected"), READ)
def test_a_number_a_truth_and_an_amount_are_read_from_the_texts_of_the_vendors_library(
    field: str, value: Any, expected: Any
):
    found = getattr(read(Given, {field: value}), field)
    assert found == expected
    assert type(found) is (Number if field == "number" else type(expected))


@pytest.mark.parametrize(("field", "value"), NOT_READ)
def test_what_is_no_such_text_is_an_error_with_the_field_and_the_value(field: str, value: Any):
    with pytest.raises(FieldsError) as raised:
        read(Given, {field: value})
    ((path, said),) = raised.value.errors
    assert path.startswith(field)
    assert said.startswith(f"{path} must be ")
    inner = value["amount"] if isinstance(value, dict) and value else value[0] if path == "each[0]" else value
    assert said.endswith(f"not {shown(inner)}")


@pytest.mark.parametrize(
    ("message", "body", "path"),
    [
        (Pair, {"amount": "2.50", "currency": 5}, "currency"),
        (money.AmountGiven, {"amount": "2.50", "currency": "EUR"}, "amount"),
    ],
)
def test_only_a_type_that_says_so_reads_text(message: Any, body: Any, path: str):
    with pytest.raises(FieldsError) as raised:
        read(message, body)
    assert [field for field, _ in raised.value.errors] == [path]


def test_a_value_that_is_read_is_not_changed_in_the_body_of_the_caller():
    body = decode(b'{"whole": "1", "each": ["2"], "amount": {"amount": "1", "currency": "EUR"}, "text": null}')
    read(Given, body)
    assert body == {"whole": "1", "each": ["2"], "amount": {"amount": "1", "currency": "EUR"}, "text": None}


def test_the_documented_pattern_matches_exactly_the_texts_that_are_read():
    (_,), schemas = msgspec.json.schema_components([Given], schema_hook=schema_of_own_type)
    fields = schemas["Given"]["properties"]
    patterns = {
        name: next(one for one in [fields[name], *fields[name].get("anyOf", [])] if "x-text-pattern" in one)
        for name in ("whole", "yes", "number")
    }
    checked = 0
    for field, value, *expected in [*READ, *NOT_READ]:
        if field in patterns and isinstance(value, str):
            checked += 1
            assert bool(re.search(patterns[field]["x-text-pattern"], value)) is bool(expected), (field, value)
    assert checked > 30
    assert [patterns[name]["type"] for name in patterns] == ["integer", "boolean", "number"]
