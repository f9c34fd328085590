"""What do endpoints and the attempts to deliver to them look like? All are ours."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from countermand.domain.client import LARGEST_CLIENT_ID
from countermand.domain.contract import CONTRACT_NAME_PATTERN
from countermand.domain.delivering.endpoint import LARGEST_OVERLAP_D, STANDARD, USUAL_OVERLAP_H

LARGEST_OVERLAP_H = LARGEST_OVERLAP_D * 24
Url = Annotated[
    str,
    Meta(
        description="Where events are sent to. It must be public and begin with https, unless a setting permits more",
        min_length=1,
        max_length=2000,
        examples=["https://receiver.example/events"],
    ),
]
DialectName = Annotated[
    str,
    Meta(description="How events are written: docs/events.md lists the dialects", max_length=64, examples=[STANDARD]),
]
_Kind = Annotated[str, Meta(max_length=64, examples=["order.cancelled"])]
Kinds = Annotated[
    list[_Kind],
    Meta(
        description="The kinds of events; all that the dialect has words for, if it is left out",
        min_length=1,
        max_length=64,
    ),
]
Thin = Annotated[bool, Meta(description="Whether an event has a link to the order instead of the order")]
Structured = Annotated[bool, Meta(description="Whether the dialect cloudevents is sent in its structured form")]
Asymmetric = Annotated[
    bool, Meta(description="Whether events have a signature with ed25519 beside the usual one; the answer has the key")
]
Overlap = Annotated[
    int,
    Meta(
        description=f"How many hours events are signed with both secrets; {USUAL_OVERLAP_H} if it is left out",
        ge=0,
        le=LARGEST_OVERLAP_H,
    ),
]


class EndpointGiven(Struct, kw_only=True):
    """A new endpoint. It hears of what is written from now on."""

    url: Url
    dialect: DialectName | None = None
    kinds: Kinds | None = None
    contract: (
        Annotated[
            str,
            Meta(
                description="Only events of orders of this contract; those of all contracts, if it is left out",
                pattern=rf"^{CONTRACT_NAME_PATTERN}$(?!\n)",
                examples=["connect"],
                extra={"in_words": "the name of a contract, like connect"},
            ),
        ]
        | None
    ) = None
    client: (
        Annotated[int, Meta(description="Only events of orders that this client placed", ge=1, le=LARGEST_CLIENT_ID)]
        | None
    ) = None
    thin: Thin | None = None
    structured: Structured | None = None
    asymmetric: Asymmetric | None = None


class RotationGiven(Struct, kw_only=True):
    """How an endpoint gets a new secret: with an overlap, or at once, because the old secret was lost."""

    overlap_h: Overlap | None = None
    revoke_old_now: Annotated[bool, Meta(description="Whether the old secrets stop at once")] | None = None


class RedeliveryGiven(Struct, kw_only=True):
    """Which events are sent again: one, those that failed between two instants, or those after a position."""

    event: Annotated[str, Meta(description="The id of an event", max_length=200)] | None = None
    failed_since: (
        Annotated[datetime, Meta(description="Events of which an attempt failed at this instant or later", tz=True)]
        | None
    ) = None
    failed_until: (
        Annotated[datetime, Meta(description="The end of that time; now, if it is left out", tz=True)] | None
    ) = None
    after: Annotated[str, Meta(description="All events after this position of the feed", max_length=100)] | None = None


class Health(Struct, kw_only=True):
    """How the last attempts at an endpoint went."""

    failures: Annotated[int, Meta(description="The attempts that failed since the last success")]
    last_success_at: Annotated[datetime | None, Meta(description="When the last event was delivered, in UTC")]
    first_failure_at: Annotated[
        datetime | None, Meta(description="When the first of the failed attempts was made, in UTC; null without any")
    ]
    failing_since: Annotated[
        datetime | None, Meta(description="Since when the endpoint counts as failing, in UTC; null if it does not")
    ]
    probed: Annotated[bool, Meta(description="Whether only one event at a time is tried, because the endpoint is down")]
    next_attempt_at: Annotated[
        datetime | None, Meta(description="When the next attempt may begin, in UTC; null if nothing holds it back")
    ]


class EndpointFields(Struct, kw_only=True):
    """What the operator and the endpoint's owner see of an endpoint."""

    id: Annotated[str, Meta(description="The endpoint's id")]
    url: Annotated[str, Meta(description="Where events are sent to")]
    dialect: Annotated[str, Meta(description="How events are written")]
    kinds: Annotated[
        list[str] | None, Meta(description="The kinds of events, sorted; null for all that the dialect has words for")
    ]
    thin: Annotated[bool, Meta(description="Whether an event has a link to the order instead of the order")]
    structured: Annotated[bool, Meta(description="Whether CloudEvents are sent in their structured form")]
    asymmetric: Annotated[bool, Meta(description="Whether events have a signature with ed25519, too")]
    created_at: Annotated[datetime, Meta(description="When the endpoint was added, in UTC")]
    state: Annotated[str, Meta(description="`active` or `paused`; new versions may have more")]
    paused_at: Annotated[datetime | None, Meta(description="Since when it is paused, in UTC; null if it is not")]
    paused_because: Annotated[str | None, Meta(description="Why it is paused; null if it is not")]
    previous_secret_until: Annotated[
        datetime | None,
        Meta(description="Until when events are signed with the secret from before the last rotation, too, in UTC"),
    ]
    health: Annotated[Health, Meta(description="How the last attempts went")]


