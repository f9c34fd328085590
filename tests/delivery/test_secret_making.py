"""What is made for an endpoint is shown once, and stored so that only a node with the key can use it."""

import pytest

from countermand.actions.errors import ConflictError
from countermand.delivery.secret_box import SecretBox, keys_of, new_key
from countermand.delivery.secret_making import BoxedSecrets
from countermand.delivery.signing import SignedRequest, secret_bytes, sign, why_unfit


def test_what_is_stored_is_what_was_shown_encrypted():
    box = SecretBox(keys_of(new_key()))
    making = BoxedSecrets(box)
    secret, stored = making.new_secret()
    assert len(secret_bytes(secret)) == 32
    assert box.decrypt(stored) == secret.encode()
    public_key, stored_key = making.new_signing_key()
    assert making.public_key(stored_key) == public_key
    signature = sign([secret], "evt_1", 1, b"{}", box.decrypt(stored_key).decode())
    request = SignedRequest(id="evt_1", timestamp="1", signature=signature, body=b"{}")
    assert why_unfit(request, endpoint_secrets=[secret], now_s=1) is None
    assert why_unfit(request, public_keys=[public_key], now_s=1) is None


def test_without_the_key_nothing_is_made_and_nothing_is_read_and_the_answer_says_why():
    _, stored_key = BoxedSecrets(SecretBox(keys_of(new_key()))).new_signing_key()
    locked, other = BoxedSecrets(SecretBox([])), BoxedSecrets(SecretBox(keys_of(new_key())))
    for make in (locked.new_secret, locked.new_signing_key):
        with pytest.raises(ConflictError) as raised:
            make()
        assert raised.value.code == "webhook_key_missing"
    for making in (locked, other):
        with pytest.raises(ConflictError) as raised:
            making.public_key(stored_key)
        assert raised.value.code == "webhook_secret_unreadable"
