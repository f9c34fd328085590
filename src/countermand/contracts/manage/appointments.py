"""Appointments in the operator's API: agree, move, follow and call off; answer what clients asked; the calendar."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from countermand.actions.appointments.load_calendar import SLOT_ID_PATTERN, load_slots, slot_at
from countermand.actions.appointments.ports import Accepted, OpenSlot
from countermand.actions.appointments.request import SlotsOffered, answer_task
from countermand.actions.appointments.set import (
    advance_appointment,
    cancel_appointment,
    move_appointment,
    set_appointment,
)
from countermand.actions.errors import FieldsError, NotFoundError
from countermand.actions.ports import Transaction
from countermand.contracts.http.answer import Answer, json_answer
from countermand.contracts.http.body import decode, read, shown
from countermand.contracts.http.calls import Call, Route, Services
from countermand.contracts.http.openapi import Reply, parameter
from countermand.contracts.manage import messages
from countermand.contracts.manage.calls import ORDER, ROOT, caller, change, in_range, nothing, order_id_in, route
from countermand.contracts.manage.translate import appointment_shown, slot_shown, task_shown
from countermand.domain.appointments.appointment import AppointmentId, AppointmentState, HalfDay, SlotId
from countermand.domain.appointments.appointment_task import Failure, TaskId
from countermand.domain.client import Client, Permission
from countermand.domain.orders.order import order_id_from

_SLOTS: Final = ROOT + "/calendar/slots"
_TASKS: Final = ROOT + "/appointment-tasks"
_PAGE: Final = 100
_APPOINTMENT: Final = parameter("appointment", "path", "The appointment's id", {"type": "integer"})
_TASK: Final = parameter("task", "path", "The task's id", {"type": "integer"})
_AFTER_TASK: Final = parameter(
    "after", "query", "Only tasks with a higher id", {"type": "integer", "minimum": 0, "default": 0}, required=False
)
_AFTER_SLOT: Final = parameter(
    "after",
    "query",
    "The `next` of the page before",
    {"type": "string", "examples": ["2026-12-01T21:00:00Z 1"]},
    required=False,
)


async def _set_visit(call: Call, services: Services) -> Answer:
    async def do(tx: Transaction, client: Client, times: tuple[datetime, datetime]) -> Answer:
        visit = await set_appointment(tx, client.id, order_id_in(call), *times, services.clock())
        return json_answer(201, appointment_shown(visit))

    return await change(call, services, _times, do)


async def _move_visit(call: Call, services: Services) -> Answer:
    async def do(tx: Transaction, client: Client, times: tuple[datetime, datetime]) -> Answer:
        about = (order_id_in(call), _appointment_id(call))
        visit = await move_appointment(tx, client.id, *about, *times, services.clock())
        return json_answer(200, appointment_shown(visit))

    return await change(call, services, _times, do)


async def _cancel_visit(call: Call, services: Services) -> Answer:
    async def do(tx: Transaction, client: Client, _: None) -> Answer:
        visit = await cancel_appointment(tx, client.id, order_id_in(call), _appointment_id(call), services.clock())
        return json_answer(200, appointment_shown(visit))

    return await change(call, services, nothing, do)


async def _advance_visit(call: Call, services: Services) -> Answer:
    async def do(tx: Transaction, client: Client, state: AppointmentState) -> Answer:
        about = (order_id_in(call), _appointment_id(call))
        visit = await advance_appointment(tx, client.id, *about, state, services.clock())
        return json_answer(200, appointment_shown(visit))

    return await change(call, services, _state, do)


async def _tasks(call: Call, services: Services) -> Answer:
    await caller(call, services, Permission.READ)
    after = _whole("after", call.query.get("after", "0"))
    async with services.store.snapshot() as reading:
        found = await reading.pending_tasks(TaskId(after), _PAGE)
    return json_answer(200, messages.AppointmentTasks(tasks=[task_shown(task) for task in found]))


async def _answer_task(call: Call, services: Services) -> Answer:
    async def do(tx: Transaction, client: Client, said: SlotsOffered | Accepted | Failure) -> Answer:
        task_id = TaskId(_number(call, "task"))
        task = await answer_task(tx, client.id, order_id_in(call), task_id, said, services.clock())
        return json_answer(200, task_shown(task))

    return await change(call, services, _said, do)


async def _read_slots(call: Call, services: Services) -> Answer:
    await caller(call, services, Permission.READ)
    async with services.store.snapshot() as reading:
        found = await reading.slots(_after_slot(call.query), _PAGE + 1)
    following = None
    if len(found) > _PAGE:
        found = found[:_PAGE]
        last = found[-1].slot
        following = f"{last.starts_at:%Y-%m-%dT%H:%M:%S.%fZ} {last.id}"
    return json_answer(200, messages.Calendar(slots=[slot_shown(one) for one in found], next=following))


async def _load_slots(call: Call, services: Services) -> Answer:
    async def do(tx: Transaction, _: Client, wanted: list[OpenSlot]) -> Answer:
        done = await load_slots(tx, wanted)
        loaded = messages.Loaded(added=done["added"], changed=done["changed"], as_they_were=done["as they were"])
        return json_answer(200, loaded)

    return await change(call, services, _slots, do)


def _appointment_id(call: Call) -> AppointmentId:
    return AppointmentId(_number(call, "appointment"))


def _number(call: Call, name: str) -> int:
    number = order_id_from(call.path_parameters[name])  # numbers of one kind: counted up from 1
    if number is None:
        raise NotFoundError(f"there is no such {name}")
    return number


def _whole(name: str, given: str) -> int:
    number = 0 if given == "0" else order_id_from(given)
    if number is None:
        raise FieldsError([(name, f"{name} must be a whole number from 0 up, not {shown(given)}")])
    return number


def _times(call: Call) -> tuple[datetime, datetime]:
    given = read(messages.AppointmentGiven, decode(call.body))
    return in_range("starts_at", given.starts_at), in_range("ends_at", given.ends_at)


def _state(call: Call) -> AppointmentState:
    return AppointmentState(read(messages.AppointmentStateGiven, decode(call.body)).state)


def _said(call: Call) -> SlotsOffered | Accepted | Failure:
    """The operator's answer: slots, a yes, or a no."""
    given = read(messages.TaskAnswer, decode(call.body))
    said = [one for one in (given.slots, given.accepted, given.refused) if one is not None]
    if len(said) != 1:
        raise FieldsError([("body", "the body must have just one of slots, accepted and refused")])
    if given.slots is not None:
        return SlotsOffered(slots=[one.slot for one in _open_slots(given.slots)])
    if given.refused is not None:
        return Failure(code=given.refused.code, sentence=given.refused.message)
    assert given.accepted is not None
    return Accepted(remote_id=given.accepted.remote_id)


