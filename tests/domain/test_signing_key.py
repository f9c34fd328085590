from datetime import UTC, datetime, timedelta

import pytest

from countermand.domain.signing_key import CLOCKS_APART, TOKEN_LIFE, SigningKey, retires_at, signer

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
HOUR = timedelta(hours=1)


def key(number: int, signs_from: datetime = NOON, retired_at: datetime | None = None) -> SigningKey:
    return SigningKey(
        number=number,
        kid=f"key {number}",
        private_key="the private key",
        created_at=NOON - HOUR,
        signs_from=signs_from,
        retired_at=retired_at,
    )


def test_a_key_counts_until_the_instant_it_is_retired_and_then_no_more():
    it = key(1, retired_at=NOON)
    assert it.counts_at(NOON - MICROSECOND)
    assert not it.counts_at(NOON)
    assert key(2).counts_at(NOON - HOUR), "before it signs, too"


def test_the_newest_key_signs_from_its_instant_on_and_the_one_before_it_until_then():
    old, new = key(1, NOON - HOUR), key(2, NOON)
    assert signer([old, new], NOON - MICROSECOND) is old
    assert signer([new, old], NOON) is new


def test_a_key_signs_nothing_that_would_outlive_it():
    going, next_one = key(1, NOON - HOUR, NOON + TOKEN_LIFE), key(2, NOON + HOUR)
    assert signer([going, next_one], NOON) is going
    assert signer([going, next_one], NOON + MICROSECOND) is next_one
    assert signer([going], NOON + MICROSECOND) is None


def test_where_the_signing_key_was_withdrawn_the_next_in_line_signs_before_its_time():
    withdrawn, later, soon = key(1, NOON - HOUR, NOON), key(2, NOON + 2 * HOUR), key(3, NOON + HOUR)
    assert signer([withdrawn, later, soon], NOON) is soon


@pytest.mark.parametrize("keys", [[], [key(1, NOON - HOUR, NOON)]])
def test_without_a_key_that_counts_nobody_signs(keys: list[SigningKey]):
    assert signer(keys, NOON) is None


def test_a_key_may_go_once_the_last_token_it_can_have_signed_has_expired_on_every_clock():
    assert retires_at(NOON) == NOON + TOKEN_LIFE + CLOCKS_APART
    old, new = key(1, NOON - HOUR, retires_at(NOON)), key(2, NOON)
    last_signed_at = NOON + CLOCKS_APART  # by a node whose clock is that far behind: it says noon
    assert signer([old, new], NOON - MICROSECOND) is old
    assert old.counts_at(last_signed_at + TOKEN_LIFE - MICROSECOND)


def test_the_private_key_is_not_shown():
    assert "the private key" not in repr(key(1))
