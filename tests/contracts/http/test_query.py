import pytest

from countermand.actions.errors import FieldsError
from countermand.contracts.http.query import Query, truth


@pytest.mark.parametrize("text", ["true", "True", "TRUE", "tRuE", "1"])
def test_a_truth_is_written_in_any_case_or_as_1(text: str):
    assert truth(text) is True


@pytest.mark.parametrize("text", ["false", "False", "FALSE", "0"])
def test_a_falsehood_is_written_in_any_case_or_as_0(text: str):
    assert truth(text) is False


@pytest.mark.parametrize("text", ["", " ", "2", "00", "01", "yes", "no", "t", "on", "null", "true ", "\uff11"])
def test_anything_else_is_no_truth(text: str):
    with pytest.raises(ValueError, match="true or false"):
        truth(text)


def test_parameters_are_decoded_and_come_in_the_order_in_which_they_were_sent():
    query = Query("b=x%20y&a=1&b=z+%C3%A9&c=&=d&%61=2&é=3".encode())
    assert list(query.names) == ["b", "a", "c", "", "é"]
    assert list(query.several("b")) == ["x y", "z é"]
    assert list(query.several("a")) == ["1", "2"]
    assert (query.one("c"), query.one("é"), query.one("missing")) == ("", "3", None)
    query.check()


def test_bytes_that_are_no_utf_8_are_no_error_of_ours():
    assert Query(b"a=\xff&b=%ff").one("a") == "\ufffd"


def test_all_errors_are_raised_at_once_with_the_names_and_the_values():
    query = Query(b"limit=1&limit=2&flag=maybe&flag2=1&flag2=1&size=x")
    assert (query.one("limit"), query.truth("flag"), query.truth("flag2"), query.truth("flag3")) == (None,) * 4
    query.wrong("size", "a whole number", query.one("size"))
    with pytest.raises(FieldsError) as raised:
        query.check()
    assert raised.value.errors == [
        ("limit", 'limit must be there once, not 2 times: ["1", "2"]'),
        ("flag", 'flag must be true or false, not "maybe"'),
        ("flag2", 'flag2 must be there once, not 2 times: ["1", "1"]'),
        ("size", 'size must be a whole number, not "x"'),
    ]


def test_a_long_value_is_cut_short_in_the_error():
    query = Query(b"a=1&a=" + b"x" * 10_000)
    query.one("a")
    ((_, said),) = query.errors
    assert len(said) < 120
