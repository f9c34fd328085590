"""Signs tokens as an issuer does, and as a forger would."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from joserfc.jwk import RSAKey

from support.world import ISSUER, NOON, signing_key

NOW_S = int(NOON.timestamp())
PUBLIC = signing_key().as_dict(private=False)

_stranger: RSAKey | None = None


def strangers_key() -> RSAKey:
    """Another RSA key that says it is ours."""
    global _stranger  # noqa: PLW0603
    if _stranger is None:
        _stranger = RSAKey.generate_key(2048, {"kid": signing_key().kid, "use": "sig", "alg": "RS256"})
    return _stranger


def part(content: Any) -> str:
    """A part of a token: JSON of a value, or bytes as they are."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def header(**changed: Any) -> dict[str, Any]:
    """A token's header. A value of None leaves it out."""
    made = {"alg": "RS256", "typ": "JWT", "kid": signing_key().kid} | changed
    return {name: value for name, value in made.items() if value is not None}


def signed(head: Any, claims: Any, *, key: RSAKey | None = None) -> str:
    """A token signed with RS256, whatever its header says of itself; by our key unless another is given."""
    text = f"{part(head)}.{part(claims)}"
    made = (key or signing_key()).private_key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{text}.{part(made)}"


def sealed(head: Any, claims: Any, secret: bytes) -> str:
    """A token with an HS256 signature: as if `secret` were shared."""
    text = f"{part(head)}.{part(claims)}"
    return f"{text}.{part(hmac.digest(secret, text.encode(), hashlib.sha256))}"


def flawed(token: str) -> str:
    """The token with one character of its signature changed."""
    return token[:-20] + ("A" if token[-20] != "A" else "B") + token[-19:]


def claims(**changed: Any) -> dict[str, Any]:
    """Good claims at noon. A value of `Ellipsis` leaves one out."""
    good = {"iss": ISSUER, "exp": NOW_S + 3000, "iat": NOW_S, "typ": "Bearer", "clientId": "partner"} | changed
    return {name: value for name, value in good.items() if value is not ...}


def by_us(**changed: Any) -> Callable[[], str]:
    return lambda: signed(header(), claims(**changed))


def headed(**changed: Any) -> Callable[[], str]:
    return lambda: signed(header(**changed), claims())


def with_the_public_key(secret: bytes, alg: str = "HS256") -> Callable[[], str]:
    return lambda: sealed(header(alg=alg), claims(), secret)


def pem(key: RSAKey) -> bytes:
    return key.as_pem(private=False)


# What nobody may come in with at noon, however well it is signed.
DEEP = b'{"iss":"%b","a":' % ISSUER.encode() + b"[" * 4000 + b"]" * 4000 + b"}"

