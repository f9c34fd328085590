"""Two requests under one key are the same if their message is the same, in whichever bytes it was sent."""

import hashlib
import itertools
import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from countermand.actions.idempotency import Fingerprints
from countermand.contracts.http.fingerprints import fingerprints_of, idempotency_key

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
numbers = st.integers(-(10**40), 10**40) | st.decimals(-(10**30), 10**30, allow_nan=False, places=12)
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
blanks = st.text(" \t\r\n", max_size=2)


def message(body: bytes | str, *, method: str = "POST", path: str = "/p", query: bytes = b"") -> str:
    made = fingerprints_of(method, path, query, body if isinstance(body, bytes) else body.encode()).message
    assert made is not None
    return made


@st.composite
def spelled(draw: st.DrawFn, value: Any) -> str:
    """A value as JSON: with any white space, order of fields, escapes, and form of its numbers."""
    before, after = draw(blanks), draw(blanks)
    return f"{before}{draw(_spelled_alone(value))}{after}"


@st.composite
def _spelled_alone(draw: st.DrawFn, value: Any) -> str:
    match value:
        case None | bool():
            return json.dumps(value)
        case str():
            return f'"{"".join(draw(_spelled_character(one)) for one in value)}"'
        case int() | Decimal():
            return draw(_spelled_number(Decimal(value)))
        case list():
            return f"[{','.join(draw(spelled(one)) for one in value)}]"
        case _:
            fields = draw(st.permutations(list(value.items())))
            return "{" + ",".join(f"{draw(spelled(name))}:{draw(spelled(one))}" for name, one in fields) + "}"


@st.composite
def _spelled_character(draw: st.DrawFn, character: str) -> str:
    units = character.encode("utf-16-be")
    escapes = ["".join(f"\\u{units[at]:02x}{units[at + 1]:02X}" for at in range(0, len(units), 2))]
    escapes += {"/": ["\\/"], "\n": ["\\n"], '"': ['\\"'], "\\": ["\\\\"]}.get(character, [])
    plain = [character] if character >= " " and character not in '"\\' else []
    return draw(st.sampled_from(plain + escapes))


@st.composite
def _spelled_number(draw: st.DrawFn, number: Decimal) -> str:
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    zeros = draw(st.integers(0, 3))
    whole = int("".join(map(str, digits))) * 10**zeros
    scientific = f"{'-' if sign else ''}{whole}{draw(st.sampled_from('eE'))}{exponent - zeros}"
    return draw(st.sampled_from([scientific, f"{number:f}", f"{number:f}" + ("0" if "." in f"{number:f}" else ".0")]))


def meaning(value: Any) -> Any:
    """A value as something that Python compares as the fingerprint must: with types, and numbers by their value."""
    match value:
        case None | bool() | str():
            return (type(value).__name__, value)
        case int() | Decimal():
            return ("number", Fraction(value))
        case list():
            return ("list", tuple(meaning(one) for one in value))
        case _:
            return ("object", frozenset((name, meaning(one)) for name, one in value.items()))


@given(st.data(), values)
def test_one_message_has_one_fingerprint_however_it_is_written(data: st.DataObject, value: Any):
    assert message(data.draw(spelled(value))) == message(data.draw(spelled(value)))


@given(st.data(), values, values)
def test_two_messages_share_a_fingerprint_only_if_they_mean_the_same(data: st.DataObject, one: Any, other: Any):
    same = meaning(one) == meaning(other)
    assert (message(data.draw(spelled(one))) == message(data.draw(spelled(other)))) is same


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """The same value with another one in one place."""
    if isinstance(value, list) and value and draw(st.booleans()):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], draw(changed(value[at])), *value[at + 1 :]]
    if isinstance(value, dict) and value and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(value)))
        rest = {other: one for other, one in value.items() if other != name}
        return rest if draw(st.booleans()) else {**rest, name: draw(changed(value[name]))}
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return draw(st.sampled_from([str(value), [value], Fraction(value) == 0 or -value, None]))
    if isinstance(value, str):
        return draw(st.sampled_from([value + "x", value.swapcase(), f" {value}", [value], None]))
    return draw(values)


@given(st.data(), values)
def test_a_change_in_any_place_is_another_message(data: st.DataObject, value: Any):
    other = data.draw(changed(value))
    assume(meaning(other) != meaning(value))
    assert message(data.draw(spelled(value))) != message(data.draw(spelled(other)))


