"""What do requests about persons look like in the operator's API? All are ours."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from countermand.actions.privacy.ports import Place
from countermand.contracts.http.answer import JsonObject

Email = Annotated[
    str,
    Meta(
        description="The person's e-mail address; upper and lower case make no difference",
        pattern=r"^[^\s@]+@[^\s@]+$(?!\n)",
        max_length=254,
        examples=["jo@example.com"],
        extra={"in_words": "an e-mail address like jo@example.com, of at most 254 characters"},
    ),
]


class PersonGiven(Struct, kw_only=True):
    """The person that is meant."""

    email: Email


class ForgetGiven(PersonGiven, kw_only=True):
    """The person to forget. Nothing is changed unless `dry_run` is false."""

    dry_run: Annotated[bool, Meta(description="Only count what would be forgotten, and change nothing")] = True
    even_open: Annotated[
        bool, Meta(description="Forget the person in orders, too, that are open or before their event")
    ] = False


class PersonalEntry(Struct, kw_only=True):
    """A place where something about the person is stored."""

    place: Annotated[
        str,
        Meta(description=f"The kind of the place: {', '.join(Place)}"),
    ]
    order_id: Annotated[str | None, Meta(description="The id of the order; null if the entry belongs to no order")]
    reference: Annotated[str | None, Meta(description="The order's reference; null if there is no order")]
    client_id: Annotated[int, Meta(description="The id of the client that the entry came from")]
    stored_at: Annotated[datetime, Meta(description="When the entry was stored, in UTC")]
    data: Annotated[
        list[JsonObject],
        Meta(
            description="The parts about the person, as stored. A text stands as `text`, and the address of a "
            "connection that may be the buyer's as `caller_address`"
        ),
    ]


class Export(Struct, kw_only=True):
    """Everything that is stored about a person."""

    entries: Annotated[list[PersonalEntry], Meta(description="One entry for each place, orders first")]


class TextsIn(Struct, kw_only=True):
    """How many texts about the person were forgotten, or left, in a kind of place."""

    place: Annotated[str, Meta(description="The kind of the place, as in an export")]
    number: Annotated[
        int, Meta(description="How many texts there were forgotten or left; in a dry run, how many would be")
    ]


class OrderLeft(Struct, kw_only=True):
    """An order that still needs the person, so that nothing of it was forgotten."""

    order_id: Annotated[str, Meta(description="The order's id, such as shopping-<uid>")]
    state: Annotated[str, Meta(description="The order's state")]
    why: Annotated[str, Meta(description="The reason, for people")]


class Forgotten(Struct, kw_only=True):
    """What was forgotten or, in a dry run, would be."""

    dry_run: Annotated[bool, Meta(description="Whether nothing was changed")]
    request_id: Annotated[
        str | None, Meta(description="The id of the record of this request; null for a dry run, which is not recorded")
    ]
    finished: Annotated[
        bool,
        Meta(
            description="True after a dry run, and if the last look at all texts found nothing more. False if texts "
            "about the person were stored again and again meanwhile: send the request once more"
        ),
    ]
    forgotten: Annotated[list[TextsIn], Meta(description="What was forgotten, by kind of place; empty if nothing was")]
    left: Annotated[
        list[OrderLeft], Meta(description="The orders that were left as they are: 1,000 of them, if there are more")
    ]
    left_texts: Annotated[
        list[TextsIn],
        Meta(
            description="What was left, by kind of place: texts of such orders, the stored consumers that these orders "
            "name, and the stored answers that name such orders or consumers"
        ),
    ]
