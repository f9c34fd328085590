"""Clients with access tokens in the operator's API: of this service's token endpoint, or of another issuer."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from countermand.actions.errors import FieldsError
from countermand.actions.identity.ports import ClientKey
from countermand.actions.identity.secrets import new_key
from countermand.contracts.http.body import shown
from countermand.contracts.manage import client_messages as messages
from countermand.domain.client import OWN_CLIENT_ID_PATTERN, OWN_ISSUER


@dataclass(frozen=True, kw_only=True, slots=True)
class PartnerTerms:
    """What a node needs to add clients with access tokens.

    `read_key` raises `ValueError` with a sentence without its subject. `gives_tokens` says whether the service has a
    token endpoint. `issuer` is the other issuer that the settings name.
    """

    read_key: Callable[[str | Mapping[str, object]], ClientKey]
    gives_tokens: bool
    issuer: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Partner:
    """How a new client with access tokens is known: issuer and name in tokens, and perhaps its public key."""

    identity: tuple[str, str]
    key: ClientKey | None


def partner_given(given: messages.ClientGiven, terms: PartnerTerms) -> Partner:
    """Return how a new client will be known. Raises `FieldsError`."""
    if given.public_key is not None:
        return _own_partner(given, terms)
    if terms.gives_tokens and given.issuer is None:
        said = "public_key is missing: give the partner's public key, or issuer and client_id of another issuer"
        raise FieldsError([("public_key", said)])
    issuer = given.issuer or terms.issuer
    missing = [name for name, value in (("client_id", given.client_id), ("issuer", issuer)) if not value]
    if missing:
        raise FieldsError([(name, f"{name} is missing: it says how the client's tokens name it") for name in missing])
    if issuer == OWN_ISSUER:
        raise FieldsError([("issuer", f"issuer must not be {shown(issuer)}: leave it out for a client of our own")])
    return Partner(identity=(issuer or "", given.client_id or ""), key=None)


def public_key_given(public_key: str | messages.Jwk, terms: PartnerTerms) -> ClientKey:
    """Return the key of a request. Raises `FieldsError`."""
    try:
        return terms.read_key(public_key if isinstance(public_key, str) else msgspec.to_builtins(public_key))
    except ValueError as error:
        raise FieldsError([("public_key", f"public_key {error}")]) from None


def _own_partner(given: messages.ClientGiven, terms: PartnerTerms) -> Partner:
    """Return a client of this service's own token endpoint."""
    if not terms.gives_tokens:
        said = "public_key must be left out: this service has no token endpoint; give issuer and client_id"
        raise FieldsError([("public_key", said)])
    if given.issuer is not None:
        said = f"issuer must be left out beside public_key, not {shown(given.issuer)}: this service issues the tokens"
        raise FieldsError([("issuer", said)])
    assert given.public_key is not None
    client_id = given.client_id or new_key()
    if not re.fullmatch(OWN_CLIENT_ID_PATTERN, client_id):
        said = f"client_id must be 1 to 64 letters, digits and . _ ~ @ -, not {shown(client_id)}"
        raise FieldsError([("client_id", said)])
    return Partner(identity=(OWN_ISSUER, client_id), key=public_key_given(given.public_key, terms))