FORGED: dict[str, Callable[[], str]] = {
    "alg none": lambda: f"{part(header(alg='none'))}.{part(claims())}.",
    "alg none without a kid": lambda: f"{part(header(alg='none', kid=None))}.{part(claims())}.",
    "alg None": lambda: f"{part(header(alg='None'))}.{part(claims())}.",
    "alg none, signed": headed(alg="none"),
    "no signature": lambda: f"{part(header())}.{part(claims())}.",
    "no signature, no dot": lambda: f"{part(header())}.{part(claims())}",
    "HS256 with the PEM": with_the_public_key(pem(signing_key())),
    "HS256 with the PEM without its last line end": with_the_public_key(pem(signing_key()).strip()),
    "HS256 with the JWK": with_the_public_key(json.dumps(PUBLIC).encode()),
    "HS256 with the JWK, tight": with_the_public_key(json.dumps(PUBLIC, separators=(",", ":")).encode()),
    "HS256 with the JWK, sorted": with_the_public_key(json.dumps(PUBLIC, sort_keys=True).encode()),
    "HS256 with the modulus": with_the_public_key(str(PUBLIC["n"]).encode()),
    "HS256 with nothing": with_the_public_key(b""),
    "HMAC with the PEM that says RS256": with_the_public_key(pem(signing_key()), "RS256"),
    "another key with the same kid": lambda: signed(header(), claims(), key=strangers_key()),
    "another key that it brings along": lambda: signed(
        header(jwk=strangers_key().as_dict(private=False)), claims(), key=strangers_key()
    ),
    "another key that it says where to get": lambda: signed(
        header(jku="http://127.0.0.1:9/keys"), claims(), key=strangers_key()
    ),
    "other claims under a good signature": lambda: ".".join(
        [part(header()), part(claims(clientId="other")), signed(header(), claims()).split(".")[2]]
    ),
    "no kid": headed(kid=None),
    "an unknown kid": headed(kid="unknown"),
    "an empty kid": headed(kid=""),
    "a kid that is a number": headed(kid=1),
    "a kid that is a list": headed(kid=["test-key"]),
    "a kid that is a path": headed(kid="../../key-set.json"),
    "RS384": headed(alg="RS384"),
    "PS256": headed(alg="PS256"),
    "ES256": headed(alg="ES256"),
    "rs256": headed(alg="rs256"),
    "no alg": headed(alg=None),
    "an alg that is a list": headed(alg=["RS256"]),
    "an alg that is an object": headed(alg={"RS256": 1}),
    "an unknown critical header": headed(crit=["x"], x=1),
    "a critical header that is missing": headed(crit=["exp"]),
    "a crit that is a number": headed(crit=5),
    "an unencoded payload": headed(b64=False, crit=["b64"]),
    "a header that is a list": lambda: signed([], claims()),
    "a header that is null": lambda: signed(None, claims()),
    "a header that is a string": lambda: signed("alg", claims()),
    "a header that is a list with an alg": lambda: signed(["alg"], claims()),
    "a header that is a number": lambda: signed(7, claims()),
    "a header that is no JSON": lambda: signed(b"alg=RS256", claims()),
    "a header that is no UTF-8": lambda: signed(b'{"alg":"\xff"}', claims()),
    "a deep header": lambda: f"{part(b'[' * 5000)}.{part(claims())}.x",
    "claims that are a list": lambda: signed(header(), []),
    "claims that are null": lambda: signed(header(), None),
    "claims that are a string": lambda: signed(header(), "claims"),
    "claims that are no JSON": lambda: signed(header(), b"clientId=partner"),
    "claims that are no UTF-8": lambda: signed(header(), b'{"iss":"\xff"}'),
    "claims that are nothing": lambda: signed(header(), b""),
    "deep claims": lambda: signed(header(), DEEP),
    "a claim of 5,000 digits": lambda: signed(header(), b'{"iss":"%b","exp":' % ISSUER.encode() + b"9" * 5000 + b"}"),
    "expired": by_us(exp=NOW_S - 31),
    "expired just now": by_us(exp=NOW_S - 30),
    "expired long ago": by_us(exp=0),
    "expired before 1970": by_us(exp=-1),
    "no exp": by_us(exp=...),
    "exp null": by_us(exp=None),
    "exp a string": by_us(exp=str(NOW_S + 3000)),
    "exp true": by_us(exp=True),
    "exp a list": by_us(exp=[NOW_S + 3000]),
    "exp of forty digits": by_us(exp=10**39),
    "exp of 400 digits": by_us(exp=10**399),
    "exp 1e300": by_us(exp=1e300),
    "exp Infinity": by_us(exp=float("inf")),
    "exp NaN": by_us(exp=float("nan")),
    "nbf in the future": by_us(nbf=NOW_S + 60),
    "nbf a string": by_us(nbf=str(NOW_S)),
    "nbf true": by_us(nbf=True),
    "nbf null": by_us(nbf=None),
    "nbf NaN": by_us(nbf=float("nan")),
    "another iss": by_us(iss="http://localhost:10342/auth/realms/other"),
    "iss with a slash more": by_us(iss=ISSUER + "/"),
    "no iss": by_us(iss=...),
    "iss null": by_us(iss=None),
    "iss a list": by_us(iss=[ISSUER]),
    "iss an object": by_us(iss={"iss": ISSUER}),
    "iss a number": by_us(iss=1),
    "another clientId": by_us(clientId="nobody"),
    "no clientId": by_us(clientId=...),
    "clientId null": by_us(clientId=None),
    "clientId empty": by_us(clientId=""),
    "clientId a number": by_us(clientId=1),
    "clientId a list": by_us(clientId=["partner"]),
    "the client in another claim": by_us(clientId=..., azp="partner", userId="partner", sub="partner"),
    "no typ": by_us(typ=...),
    "an ID token": by_us(typ="ID"),
    "too long": by_us(more="x" * 10_240),
    "garbage": lambda: "garbage",
    "dots": lambda: "..",
    "many dots": lambda: "." * 1000,
    "five parts, as an encrypted token has": lambda: "a.b.c.d.e",
    "padding": lambda: signed(header(), claims()) + "==",
    "one character off": lambda: flawed(signed(header(), claims())),
    "no base64": lambda: "!!.!!.!!",
}