THE_SAME = [
    ["1", "1.0", "1.00", "1e0", "10e-1", "0.1E+1", " 1 "],
    ["0", "-0", "0.00", "0e5", "-0.0"],
    ["2.50", "2.5", "25e-1"],
    ["100", "1e2", "100.0"],
    ['"é"', '"\\u00e9"', '"\\u00E9"'],
    ['"😀"', '"\\ud83d\\ude00"'],
    ['"a/b"', '"a\\/b"'],
    ['{"a":1,"b":[1,2]}', '{ "b" : [ 1, 2.0 ] ,\n"a" : 1e0 }', '{"\\u0061":1,"b":[1,2]}'],
    ["1" + "0" * 300, "1e300"],
]
ALL_DIFFERENT = [
    *(one[0] for one in THE_SAME),
    *('"1"', "true", "false", "null", '"true"', '"null"', '""', "[]", "{}", "[1]", '["1"]', "[[]]", "[{}]", "[null]"),
    *('{"a":1}', '{"a":1,"b":null}', '{"a":1,"b":[1]}', '{"a":1,"b":[2,1]}', '{"a":{"b":1}}', '{"A":1}', '{"a":"1"}'),
    *("[1,2]", "[2,1]", "[12]", "[1,[2]]", "[[1],2]", "[[1,2]]", "[[1],[2]]", '["a","b"]', '["a,b"]', '["a\\",\\"b"]'),
    *('{"a":"b","c":"d"}', '{"a":"b,c:d"}', '{"a":{"b":"c"},"d":1}', '{"a":{"b":"c","d":1}}'),
    *("-1", "1.1", "10", "0.1", "1e-400", "1e399", "9007199254740993", "9007199254740992"),
    *("0." + "1" * 60, "0." + "1" * 59 + "2", "1" * 60, "1" * 59 + "2"),  # more digits than Decimal's arithmetic keeps
    *('"e\\u0301"', '"É"', '"e"', '" "', '"\\t"', '"\\\\t"', '"\\\\u0061"', '"a"'),
    *("", " ", "nothing", "{", '{"a":1,}', '{"a":1,"a":1}', "1e99999999", "NaN"),  # no JSON: by their bytes
]


@pytest.mark.parametrize("spellings", THE_SAME, ids=[one[0][:20] for one in THE_SAME])
def test_what_means_the_same_is_the_same(spellings: list[str]):
    assert len({message(one) for one in spellings}) == 1


def test_what_means_something_else_is_something_else():
    found = {one: message(one) for one in ALL_DIFFERENT}
    assert len(found) == len(ALL_DIFFERENT)
    assert [pair for pair in itertools.combinations(found, 2) if found[pair[0]] == found[pair[1]]] == []


def test_a_body_that_is_not_json_is_compared_by_its_bytes():
    assert message(b"\xff\xfe") == message(b"\xff\xfe")
    assert len({message(body) for body in (b"\xff\xfe", b"\xff", b"a=1&b=2", b"b=2&a=1", b"\njson\n1", b"1")}) == 6


def test_a_body_that_was_decoded_before_has_the_same_fingerprint():
    body = b'{"a": [1.50, null]}'
    assert fingerprints_of("POST", "/p", b"", body, {"a": [Decimal("1.5"), None]}).message == message(body)
    assert fingerprints_of("POST", "/p", b"", b"null", None).message == message(b"null")


def test_the_path_counts_without_the_slash_at_its_end_and_parameters_count_in_any_order():
    same = message("{}", query=b"a=1&b=x%20y&a=2")
    assert message("{}", path="/p/", query=b"a=1&b=x%20y&a=2") == same
    assert {message("{}", query=query) for query in (b"b=x+y&a=2&a=1", b"&a=1&&a=2&%62=x%20y&")} == {same}
    others = [
        message("{}"),
        message("{}", query=b"a=1&b=x%20y"),
        message("{}", query=b"a=1&b=x%20y&a=2&a=2"),
        message("{}", query=b"a=1&b=x&a=2"),
        message("{}", query=b"a=1&b=%ff&a=2"),
        message("{}", query=b"a=1&b=%fe&a=2"),
        message("{}", query=b"a=1&b=%ef%bf%bd&a=2"),
        message("{}", query=b"a=1&b=&a=2"),
        message("{}", query=b"a=1%26b=x&a=2"),
        message("{}", path="/q", query=b"a=1&b=x%20y&a=2"),
        message("{}", path="/p/p", query=b"a=1&b=x%20y&a=2"),
        message("{}", method="PUT", query=b"a=1&b=x%20y&a=2"),
    ]
    assert len({same, *others}) == len(others) + 1


def test_the_fingerprint_of_the_bytes_is_the_one_that_older_versions_compute():
    """Nodes of older versions compare it, so that it covers method, path and body, to the byte, and nothing else."""

    def request(method: str, path: str, body: bytes, query: bytes = b"") -> str:
        return fingerprints_of(method, path, query, body).request

    same = request("POST", "/orders/", b'{"a": 1}')
    assert same == hashlib.sha256(b'POST /orders/\n{"a": 1}').hexdigest()
    assert same == "924892b1e5de3481721e3082bf0334bc01196d8baa9cf17a284fdf3e8ac316f8"
    assert request("POST", "/orders/", b'{"a": 1}', b"a=1") == same
    others = [request("PUT", "/orders/", b'{"a": 1}'), request("POST", "/orders", b'{"a": 1}')]
    others += [request("POST", "/orders/", body) for body in (b'{"a":1}', b'{"a": 1.0}', b"")]
    assert len({same, *others}) == 6


def test_a_fingerprint_of_the_message_decides_if_both_requests_have_one():
    def agree(one: tuple[str, str | None], other: tuple[str, str | None]) -> bool:
        first, second = (Fingerprints(request=request, message=message) for request, message in (one, other))
        assert first.agree_with(second) == second.agree_with(first)
        return first.agree_with(second)

    assert agree(("bytes", "message"), ("bytes", "message"))
    assert agree(("bytes", "message"), ("others", "message"))
    assert not agree(("bytes", "message"), ("bytes", "another"))
    assert agree(("bytes", None), ("bytes", "message"))
    assert not agree(("bytes", None), ("others", "message"))
    assert agree(("bytes", None), ("bytes", None))


def test_a_request_without_a_key_is_not_looked_at():
    assert idempotency_key(None, "POST", "/p", b"", b"{", object()) is None
