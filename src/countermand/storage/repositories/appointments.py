"""Reads and writes appointments, calendar slots, and the tasks about appointments."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import msgspec
from sqlalchemy import BigInteger, ColumnElement, String, and_, cast, func, insert, literal_column, select, update

from countermand.actions.appointments.ports import OpenSlot
from countermand.domain.appointments.appointment import (
    ACTIVE_APPOINTMENT_STATES,
    Appointment,
    AppointmentId,
    AppointmentState,
    HalfDay,
    Slot,
    SlotId,
)
from countermand.domain.appointments.appointment_task import AppointmentTask, Failure, TaskId, TaskKind, TaskState
from countermand.domain.client import ClientId
from countermand.domain.known import Unknown, known
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.search_handles import exact_handle
from countermand.storage.prepared import Prepared, argument
from countermand.storage.repositories.handles import HandleRows, with_handle
from countermand.storage.repositories.rows import appointment_columns, appointment_of, written
from countermand.storage.sql_types import Column, Query, Row
from countermand.storage.tables.appointments import appointment_tasks, appointments, slots
from countermand.storage.tables.columns import instant, instant_or_none, micros, micros_or_none

# Within the text of a statement: a plan for any value could not use an index of some values alone.
_ACTIVE_TEXTS: Final[list[Column]] = [literal_column(f"'{state}'") for state in sorted(ACTIVE_APPOINTMENT_STATES)]
_PENDING_TEXT: Final[Column] = literal_column(f"'{TaskState.PENDING}'")
_OVER: Final = [state.value for state in AppointmentState if state not in ACTIVE_APPOINTMENT_STATES]
_LONGEST_OFFSET: Final = timedelta(hours=14)
_SECOND: Final = timedelta(seconds=1)
_MICROSECOND: Final = timedelta(microseconds=1)


_OF_ORDER: Final = argument("of_order", BigInteger)
_OF_SLOT: Final = argument("of_slot", String)
_INSERT: Final = with_handle(appointments, [column.name for column in appointments.c])
_NOT_OVER: Final = Prepared(
    select(appointments).where(appointments.c.order_id == _OF_ORDER, appointments.c.state.not_in(_OVER))
)
_TASK: Final = Prepared(select(appointment_tasks).where(appointment_tasks.c.id == argument("of_task", BigInteger)))
_PENDING: Final = Prepared(
    select(appointment_tasks)
    .where(
        appointment_tasks.c.order_id == _OF_ORDER,
        appointment_tasks.c.kind == argument("of_kind", String),
        appointment_tasks.c.state == _PENDING_TEXT,
    )
    .order_by(appointment_tasks.c.id)
    .limit(1)
)
_INSERT_TASK: Final = Prepared(insert(appointment_tasks), [column.name for column in appointment_tasks.c])


class AppointmentRows(HandleRows):
    """Implements the protocols of `actions/appointments/ports.py`."""

    async def insert_appointment(self, order_id: OrderId, appointment: Appointment) -> None:
        """See `AppointmentWriting.insert_appointment`."""
        columns = appointment_columns(order_id, appointment)
        await self.insert_with_handle(_INSERT, columns, exact_handle(str(appointment.id)))

    async def change_appointment(self, order_id: OrderId, appointment: Appointment) -> None:
        """See `AppointmentWriting.change_appointment`."""
        await self._execute(
            update(appointments)
            .where(appointments.c.order_id == order_id, appointments.c.id == appointment.id)
            .values(appointment_columns(order_id, appointment))
        )

    async def appointment(self, order_id: OrderId, appointment_id: AppointmentId) -> Appointment | None:
        """See `AppointmentReading.appointment`."""
        row = await self._one(
            select(appointments).where(appointments.c.order_id == order_id, appointments.c.id == appointment_id)
        )
        return None if row is None else appointment_of(row)

    async def active_appointment(self, order_id: OrderId) -> Appointment | None:
        """See `AppointmentReading.active_appointment`."""
        found = [appointment_of(row) for row in await self._prepared(_NOT_OVER, {"of_order": order_id})]
        return max(found, key=lambda one: isinstance(one.state, Unknown), default=None)

    async def order_of_appointment(self, appointment_id: AppointmentId) -> OrderId | None:
        """See `AppointmentReading.order_of_appointment`."""
        row = await self._one(select(appointments.c.order_id).where(appointments.c.id == appointment_id))
        return None if row is None else OrderId(row["order_id"])

    # Tasks

    async def task(self, task_id: TaskId) -> AppointmentTask | None:
        """See `TaskReading.task`."""
        row = await self._prepared_one(_TASK, {"of_task": task_id})
        return None if row is None else task_of(row)

    async def pending_task(self, order_id: OrderId, kind: TaskKind) -> AppointmentTask | None:
        """See `TaskReading.pending_task`."""
        row = await self._prepared_one(_PENDING, {"of_order": order_id, "of_kind": kind.value})
        return None if row is None else task_of(row)

    async def insert_task(self, task: AppointmentTask) -> None:
        """See `TaskWriting.insert_task`."""
        await self._prepared(_INSERT_TASK, _task_columns(task))

    async def change_task(self, task: AppointmentTask) -> None:
        """See `TaskWriting.change_task`."""
        await self._execute(
            update(appointment_tasks)
            .where(appointment_tasks.c.order_id == task.order_id, appointment_tasks.c.id == task.id)
            .values(_task_columns(task))
        )

    # The calendar

    async def open_slots(
        self, areas: Collection[str], from_date: date, after: datetime, at_most: int
    ) -> Sequence[Slot]:
        """See `CalendarReading.open_slots`."""
        first_day = micros(datetime.combine(from_date, time(), UTC))
        offset = cast(slots.c.utc_offset_s, BigInteger) * (_SECOND // _MICROSECOND)
        there = slots.c.starts_at + offset  # the start by the customer's own calendar
        found = await self.rows(
            _with_load()
            .where(
                slots.c.area.in_(areas),
                slots.c.starts_at > micros(after),
                slots.c.starts_at >= first_day - _LONGEST_OFFSET // _MICROSECOND,  # a condition that the index can use
                there >= first_day,
                slots.c.capacity > _load(),
            )
            .order_by(slots.c.starts_at, slots.c.id)
            .limit(at_most)
        )
        return [_open_slot_of(row).slot for row in found]

    async def lock_slot(self, slot_id: SlotId) -> OpenSlot | None:
        """See `SlotLock.lock_slot`. A second statement counts, so that it sees what others committed."""
        await self._prepared(_LOCK_SLOT, {"of_slot": slot_id})
        row = await self._prepared_one(_SLOT, {"of_slot": slot_id})
        return None if row is None else _open_slot_of(row)

    async def slots(self, after: tuple[datetime, SlotId] | None, at_most: int) -> Sequence[OpenSlot]:
        """See `CalendarReading.slots`."""
        query = _with_load().order_by(slots.c.starts_at, slots.c.id).limit(at_most)
        if after is not None:
            starts_at, slot_id = after
            later = slots.c.starts_at > micros(starts_at)
            query = query.where(later | and_(slots.c.starts_at == micros(starts_at), slots.c.id > slot_id))
        return [_open_slot_of(row) for row in await self.rows(query)]

    async def add_slot(self, wanted: OpenSlot) -> bool:
        """See `CalendarWriting.add_slot`. If another transaction is adding the same slot, wait for its end."""
        add = self._insert(slots).values(_slot_columns(wanted)).on_conflict_do_nothing(index_elements=["id"])
        return await self.run(add) > 0

    async def change_slot(self, wanted: OpenSlot) -> None:
        """See `CalendarWriting.change_slot`."""
        await self._execute(update(slots).where(slots.c.id == wanted.slot.id).values(_slot_columns(wanted)))


def _load() -> ColumnElement[int]:
    """Return a subquery that counts the active visits of a slot."""
    return (
        select(func.count())
        .select_from(appointments)
        .where(appointments.c.slot_id == slots.c.id, appointments.c.state.in_(_ACTIVE_TEXTS))
        .correlate(slots)
        .scalar_subquery()
    )


def _with_load() -> Query:
    return select(slots, _load().label("booked"))


# Compiled once, because every booking runs them.
_LOCK_SLOT: Final = Prepared(select(slots.c.id).where(slots.c.id == _OF_SLOT).with_for_update())
_SLOT: Final = Prepared(_with_load().where(slots.c.id == _OF_SLOT))


def _open_slot_of(row: Row) -> OpenSlot:
    slot = Slot(
        id=SlotId(row["id"]),
        starts_at=instant(row["starts_at"]),
        ends_at=instant(row["ends_at"]),
        half_day=known(HalfDay, row["half_day"]),
        utc_offset=timedelta(seconds=row["utc_offset_s"]),
    )
    return OpenSlot(slot=slot, area=row["area"], capacity=row["capacity"], booked=row["booked"])


def _slot_columns(wanted: OpenSlot) -> dict[str, object]:
    slot = wanted.slot
    return {
        "id": slot.id,
        "area": wanted.area,
        "starts_at": micros(slot.starts_at),
        "ends_at": micros(slot.ends_at),
        "half_day": slot.half_day.value,
        "utc_offset_s": slot.utc_offset // timedelta(seconds=1),
        "capacity": wanted.capacity,
    }


class _WrittenSlot(msgspec.Struct):
    """A slot as an answered task stores it: as it was offered, even if the calendar changes later."""

    id: str
    starts_at: int
    ends_at: int
    half_day: str
    utc_offset_s: int


class _WrittenFailure(msgspec.Struct):
    code: str
    sentence: str


def task_of(row: Row) -> AppointmentTask:
    """Return the task of a row."""
    answered_at, from_date = row["answered_at"], row["from_date"]
    failure = None if row["failure"] is None else msgspec.json.decode(row["failure"], type=_WrittenFailure)
    offered = [] if row["slots"] is None else msgspec.json.decode(row["slots"], type=list[_WrittenSlot])
    return AppointmentTask(
        id=TaskId(row["id"]),
        order_id=OrderId(row["order_id"]),
        client_id=ClientId(row["client_id"]),
        kind=known(TaskKind, row["kind"]),
        state=known(TaskState, row["state"]),
        asked_at=instant(row["asked_at"]),
        answered_at=instant_or_none(answered_at),
        from_date=None if from_date is None else date.fromisoformat(from_date),
        slots=tuple(
            Slot(
                id=SlotId(one.id),
                starts_at=instant(one.starts_at),
                ends_at=instant(one.ends_at),
                half_day=known(HalfDay, one.half_day),
                utc_offset=timedelta(seconds=one.utc_offset_s),
            )
            for one in offered
        ),
        offer_id=None if row["offer_id"] is None else TaskId(row["offer_id"]),
        appointment_id=None if row["appointment_id"] is None else AppointmentId(row["appointment_id"]),
        failure=None if failure is None else Failure(code=failure.code, sentence=failure.sentence),
    )


def _task_columns(task: AppointmentTask) -> Mapping[str, object]:
    offered = [
        _WrittenSlot(
            id=one.id,
            starts_at=micros(one.starts_at),
            ends_at=micros(one.ends_at),
            half_day=one.half_day.value,
            utc_offset_s=one.utc_offset // timedelta(seconds=1),
        )
        for one in task.slots
    ]
    failure = None if task.failure is None else {"code": task.failure.code, "sentence": task.failure.sentence}
    return {
        "order_id": task.order_id,
        "id": task.id,
        "client_id": task.client_id,
        "kind": task.kind.value,
        "state": task.state.value,
        "asked_at": micros(task.asked_at),
        "answered_at": micros_or_none(task.answered_at),
        "from_date": None if task.from_date is None else task.from_date.isoformat(),
        "offer_id": task.offer_id,
        "appointment_id": task.appointment_id,
        "slots": msgspec.json.encode(offered).decode() if offered else None,
        "failure": None if failure is None else written(failure),
    }
