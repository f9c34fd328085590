"""Each rule about an assertion's claims, from both sides."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermand.actions.errors import NotAuthenticatedError, OutcomeUnknownError, UnavailableError
from countermand.actions.identity.exchange_assertion import Assertion, read_claims, use_once
from countermand.domain.client import ClientId

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NOW_S = int(NOON.timestamp())
TOKEN, ISSUER = "https://us.test/token", "https://us.test"


def claims(**changed: Any) -> dict[str, Any]:
    good = {"iss": "acme", "sub": "acme", "aud": TOKEN, "exp": NOW_S + 300, "nbf": NOW_S, "jti": "once"}
    return {name: value for name, value in (good | changed).items() if value is not ...}


def read(**changed: Any) -> Assertion:
    return read_claims(claims(**changed), (TOKEN, ISSUER), NOON)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"aud": ISSUER},
        {"aud": [TOKEN]},
        {"aud": ["others", ISSUER]},
        {"exp": NOW_S + 1},
        {"exp": NOW_S + 0.25},
        {"exp": NOW_S + 30_000},
        {"exp": NOW_S},
        {"exp": NOW_S - 29.999},
        {"nbf": NOW_S + 30, "exp": NOW_S + 30_030},
        {"nbf": NOW_S - 29_000, "exp": NOW_S + 1000},
        {"nbf": ..., "exp": NOW_S + 30_030},
        {"nbf": ..., "iat": NOW_S - 10, "exp": NOW_S + 29_990},
        {"nbf": ..., "iat": NOW_S + 30, "exp": NOW_S + 300},
        {"iat": NOW_S + 1000},  # where there is an nbf, that one says when it begins
        {"iat": "yesterday"},
        {"jti": "x"},
        {"jti": "x" * 255},
        {"jti": "\ud800"},
        {"more": [1, {"a": None}]},
    ],
)
def test_these_hold(changed: dict[str, Any]):
    assert read(**changed).client == "acme"


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"iss": ...}, "iss"),
        ({"iss": ""}, "iss"),
        ({"iss": 7}, "iss"),
        ({"iss": ["acme"]}, "iss"),
        ({"sub": ...}, "sub"),
        ({"sub": "other"}, "sub"),
        ({"aud": ...}, "aud"),
        ({"aud": "https://elsewhere.test/token"}, "aud"),
        ({"aud": TOKEN + "/"}, "aud"),
        ({"aud": ["https://elsewhere.test"]}, "aud"),
        ({"aud": []}, "aud"),
        ({"aud": [[TOKEN]]}, "aud"),
        ({"aud": {TOKEN: 1}}, "aud"),
        ({"exp": ...}, "exp"),
        ({"exp": None}, "exp"),
        ({"exp": str(NOW_S + 300)}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": float("inf")}, "exp"),
        ({"exp": float("nan")}, "exp"),
        ({"exp": 10**400}, "exp"),
        ({"exp": NOW_S - 30}, "exp"),
        ({"exp": NOW_S - 300}, "exp"),
        ({"exp": NOW_S + 30_001}, "exp"),
        ({"exp": NOW_S + 30_000.5}, "exp"),
        ({"nbf": NOW_S - 1, "exp": NOW_S + 30_000}, "exp"),
        ({"nbf": ..., "exp": NOW_S + 30_031}, "exp"),
        ({"nbf": ..., "iat": NOW_S - 10, "exp": NOW_S + 29_991}, "exp"),
        ({"nbf": NOW_S + 31}, "nbf"),
        ({"nbf": NOW_S + 30.001}, "nbf"),
        ({"nbf": None}, "nbf"),
        ({"nbf": "now"}, "nbf"),
        ({"nbf": ..., "iat": NOW_S + 31}, "iat"),
        ({"nbf": ..., "iat": NOW_S + 100_000, "exp": NOW_S + 100_100}, "iat"),
        ({"nbf": ..., "iat": True}, "iat"),
        ({"jti": ...}, "jti"),
        ({"jti": ""}, "jti"),
        ({"jti": 7}, "jti"),
        ({"jti": "x" * 256}, "jti"),
    ],
)
def test_these_do_not_and_the_claim_is_named(changed: dict[str, Any], named: str):
    with pytest.raises(NotAuthenticatedError, match=rf"^client_assertion: {named} "):
        read(**changed)


@pytest.mark.parametrize(
    ("changed", "by_how_much"),
    [
        ({"nbf": NOW_S + 38}, "nbf is 38 s in the future"),
        ({"nbf": NOW_S + 30.001}, "nbf is 31 s in the future"),
        ({"nbf": ..., "iat": NOW_S + 3600}, "iat is 3600 s in the future"),
        ({"exp": NOW_S - 45}, "exp passed 45 s ago"),
    ],
)
def test_a_partner_hears_how_far_its_clock_is_off(changed: dict[str, Any], by_how_much: str):
    with pytest.raises(NotAuthenticatedError, match=f"{by_how_much} by the clock of this server"):
        read(**changed)


@pytest.mark.parametrize(
    ("changed", "by_how_much"),
    [
        ({"exp": NOW_S + 30_001}, "exp is 30001 s after nbf; it may be 30000 s after it at most"),
        ({"nbf": ..., "exp": NOW_S + 30_031}, "exp is 30031 s after now; it may be 30000 s after it at most"),
    ],
)
def test_a_partner_hears_how_much_too_long_its_assertion_lives(changed: dict[str, Any], by_how_much: str):
    with pytest.raises(NotAuthenticatedError, match=by_how_much):
        read(**changed)


def test_who_is_asked_for_is_told_in_the_words_that_were_expected_and_given():
    with pytest.raises(NotAuthenticatedError) as raised:
        read(aud="https://elsewhere.test" + "x" * 500)
    assert TOKEN in str(raised.value)
    assert "https://elsewhere.test" in str(raised.value)
    assert len(str(raised.value)) < 200


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["iss", "sub", "aud", "exp", "nbf", "iat", "jti"]), json_values))
def test_claims_of_any_sort_hold_or_are_refused(changed: dict[str, Any]):
    with suppress(NotAuthenticatedError):
        assert read(**changed).expires_at_s <= NOW_S + 30_030


class Used:
    """Remembers what it is told to, and answers as it is told."""

    def __init__(self, *, answer: bool | Exception) -> None:
        self.answer, self.told = answer, []

    async def use(self, client_id: ClientId, jti_sha256: str, expires_at: datetime) -> bool:
        self.told.append((client_id, jti_sha256, expires_at))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_an_assertion_is_remembered_by_the_hash_of_its_jti_until_it_has_expired():
    used = Used(answer=True)
    await use_once(used, ClientId(7), read(jti="once", exp=NOW_S + 10.25))
    ((client_id, jti_sha256, expires_at),) = used.told
    assert (client_id, len(jti_sha256), expires_at) == (7, 64, NOON + timedelta(seconds=11))
    assert "once" not in jti_sha256


async def test_one_that_was_used_before_is_refused():
    with pytest.raises(NotAuthenticatedError, match="jti was used before"):
        await use_once(Used(answer=False), ClientId(7), read())


async def test_where_nobody_knows_whether_it_was_used_up_a_new_one_is_asked_for():
    with pytest.raises(UnavailableError, match="a new one"):
        await use_once(Used(answer=OutcomeUnknownError("cut off")), ClientId(7), read())