def _slots(call: Call) -> list[OpenSlot]:
    return _open_slots(read(messages.CalendarGiven, decode(call.body)).slots)


def _open_slots(given: Sequence[messages.CalendarSlot | messages.OfferedSlot]) -> list[OpenSlot]:
    """Slots of the field `slots`. Raises `FieldsError` with all that is wrong with them."""
    slots: list[OpenSlot] = []
    errors: list[tuple[str, str]] = []
    times_given = Counter(one.id for one in given)
    for number, one in enumerate(given):
        name = f"slots[{number}]"
        if times_given[one.id] > 1:
            errors.append((f"{name}.id", f"{name}.id {shown(one.id)} stands more than once"))
        try:
            in_range(f"{name}.starts_at", one.starts_at)
            in_range(f"{name}.ends_at", one.ends_at)
            half_day = None if one.slot_type is None else HalfDay(one.slot_type)
            area, capacity = (one.area, one.capacity) if isinstance(one, messages.CalendarSlot) else ("", 1)
            slots.append(slot_at(one.id, area, one.starts_at, one.ends_at, half_day, capacity))
        except FieldsError as error:
            errors += error.errors
        except ValueError as error:
            errors.append((name, f"{name}: {error}"))
    if errors:
        raise FieldsError(errors)
    return slots


def _after_slot(query: Mapping[str, str]) -> tuple[datetime, SlotId] | None:
    given = query.get("after")
    if given is None:
        return None
    at, _, slot_id = given.partition(" ")
    try:
        starts_at = datetime.fromisoformat(at)
    except ValueError:
        starts_at = None
    if starts_at is None or starts_at.tzinfo is None or not re.fullmatch(SLOT_ID_PATTERN, slot_id):
        raise FieldsError([("after", f"after must be the next of an earlier page, not {shown(given)}")])
    return in_range("after", starts_at), SlotId(slot_id)


_APPOINTMENT_REPLY: Final = {200: Reply(when="The appointment as it stands", message=messages.Appointment)}
ROUTES: Final[tuple[Route, ...]] = (
    route(
        "setAppointment",
        "POST",
        ORDER + "/appointments",
        "Agree an appointment",
        _set_visit,
        {201: Reply(when="Agreed", message=messages.Appointment)},
        messages.AppointmentGiven,
    ),
    route(
        "moveAppointment",
        "PUT",
        ORDER + "/appointments/{appointment}",
        "Give an appointment another time",
        _move_visit,
        _APPOINTMENT_REPLY,
        messages.AppointmentGiven,
        _APPOINTMENT,
    ),
    route(
        "cancelAppointment",
        "DELETE",
        ORDER + "/appointments/{appointment}",
        "Call an appointment off",
        _cancel_visit,
        _APPOINTMENT_REPLY,
        None,
        _APPOINTMENT,
    ),
    route(
        "advanceAppointment",
        "POST",
        ORDER + "/appointments/{appointment}/state",
        "Say that an appointment has begun, is completed, or came to nothing",
        _advance_visit,
        _APPOINTMENT_REPLY,
        messages.AppointmentStateGiven,
        _APPOINTMENT,
    ),
    route(
        "listAppointmentTasks",
        "GET",
        _TASKS,
        "What clients asked about appointments and nobody has answered, a hundred at a time",
        _tasks,
        {200: Reply(when="The tasks, by id", message=messages.AppointmentTasks)},
        None,
        _AFTER_TASK,
    ),
    route(
        "answerAppointmentTask",
        "POST",
        ORDER + "/appointment-tasks/{task}/answer",
        "Answer what a client asked: with slots, with a yes, or with a no",
        _answer_task,
        {200: Reply(when="The task as it stands", message=messages.AppointmentTask)},
        messages.TaskAnswer,
        _TASK,
    ),
    route(
        "readCalendar",
        "GET",
        _SLOTS,
        "The calendar, a hundred slots at a time, and how full they are",
        _read_slots,
        {200: Reply(when="Slots, by their start", message=messages.Calendar)},
        None,
        _AFTER_SLOT,
    ),
    route(
        "loadCalendar",
        "PUT",
        _SLOTS,
        "Add slots to the calendar, or change those with the same id: all of them or none",
        _load_slots,
        {200: Reply(when="What was done", message=messages.Loaded)},
        messages.CalendarGiven,
    ),
)
