"""Requests about persons in the operator's API: export what is stored about a person, and forget the person."""

from collections.abc import Mapping
from contextlib import aclosing
from typing import Final

from countermand.actions.errors import ConflictError
from countermand.actions.privacy.persons import Entry, Forgotten, export_person, forget_person
from countermand.actions.privacy.ports import PersonalTexts, Place
from countermand.contracts.http.answer import Answer, JsonObject, indented, json_answer
from countermand.contracts.http.calls import Call, CallContext, ServiceCall, body_of
from countermand.contracts.http.openapi import Reply
from countermand.contracts.manage import privacy_messages as messages
from countermand.contracts.manage.calls import ROOT, operation
from countermand.contracts.manage.messages import PROBLEM_JSON, Problem
from countermand.contracts.manage.order_ids import order_id_text
from countermand.domain.client import Permission
from countermand.domain.privacy import Person

MOST_EXPORTED: Final = 1000
_TOO_LARGE: Final = (
    f"more than {MOST_EXPORTED:,} texts are about this person, and none was exported; on the machine of the database, "
    "`countermand privacy export` exports any number"
)


class ManagedPrivacy:
    """The calls about persons. Without `texts`, they are only described."""

    def __init__(self, texts: PersonalTexts | None) -> None:
        self._texts = texts

    def calls(self) -> tuple[Call, ...]:
        """Return the calls about persons with their handlers."""
        return (
            ServiceCall(operation=_EXPORT, body=body_of(messages.PersonGiven), handle=self._export),
            ServiceCall(operation=_FORGET, body=body_of(messages.ForgetGiven), handle=self._forget),
        )

    async def _export(self, context: CallContext[messages.PersonGiven]) -> Answer:
        assert self._texts is not None
        person, clock = Person(context.body.email), context.services.clock
        entries: list[messages.PersonalEntry] = []
        async with aclosing(export_person(self._texts, clock, person, context.actor)) as found:
            async for one in found:
                if len(entries) == MOST_EXPORTED:
                    raise ConflictError("export_too_large", _TOO_LARGE)
                entries.append(entry_shown(one))
        return json_answer(200, messages.Export(entries=entries))

    async def _forget(self, context: CallContext[messages.ForgetGiven]) -> Answer:
        assert self._texts is not None
        given = context.body
        forgotten = await forget_person(
            self._texts,
            context.services.clock,
            Person(given.email),
            context.actor,
            dry_run=given.dry_run,
            even_open=given.even_open,
        )
        return json_answer(200, forgotten_shown(forgotten))


def entry_shown(entry: Entry) -> messages.PersonalEntry:
    """Return an entry of an export."""
    order = entry.order
    return messages.PersonalEntry(
        place=entry.stored.place.value,
        order_id=None if order is None else order_id_text(order),
        reference=None if order is None else order.reference,
        client_id=entry.stored.client_id,
        stored_at=entry.stored.stored_at,
        data=[JsonObject(part) for part in entry.stored.parts],
    )


def forgotten_shown(forgotten: Forgotten) -> messages.Forgotten:
    """Return what was forgotten."""
    return messages.Forgotten(
        dry_run=forgotten.request_id is None,
        request_id=forgotten.request_id,
        finished=forgotten.is_finished,
        forgotten=_texts_in(forgotten.counts),
        left=[
            messages.OrderLeft(order_id=order_id_text(one.order), state=one.order.state.value, why=one.why)
            for one in forgotten.left
        ],
        left_texts=_texts_in(forgotten.left_counts),
    )


def _texts_in(counts: Mapping[Place, int]) -> list[messages.TextsIn]:
    return [messages.TextsIn(place=place.value, number=number) for place, number in counts.items()]


def as_json(shown: messages.PersonalEntry | messages.Forgotten) -> str:
    """Return an answer as the command line prints it, indented for people."""
    return indented(shown)


_EXPORT: Final = operation(
    "exportPerson",
    "POST",
    ROOT + "/privacy/export",
    "Export everything that is stored about a person. The export is recorded, without the address",
    Permission.FORGET,
    {
        200: Reply(when="Everything that is stored about the person", message=messages.Export),
        409: Reply(when=f"More than {MOST_EXPORTED:,} texts", message=Problem, media_type=PROBLEM_JSON),
    },
    request=messages.PersonGiven,
    takes_key=False,
)
_FORGET: Final = operation(
    "forgetPerson",
    "POST",
    ROOT + "/privacy/forget",
    "Replace what is stored about a person. Without `dry_run: false`, only count it. A repeat forgets what is left",
    Permission.FORGET,
    {200: Reply(when="What was forgotten or, in a dry run, would be", message=messages.Forgotten)},
    request=messages.ForgetGiven,
    takes_key=False,
    conflicts=False,
)