class Endpoint(EndpointFields, kw_only=True):
    """An endpoint."""

    contract: Annotated[str | None, Meta(description="Only events of orders of this contract; null for all")]
    client: Annotated[int | None, Meta(description="Only events of orders of the client with this id; null for all")]
    owner: Annotated[
        int | None, Meta(description="The id of the client that added it for itself; null if the operator did")
    ]
    permitted: Annotated[
        bool,
        Meta(
            description=(
                "False if its owner may not subscribe any more: nothing is sent, and everything is kept, until the "
                "owner may again"
            )
        ),
    ]


class EndpointList(Struct, kw_only=True):
    """All endpoints but the removed ones."""

    endpoints: Annotated[list[Endpoint], Meta(description="All endpoints but the removed ones, oldest first")]


class NewEndpoint(Endpoint, kw_only=True):
    """An endpoint with its new secret."""

    secret: Annotated[str, Meta(description="What the receiver verifies signatures with. It is shown only once")]
    public_key: Annotated[
        str | None, Meta(description="The public key of the signatures with ed25519; null without them")
    ]


class Backlog(Struct, kw_only=True):
    """What an endpoint did not get yet."""

    undelivered: Annotated[int, Meta(description="How many events wait to be delivered")]
    oldest_at: Annotated[datetime | None, Meta(description="When the oldest of them was recorded, in UTC")]
    given_up: Annotated[int, Meta(description="How many events were given up; resume and redeliver send them again")]


class EndpointWithBacklog(Endpoint, kw_only=True):
    """An endpoint, and what it did not get yet."""

    backlog: Annotated[Backlog, Meta(description="What the endpoint did not get yet")]


class AttemptFields(Struct, kw_only=True):
    """What the operator and the endpoint's owner see of an attempt."""

    number: Annotated[int, Meta(description="Counts all attempts; the parameter before takes it")]
    endpoint: Annotated[str, Meta(description="The endpoint's id")]
    event: Annotated[str, Meta(description="The event's id, which was sent as webhook-id")]
    kind: Annotated[str, Meta(description="What happened, such as order.cancelled")]
    order: Annotated[str | None, Meta(description="The order's id; null for an event without an order")]
    version: Annotated[int, Meta(description="The order's version after the event")]
    attempt: Annotated[int, Meta(description="1 for the first attempt to deliver the event")]
    at: Annotated[datetime, Meta(description="When the attempt began, in UTC")]
    duration_ms: Annotated[int, Meta(description="How long it took, in milliseconds")]
    status: Annotated[int | None, Meta(description="The status of the answer; null without an answer")]
    error: Annotated[str | None, Meta(description="Why it failed; null for a success. docs/events.md lists the errors")]
    outcome: Annotated[str, Meta(description="`delivered`, `failed`, or `given_up` if it was the last attempt")]


class Attempt(AttemptFields, kw_only=True):
    """An attempt to deliver an event."""

    address: Annotated[str | None, Meta(description="The address that was called; null if none was")]
    detail: Annotated[str | None, Meta(description="More about the error; null if it needs no words")]
    answer: Annotated[
        str, Meta(description="The first KiB of the answer's body; bytes that are no text stand as escapes")
    ]


class Attempts(Struct, kw_only=True):
    """A page of attempts."""

    attempts: Annotated[list[Attempt], Meta(description="The attempts of this page, newest first")]
    next: Annotated[int | None, Meta(description="The parameter before of the next page; null on the last page")]


class Redelivered(Struct, kw_only=True):
    """How many events are sent again."""

    events: Annotated[int, Meta(description="How many events are sent again, under the same ids")]
