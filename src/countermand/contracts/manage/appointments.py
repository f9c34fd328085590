"""Appointments in the operator's API: agree, move, advance, cancel; answer clients' tasks; load the calendar."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
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
from countermand.actions.errors import FieldsError
from countermand.actions.ordering.desk_lists import ListPage, RowsWanted
from countermand.contracts.http.answer import Answer, json_answer
from countermand.contracts.http.body import read, shown
from countermand.contracts.http.calls import (
    Call,
    CallContext,
    DecodedBody,
    Request,
    ServiceCall,
    TransactionCall,
    no_body,
)
from countermand.contracts.http.openapi import Reply, parameter
from countermand.contracts.http.store import Transaction
from countermand.contracts.manage import appointment_messages as messages
from countermand.contracts.manage.calls import ORDER, ROOT, after_in, in_range, number_in, operation, order_in
from countermand.contracts.manage.desk_lists import STREAMED, DeskList, Records, list_parameters
from countermand.contracts.manage.translate import appointment_shown, slot_shown, task_shown
from countermand.domain.appointments.appointment import AppointmentId, AppointmentState, HalfDay, SlotId
from countermand.domain.appointments.appointment_task import Failure, TaskId
from countermand.domain.client import Permission
from countermand.domain.orders.order import OrderId, order_id_from

_SLOTS: Final = ROOT + "/calendar/slots"
_TASKS: Final = ROOT + "/appointment-tasks"
_PAGE: Final = 100
_APPOINTMENT: Final = parameter("appointment", "path", "The appointment's id", {"type": "integer"})
_TASK_FILTERS: Final = ("client", "from", "until")
_TASK: Final = parameter("task", "path", "The task's id", {"type": "integer"})
_AFTER_TASK: Final = parameter(
    "after", "query", "Only tasks with a higher id", {"type": "integer", "minimum": 0, "default": 0}, required=False
)
_AFTER_SLOT: Final = parameter(
    "after",
    "query",
    "The `next` of the previous page",
    {"type": "string", "examples": ["2026-12-01T21:00:00Z 1"]},
    required=False,
)


_Times = tuple[datetime, datetime]
_Said = SlotsOffered | Accepted | Failure


async def _set_visit(tx: Transaction, context: CallContext[_Times]) -> Answer:
    order, now = await order_in(tx, context.request), context.services.clock()
    visit = await set_appointment(tx, context.actor, order.id, *context.body, now)
    return json_answer(201, appointment_shown(visit))


async def _move_visit(tx: Transaction, context: CallContext[_Times]) -> Answer:
    order_id, appointment_id = await _appointment_in(tx, context.request)
    now = context.services.clock()
    visit = await move_appointment(tx, context.actor, order_id, appointment_id, *context.body, now)
    return json_answer(200, appointment_shown(visit))


async def _cancel_visit(tx: Transaction, context: CallContext[None]) -> Answer:
    order_id, appointment_id = await _appointment_in(tx, context.request)
    visit = await cancel_appointment(tx, context.actor, order_id, appointment_id, context.services.clock())
    return json_answer(200, appointment_shown(visit))


async def _advance_visit(tx: Transaction, context: CallContext[AppointmentState]) -> Answer:
    order_id, appointment_id = await _appointment_in(tx, context.request)
    now = context.services.clock()
    visit = await advance_appointment(tx, context.actor, order_id, appointment_id, context.body, now)
    return json_answer(200, appointment_shown(visit))


async def _waiting_tasks(records: Records, wanted: RowsWanted, at_most: int) -> ListPage[messages.AppointmentTask]:
    if wanted.after is not None and _whole("after", wanted.after) == 0:
        wanted = replace(wanted, after=None)
    async with records.store.snapshot() as reading:
        found = await reading.waiting_tasks_listed(wanted, at_most)
        orders = await reading.orders(list({task.order_id for task in found.items}))
    tasks = [task_shown(task, orders[task.order_id]) for task in found.items]
    return ListPage(items=tasks, following=found.following)


WAITING_TASKS: Final = DeskList(
    row=messages.AppointmentTask,
    read=_waiting_tasks,
    page=lambda tasks, following: messages.AppointmentTasks(tasks=list(tasks), next=following),
    filters=(*_TASK_FILTERS, "after"),
)


async def _answer_task(tx: Transaction, context: CallContext[_Said]) -> Answer:
    order, task_id = await order_in(tx, context.request), TaskId(number_in(context.request, "task"))
    task = await answer_task(tx, context.actor, order.id, task_id, context.body, context.services.clock())
    return json_answer(200, task_shown(task, order))


async def _read_slots(context: CallContext[None]) -> Answer:
    given = after_in(context.request)
    after = None if given is None else _after_slot(given)
    async with context.services.store.snapshot() as reading:
        found = await reading.slots(after, _PAGE + 1)
    following = None
    if len(found) > _PAGE:
        found = found[:_PAGE]
        last = found[-1].slot
        following = f"{last.starts_at:%Y-%m-%dT%H:%M:%S.%fZ} {last.id}"
    return json_answer(200, messages.Calendar(slots=[slot_shown(one) for one in found], next=following))


async def _load_slots(tx: Transaction, context: CallContext[list[OpenSlot]]) -> Answer:
    done = await load_slots(tx, context.body)
    loaded = messages.Loaded(added=done["added"], changed=done["changed"], as_they_were=done["as they were"])
    return json_answer(200, loaded)


async def _appointment_in(tx: Transaction, request: Request) -> tuple[OrderId, AppointmentId]:
    order = await order_in(tx, request)
    return order.id, AppointmentId(number_in(request, "appointment"))


def _whole(name: str, given: str) -> int:
    number = 0 if given == "0" else order_id_from(given)
    if number is None:
        raise FieldsError([(name, f"{name} must be a whole number from 0 up, not {shown(given)}")])
    return number


def _times(given: DecodedBody) -> _Times:
    times = read(messages.AppointmentGiven, given.json)
    return in_range("starts_at", times.starts_at), in_range("ends_at", times.ends_at)


def _state(given: DecodedBody) -> AppointmentState:
    return AppointmentState(read(messages.AppointmentStateGiven, given.json).state)


def _said(given: DecodedBody) -> _Said:
    """Return the operator's answer: slots, an acceptance, or a refusal."""
    answer = read(messages.TaskAnswer, given.json)
    said = [one for one in (answer.slots, answer.accepted, answer.refused) if one is not None]
    if len(said) != 1:
        raise FieldsError([("body", "the body must have just one of slots, accepted and refused")])
    if answer.slots is not None:
        return SlotsOffered(slots=[one.slot for one in _open_slots(answer.slots)])
    if answer.refused is not None:
        return Failure(code=answer.refused.code, sentence=answer.refused.message)
    assert answer.accepted is not None
    return Accepted(remote_id=answer.accepted.remote_id)


