"""Requests about persons in the operator's API: export what is stored about a person, and forget the person."""

from collections.abc import Sequence
from typing import Final

from countermand.actions.privacy.persons import Entry, Forgotten, export_person, forget_person
from countermand.actions.privacy.ports import PersonalTexts
from countermand.contracts.http.answer import Answer, JsonObject, indented, json_answer
from countermand.contracts.http.calls import Call, CallContext, ServiceCall, body_of
from countermand.contracts.http.openapi import Reply
from countermand.contracts.manage import privacy_messages as messages
from countermand.contracts.manage.calls import ROOT, operation
from countermand.contracts.manage.order_ids import order_id_text
from countermand.domain.client import Permission
from countermand.domain.privacy import Person


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
        entries = await export_person(self._texts, clock, person, client_id=context.client.id)
        return json_answer(200, export_shown(entries))

    async def _forget(self, context: CallContext[messages.ForgetGiven]) -> Answer:
        assert self._texts is not None
        given = context.body
        forgotten = await forget_person(
            self._texts,
            context.services.clock,
            Person(given.email),
            client_id=context.client.id,
            dry_run=given.dry_run,
            even_open=given.even_open,
        )
        return json_answer(200, forgotten_shown(forgotten))


def export_shown(entries: Sequence[Entry]) -> messages.Export:
    """Return an export."""
    return messages.Export(
        entries=[
            messages.PersonalEntry(
                place=one.stored.place.value,
                order_id=None if one.order is None else order_id_text(one.order),
                reference=None if one.order is None else one.order.reference,
                client_id=one.stored.client_id,
                stored_at=one.stored.stored_at,
                data=[JsonObject(part) for part in one.stored.parts],
            )
            for one in entries
        ]
    )


def forgotten_shown(forgotten: Forgotten) -> messages.Forgotten:
    """Return what was forgotten."""
    return messages.Forgotten(
        dry_run=forgotten.request_id is None,
        request_id=forgotten.request_id,
        forgotten=[
            messages.ForgottenIn(place=place.value, number=number) for place, number in forgotten.counts.items()
        ],
        left=[
            messages.OrderLeft(order_id=order_id_text(one.order), state=one.order.state.value, why=one.why)
            for one in forgotten.left
        ],
    )


def as_json(shown: messages.Export | messages.Forgotten) -> str:
    """Return an answer as the command line prints it, indented for people."""
    return indented(shown)


_EXPORT: Final = operation(
    "exportPerson",
    "POST",
    ROOT + "/privacy/export",
    "Export everything that is stored about a person. The export is recorded, without the address",
    Permission.FORGET,
    {200: Reply(when="Everything that is stored about the person", message=messages.Export)},
    request=messages.PersonGiven,
    takes_key=False,
    conflicts=False,
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
