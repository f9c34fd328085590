"""Signatures are those of Standard Webhooks."""

import base64
from dataclasses import replace
from typing import Any

import pytest

from countermand.delivery.signing import (
    SignedRequest,
    new_secret,
    new_signing_key,
    public_key_of,
    secret_bytes,
    sign,
    why_unfit,
)

# Published: the vector of the specification, and the key pair of a server that signs with ed25519.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SIGNING_KEY = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC_KEY = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
ID, TIMESTAMP_S, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
V1 = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
V1A = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
REQUEST = SignedRequest(id=ID, timestamp=str(TIMESTAMP_S), signature=V1, body=BODY)


def test_the_published_vectors_are_signed_as_published():
    assert sign([SECRET], ID, TIMESTAMP_S, BODY) == V1
    assert sign([SECRET], ID, TIMESTAMP_S, BODY, SIGNING_KEY) == f"{V1} {V1A}"
    assert public_key_of(SIGNING_KEY) == PUBLIC_KEY


def test_during_a_rotation_both_secrets_sign_and_either_verifies():
    old, new = new_secret(), new_secret()
    signature = sign([new, old], ID, TIMESTAMP_S, BODY)
    assert len(set(signature.split())) == 2
    request = replace(REQUEST, signature=signature)
    for secret in (old, new):
        assert why_unfit(request, endpoint_secrets=[secret], now_s=TIMESTAMP_S) is None
    assert why_unfit(request, endpoint_secrets=[new_secret()], now_s=TIMESTAMP_S) is not None


def test_a_new_secret_is_32_random_bytes_in_standard_base64():
    made = {new_secret() for _ in range(200)}
    assert len(made) == 200
    assert {len(secret_bytes(one)) for one in made} == {32}
    assert any("+" in one or "/" in one for one in made)
    assert not any("-" in one or one.count("_") > 1 for one in made)


def test_a_new_signing_key_verifies_with_its_public_part_and_with_no_other():
    key = new_signing_key()
    request = replace(REQUEST, signature=sign([SECRET], ID, TIMESTAMP_S, BODY, key))
    assert why_unfit(request, public_keys=[public_key_of(key)], now_s=TIMESTAMP_S) is None
    assert why_unfit(request, public_keys=[PUBLIC_KEY, public_key_of(key)], now_s=TIMESTAMP_S) is None
    assert why_unfit(request, public_keys=[PUBLIC_KEY], now_s=TIMESTAMP_S) is not None
    assert why_unfit(request, endpoint_secrets=[SECRET], now_s=TIMESTAMP_S) is None


@pytest.mark.parametrize(("now_s", "fits"), [(-300, True), (-301, False), (0, True), (300, True), (301, False)])
def test_a_request_counts_for_five_minutes_before_and_after_its_instant(now_s: int, *, fits: bool):
    assert (why_unfit(REQUEST, endpoint_secrets=[SECRET], now_s=TIMESTAMP_S + now_s) is None) is fits
    assert why_unfit(REQUEST, endpoint_secrets=[SECRET], now_s=None) is None


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"body": BODY + b" "}, "webhook-signature does not fit"),
        ({"body": b""}, "webhook-signature does not fit"),
        ({"id": ID + "x"}, "webhook-signature does not fit"),
        ({"id": "msg.1"}, "webhook-id has a full stop"),
        ({"timestamp": str(TIMESTAMP_S + 1)}, "webhook-signature does not fit"),
        ({"timestamp": "2021-02-25T15:02:10Z"}, "webhook-timestamp is not a whole number"),
        ({"timestamp": f"{TIMESTAMP_S}.0"}, "webhook-timestamp is not a whole number"),
        ({"timestamp": "1_614_265_330"}, "webhook-timestamp is not a whole number"),
        ({"signature": V1.removeprefix("v1,")}, "webhook-signature has no signature v1"),
        ({"signature": V1A}, "webhook-signature has no signature v1"),
        ({"signature": V1.replace("v1,", "v1a,")}, "webhook-signature has no signature v1"),
        ({"signature": V1[:-4]}, "webhook-signature does not fit"),
        ({"signature": "v1,"}, "webhook-signature does not fit"),
        ({"signature": "v1,é"}, "webhook-signature does not fit"),
    ],
)
def test_a_sentence_names_the_part_that_does_not_fit(changed: dict[str, Any], named: str):
    said = why_unfit(replace(REQUEST, **changed), endpoint_secrets=[SECRET], now_s=TIMESTAMP_S)
    assert said is not None
    assert said.startswith(named)


@pytest.mark.parametrize("signature", ["v1a,", "v1a,AAAA", "v1a,not base64", V1A[:-8] + "AAAAAA==", "v1a,é"])
def test_a_broken_ed25519_signature_is_unfit_and_no_error(signature: str):
    request = replace(REQUEST, signature=signature)
    assert why_unfit(request, public_keys=[PUBLIC_KEY], now_s=TIMESTAMP_S) is not None


def test_any_one_signature_that_fits_is_enough_whatever_stands_beside_it():
    for signature in (f"v1,AAAA {V1}", f"{V1} v2,what", f"v1a,AAAA v9 , {V1}"):
        request = replace(REQUEST, signature=signature)
        assert why_unfit(request, endpoint_secrets=[new_secret(), SECRET], now_s=TIMESTAMP_S) is None


def test_a_missing_header_is_named():
    headers = {"webhook-id": ID, "webhook-timestamp": str(TIMESTAMP_S), "webhook-signature": V1}
    assert SignedRequest.of(headers, BODY) == REQUEST
    for name in headers:
        with pytest.raises(ValueError, match=f"no header {name}$"):
            SignedRequest.of({other: text for other, text in headers.items() if other != name}, BODY)


@pytest.mark.parametrize(("count", "is_one"), [(23, False), (24, True), (64, True), (65, False)])
def test_a_secret_has_24_to_64_bytes(count: int, *, is_one: bool):
    secret = "whsec_" + base64.b64encode(b"s" * count).decode()
    if is_one:
        assert len(secret_bytes(secret)) == count
        return
    with pytest.raises(ValueError, match="24 to 64 bytes"):
        secret_bytes(secret)


@pytest.mark.parametrize(
    "secret", ["", "hunter2", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_hunter2!", "whsec_" + "_-" * 20]
)
def test_what_is_no_secret_is_refused_without_being_repeated(secret: str):
    with pytest.raises(ValueError, match="must") as raised:
        sign([secret], ID, TIMESTAMP_S, BODY)
    assert not secret or secret not in str(raised.value)


@pytest.mark.parametrize("key", ["whsk_AAAA", SIGNING_KEY[:-8] + "AAAAAA==", PUBLIC_KEY, "whsk_!"])
def test_what_is_no_signing_key_is_refused_without_being_repeated(key: str):
    with pytest.raises(ValueError, match="must") as raised:
        sign([SECRET], ID, TIMESTAMP_S, BODY, key)
    assert key not in str(raised.value)


@pytest.mark.parametrize("key", ["whpk_AAAA", SIGNING_KEY])
def test_what_is_no_public_key_is_refused(key: str):
    with pytest.raises(ValueError, match="must"):
        why_unfit(REQUEST, public_keys=[key], now_s=None)
