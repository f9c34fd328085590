"""What do endpoints and attempts look like to a partner? All are ours.

A partner sees no answer of a receiver and no address: such an answer could be that of another system in the operator's
network.
"""

from typing import Annotated

from msgspec import Meta, Struct

from countermand.contracts.manage.endpoint_messages import (
    Asymmetric,
    AttemptFields,
    Backlog,
    DialectName,
    EndpointFields,
    Kinds,
    Structured,
    Thin,
    Url,
)


class OwnEndpointGiven(Struct, kw_only=True):
    """A new endpoint. It hears of what is written of your orders from now on."""

    url: Url
    dialect: DialectName | None = None
    kinds: Kinds | None = None
    thin: Thin | None = None
    structured: Structured | None = None
    asymmetric: Asymmetric | None = None


class OwnEndpoint(EndpointFields, kw_only=True):
    """An endpoint of yours."""


class OwnEndpointList(Struct, kw_only=True):
    """Your endpoints but the removed ones."""

    endpoints: Annotated[list[OwnEndpoint], Meta(description="Your endpoints but the removed ones, oldest first")]


class NewOwnEndpoint(EndpointFields, kw_only=True):
    """An endpoint with its new secret."""

    secret: Annotated[str, Meta(description="What you verify signatures with. It is shown only once")]
    public_key: Annotated[
        str | None, Meta(description="The public key of the signatures with ed25519; null without them")
    ]


class OwnEndpointWithBacklog(EndpointFields, kw_only=True):
    """An endpoint, and what it did not get yet."""

    backlog: Annotated[Backlog, Meta(description="What the endpoint did not get yet")]


class OwnAttempt(AttemptFields, kw_only=True):
    """An attempt to deliver an event to an endpoint of yours."""


class OwnAttempts(Struct, kw_only=True):
    """A page of attempts."""

    attempts: Annotated[list[OwnAttempt], Meta(description="The attempts of this page, newest first")]
    next: Annotated[int | None, Meta(description="The parameter before of the next page; null on the last page")]