def _slots(given: DecodedBody) -> list[OpenSlot]:
    return _open_slots(read(messages.CalendarGiven, given.json).slots)


def _open_slots(given: Sequence[messages.CalendarSlot | messages.OfferedSlot]) -> list[OpenSlot]:
    """Return the slots of the field `slots`. Raises `FieldsError` with every error in them."""
    slots: list[OpenSlot] = []
    errors: list[tuple[str, str]] = []
    times_given = Counter(one.id for one in given)
    for number, one in enumerate(given):
        name = f"slots[{number}]"
        if times_given[one.id] > 1:
            errors.append((f"{name}.id", f"{name}.id {shown(one.id)} appears more than once"))
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


def _after_slot(given: str) -> tuple[datetime, SlotId]:
    at, _, slot_id = given.partition(" ")
    try:
        starts_at = datetime.fromisoformat(at)
    except ValueError:
        starts_at = None
    if starts_at is None or starts_at.tzinfo is None or not re.fullmatch(SLOT_ID_PATTERN, slot_id):
        raise FieldsError([("after", f"after must be the next of an earlier page, not {shown(given)}")])
    return in_range("after", starts_at), SlotId(slot_id)


_APPOINTMENT_REPLY: Final = {200: Reply(when="The appointment in its current state", message=messages.Appointment)}
CALLS: Final[tuple[Call, ...]] = (
    TransactionCall(
        operation=operation(
            "setAppointment",
            "POST",
            ORDER + "/appointments",
            "Record an agreed appointment",
            Permission.RECORD,
            {201: Reply(when="The new appointment", message=messages.Appointment)},
            request=messages.AppointmentGiven,
        ),
        body=_times,
        handle=_set_visit,
    ),
    TransactionCall(
        operation=operation(
            "moveAppointment",
            "PUT",
            ORDER + "/appointments/{appointment}",
            "Move an appointment to another time",
            Permission.RECORD,
            _APPOINTMENT_REPLY,
            request=messages.AppointmentGiven,
            parameters=[_APPOINTMENT],
        ),
        body=_times,
        handle=_move_visit,
    ),
    TransactionCall(
        operation=operation(
            "cancelAppointment",
            "DELETE",
            ORDER + "/appointments/{appointment}",
            "Cancel an appointment",
            Permission.RECORD,
            _APPOINTMENT_REPLY,
            parameters=[_APPOINTMENT],
        ),
        body=no_body,
        handle=_cancel_visit,
    ),
    TransactionCall(
        operation=operation(
            "advanceAppointment",
            "POST",
            ORDER + "/appointments/{appointment}/state",
            "Record that an appointment has begun, is completed, or ended without success",
            Permission.RECORD,
            _APPOINTMENT_REPLY,
            request=messages.AppointmentStateGiven,
            parameters=[_APPOINTMENT],
        ),
        body=_state,
        handle=_advance_visit,
    ),
    ServiceCall(
        operation=operation(
            "listAppointmentTasks",
            "GET",
            _TASKS,
            "List the tasks about appointments that wait for an answer, up to 100 on each page",
            Permission.READ,
            {200: Reply(when=f"The tasks, sorted by id. {STREAMED}", message=messages.AppointmentTasks)},
            parameters=[*list_parameters(_TASK_FILTERS, "Only tasks of the client with this id"), _AFTER_TASK],
        ),
        body=no_body,
        handle=WAITING_TASKS,
    ),
    TransactionCall(
        operation=operation(
            "answerAppointmentTask",
            "POST",
            ORDER + "/appointment-tasks/{task}/answer",
            "Answer a client's task: offer slots, accept it, or refuse it",
            Permission.RECORD,
            {200: Reply(when="The task in its current state", message=messages.AppointmentTask)},
            request=messages.TaskAnswer,
            parameters=[_TASK],
        ),
        body=_said,
        handle=_answer_task,
    ),
    ServiceCall(
        operation=operation(
            "readCalendar",
            "GET",
            _SLOTS,
            "Read the calendar: the slots and their bookings, up to 100 on each page",
            Permission.READ,
            {200: Reply(when="The slots, sorted by their start", message=messages.Calendar)},
            parameters=[_AFTER_SLOT],
        ),
        body=no_body,
        handle=_read_slots,
    ),
    TransactionCall(
        operation=operation(
            "loadCalendar",
            "PUT",
            _SLOTS,
            "Add slots to the calendar, or change slots with the same id. If one slot is invalid, nothing is loaded",
            Permission.RECORD,
            {200: Reply(when="The numbers of added, changed and unchanged slots", message=messages.Loaded)},
            request=messages.CalendarGiven,
        ),
        body=_slots,
        handle=_load_slots,
    ),
)
