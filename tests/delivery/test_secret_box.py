"""The secrets of endpoints are useless without a key that is not in the database."""

import base64

import pytest
from cryptography.fernet import Fernet

from countermand.actions.errors import ConflictError
from countermand.delivery.secret_box import SecretBox, UnreadableSecretError, keys_of, new_key

SECRET = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def a_box(*keys: str) -> SecretBox:
    return SecretBox(keys_of(" ".join(keys)))


def test_a_secret_comes_out_as_it_went_in_and_cannot_be_seen_in_what_is_stored():
    box = a_box(new_key())
    stored = box.encrypt(SECRET)
    assert box.decrypt(stored) == SECRET
    assert SECRET not in stored
    assert SECRET[6:] not in base64.urlsafe_b64decode(stored)
    assert box.encrypt(SECRET) != stored


def test_the_first_key_encrypts_and_every_key_decrypts():
    old, new = new_key(), new_key()
    before, during, after = a_box(old), a_box(new, old), a_box(new)
    assert during.decrypt(before.encrypt(SECRET)) == SECRET
    assert after.decrypt(during.encrypt(SECRET)) == SECRET
    with pytest.raises(UnreadableSecretError):
        before.decrypt(during.encrypt(SECRET))


def test_a_renewed_secret_no_longer_needs_the_old_key():
    old, new = new_key(), new_key()
    renewed = a_box(new, old).renewed(a_box(old).encrypt(SECRET))
    assert a_box(new).decrypt(renewed) == SECRET
    with pytest.raises(UnreadableSecretError):
        a_box(old).decrypt(renewed)


@pytest.mark.parametrize("stored", [b"", b"whsec_plain", b"gAAAAA==", Fernet(Fernet.generate_key()).encrypt(SECRET)])
def test_what_no_key_decrypts_is_an_error_that_names_the_setting_and_repeats_neither_secret_nor_key(stored: bytes):
    key = new_key()
    with pytest.raises(UnreadableSecretError, match="COUNTERMAND_WEBHOOK_SECRET_KEY") as raised:
        a_box(key).decrypt(stored)
    assert key not in str(raised.value)
    assert "whsec_" not in str(raised.value)


def test_a_box_without_a_key_is_locked_and_says_how_to_get_one():
    stored = a_box(new_key()).encrypt(SECRET)
    locked = SecretBox([])
    assert locked.is_locked
    assert not a_box(new_key()).is_locked
    with pytest.raises(ConflictError, match="countermand webhook key") as raised:
        locked.encrypt(SECRET)
    assert raised.value.code == "webhook_key_missing"
    with pytest.raises(UnreadableSecretError, match="no key"):
        locked.decrypt(stored)


def test_a_key_is_32_bytes_in_either_base64_with_or_without_the_sign_at_its_end():
    key = new_key()
    assert len(keys_of(key)[0]) == 32
    assert keys_of(key.rstrip("=")) == keys_of(key)
    assert keys_of(f"\n {key}\t{new_key()}\n")[0] == keys_of(key)[0]
    assert new_key() != key
    for encode in (base64.urlsafe_b64encode, base64.b64encode):  # as `openssl rand -base64 32` prints it, too
        assert keys_of(encode(b"\xff" * 32).decode()) == [b"\xff" * 32]


@pytest.mark.parametrize(
    "text",
    [
        "password",
        base64.urlsafe_b64encode(b"k" * 31).decode(),
        base64.urlsafe_b64encode(b"k" * 33).decode(),
        f"{'a' * 42}A= short",
        "é" * 43,
    ],
)
def test_what_is_no_key_is_refused_without_being_repeated(text: str):
    with pytest.raises(ValueError, match="must be 32 bytes") as raised:
        keys_of(text)
    assert not any(word in str(raised.value) for word in text.split())


def test_white_space_alone_is_no_key():
    with pytest.raises(ValueError, match="has no key"):
        keys_of(" \n")


def test_the_same_key_twice_is_a_mistake():
    key = new_key()
    with pytest.raises(ValueError, match="twice"):
        keys_of(f"{key} {key.rstrip('=')}")
