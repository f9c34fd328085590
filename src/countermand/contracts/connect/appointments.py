"""How does a partner ask for slots, book an appointment, cancel it, and follow what became of the request?

Each of these requests answers 201 with a `Location` and an empty body. A GET there answers 202 until there is a result,
then 200 with the result, or 422 with the reason (documented; the addresses are inferred, connect decision 26).
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from countermand.actions.appointments.ports import BookingTerms
from countermand.actions.appointments.request import ask_for_slots, ask_to_call_off, book, read_task, withdraw_offer
from countermand.actions.errors import NotFoundError
from countermand.actions.ordering.read_orders import read_appointment, read_order
from countermand.actions.ordering.views import OrderView
from countermand.contracts.connect import messages
from countermand.contracts.connect.calls import VERSION, replies
from countermand.contracts.connect.contract import NAME
from countermand.contracts.connect.orders import ID, ORDER, ORDERS, order_id_in
from countermand.contracts.connect.translate import (
    PENDING,
    SIX_HEADERS,
    WITHDRAWN,
    appointment_answer,
    appointments_answer,
    called_off_answer,
    failure_answer,
    slots_answer,
)
from countermand.contracts.http.answer import Answer
from countermand.contracts.http.calls import (
    Call,
    CallContext,
    Request,
    ServiceCall,
    Services,
    TransactionCall,
    body_of,
    no_body,
)
from countermand.contracts.http.openapi import Operation, Reply, parameter
from countermand.contracts.http.store import Transaction
from countermand.domain.appointments.appointment import Appointment, AppointmentId, SlotId
from countermand.domain.appointments.appointment_task import AppointmentTask, Failure, TaskId, TaskKind, TaskState
from countermand.domain.client import Permission
from countermand.domain.known import Unknown
from countermand.domain.orders.order import LARGEST_ORDER_ID, OrderId, order_id_from

_REQUESTS: Final = ORDERS + "/appointment-requests"
APPOINTMENTS: Final = ORDERS + "/appointments"
_CANCELLATIONS: Final = ORDERS + "/appointment-cancellations"
_FOUND_AT: Final[Mapping[TaskKind, str]] = {
    TaskKind.OFFER_SLOTS: _REQUESTS + "/requests/",
    TaskKind.BOOK: APPOINTMENTS + "/requests/",
    TaskKind.CANCEL: _CANCELLATIONS + "/requests/",
}


class ConnectAppointments:
    """The calls on appointments."""

    def __init__(self, booking: BookingTerms) -> None:
        self._terms = booking

    def calls(self) -> tuple[Call, ...]:
        """Return the calls on appointments with their handlers."""
        return (
            TransactionCall(operation=_ASK_FOR_SLOTS, body=body_of(messages.SlotsWanted), handle=self._ask_for_slots),
            ServiceCall(operation=_READ_SLOTS, body=no_body, handle=_read_slots),
            TransactionCall(operation=_WITHDRAW, body=body_of(messages.OfferWithdrawn), handle=_withdraw),
            TransactionCall(operation=_BOOK, body=body_of(messages.SlotWanted), handle=self._book),
            ServiceCall(operation=_READ_BOOKING, body=no_body, handle=_read_booking),
            TransactionCall(operation=_CALL_OFF, body=body_of(messages.AppointmentUnwanted), handle=self._call_off),
            ServiceCall(operation=_READ_CANCELLATION, body=no_body, handle=_read_cancellation),
            ServiceCall(operation=_READ_APPOINTMENT, body=no_body, handle=_read_appointment),
            ServiceCall(operation=_LIST_APPOINTMENTS, body=no_body, handle=_list_appointments),
        )

    async def _ask_for_slots(self, tx: Transaction, context: CallContext[messages.SlotsWanted]) -> Answer:
        order_id, services = OrderId(_number(context.body.orderId)), context.services
        from_date = context.body.dateFrom
        task = await ask_for_slots(tx, self._terms, context.client.id, order_id, from_date, services.clock())
        return _taken(task, services)

    async def _book(self, tx: Transaction, context: CallContext[messages.SlotWanted]) -> Answer:
        offer_id, slot_id = TaskId(_number(context.body.appointmentRequestId)), SlotId(context.body.slotId)
        services = context.services
        task = await book(tx, self._terms, context.actor, offer_id, slot_id, services.clock())
        return _taken(task, services)

    async def _call_off(self, tx: Transaction, context: CallContext[messages.AppointmentUnwanted]) -> Answer:
        appointment_id, services = AppointmentId(_number(context.body.appointmentId)), context.services
        task = await ask_to_call_off(tx, self._terms, context.actor, appointment_id, services.clock())
        return _taken(task, services)


async def _withdraw(tx: Transaction, context: CallContext[messages.OfferWithdrawn]) -> Answer:
    await withdraw_offer(tx, context.client.id, TaskId(_number(context.body.appointmentRequestId)))
    return WITHDRAWN


async def _read_slots(context: CallContext[None]) -> Answer:
    task, _ = await _task(context, TaskKind.OFFER_SLOTS)
    if task.state is TaskState.WITHDRAWN:
        gone = Failure(code="appointment_request_cancelled", sentence="the appointment-request was cancelled")
        return failure_answer(gone)
    return _unless_done(task) or slots_answer(task)


async def _read_booking(context: CallContext[None]) -> Answer:
    task, view = await _task(context, TaskKind.BOOK)
    return _unless_done(task) or appointment_answer(view, _appointment_of(view, task))


async def _read_cancellation(context: CallContext[None]) -> Answer:
    task, view = await _task(context, TaskKind.CANCEL)
    return _unless_done(task) or called_off_answer(task, _appointment_of(view, task))


async def _read_appointment(context: CallContext[None]) -> Answer:
    appointment_id = AppointmentId(_number_in(context.request))
    view = await read_appointment(context.services.store, appointment_id, owner=context.client.id)
    return appointment_answer(view, next(one for one in view.appointments if one.id == appointment_id))


async def _list_appointments(context: CallContext[None]) -> Answer:
    order_id = order_id_in(context.request)
    return appointments_answer(
        await read_order(context.services.store, order_id, contract=NAME, owner=context.client.id)
    )


async def _task(context: CallContext[None], kind: TaskKind) -> tuple[AppointmentTask, OrderView]:
    task_id, services = TaskId(_number_in(context.request)), context.services
    return await read_task(services.store, context.client.id, task_id, kind, services.clock())


def _taken(task: AppointmentTask, services: Services) -> Answer:
    assert not isinstance(task.kind, Unknown), "it was made here"
    location = f"{services.public_url}{_FOUND_AT[task.kind]}{task.id}"
    return Answer(201, (*SIX_HEADERS, (b"location", location.encode())))


def _unless_done(task: AppointmentTask) -> Answer | None:
    if task.state is TaskState.PENDING:
        return PENDING
    return None if task.failure is None else failure_answer(task.failure)


def _appointment_of(view: OrderView, task: AppointmentTask) -> Appointment:
    return next(one for one in view.appointments if one.id == task.appointment_id)


def _number(given: int) -> int:
    """Return a number that an order, a task or an appointment can have. Raises `NotFoundError` for any other.

    Inferred, as connect decision 10.
    """
    if not 0 < given <= LARGEST_ORDER_ID:
        raise NotFoundError("there is no such thing")
    return given


def _number_in(request: Request) -> int:
    number = order_id_from(request.path_parameters["id"])
    if number is None:
        raise NotFoundError("there is no such thing")
    return number


_ASKED: Final = {
    201: Reply(when="The request is accepted. Read its result at Location.", headers={"Location": "the result's URL"}),
    422: Reply(when="A field is invalid, or the order's current state does not allow it", message=messages.Errors),
}
_NOT_YET: Final = {
    202: Reply(when="There is no result yet. Read again later.", headers={"Retry-After": "seconds (ours)"}),
    422: Reply(when="The request failed; the answer has the reason", message=messages.Errors),
}
_TASK: Final = parameter("id", "path", "The number at the end of the Location", {"type": "integer", "format": "int64"})


def _asking(name: str, path: str, summary: str, description: str, request: type[Struct]) -> Operation:
    return Operation(
        name=name,
        method="POST",
        path=path,
        summary=summary,
        description=description,
        permission=Permission.CREATE,
        request=request,
        takes_key=True,
        parameters=(VERSION,),
        replies=replies(_ASKED, with_body=True),
    )


def _looking(name: str, path: str, summary: str, message: type[Struct]) -> Operation:
    return Operation(
        name=name,
        method="GET",
        path=path + "{id}",
        summary=summary,
        description="202 until there is a result; from then on always 200 with it, or 422.",
        permission=Permission.READ,
        parameters=(_TASK, VERSION),
        replies=replies({**_NOT_YET, 200: Reply(when="The result", message=message)}),
    )


_ASK_FOR_SLOTS: Final = _asking(
    "requestAppointmentSlots",
    _REQUESTS + "/request",
    "Ask for appointment slots",
    "Asks for slots on or after a date, at the location of the order.",
    messages.SlotsWanted,
)
_READ_SLOTS: Final = _looking(
    "readAppointmentSlots", _FOUND_AT[TaskKind.OFFER_SLOTS], "Read the offered slots", messages.AppointmentRequest
)
_WITHDRAW: Final = Operation(
    name="cancelAppointmentRequest",
    method="POST",
    path=_REQUESTS + "/cancel",
    summary="Cancel an appointment-request",
    description="Its slots can no longer be booked. A booked appointment stays. A repeat gets the same answer.",
    permission=Permission.CREATE,
    request=messages.OfferWithdrawn,
    takes_key=True,
    parameters=(VERSION,),
    replies=replies(
        {204: Reply(when="Cancelled"), 422: Reply(when="A field is invalid", message=messages.Errors)},
        with_body=True,
    ),
)
_BOOK: Final = _asking(
    "bookAppointment",
    APPOINTMENTS + "/request",
    "Book an appointment",
    "Books one of the offered slots. An order has at most one active appointment.",
    messages.SlotWanted,
)
_READ_BOOKING: Final = _looking(
    "readAppointmentBooking", _FOUND_AT[TaskKind.BOOK], "Read the result of a booking", messages.Appointment
)
_CALL_OFF: Final = _asking(
    "cancelAppointment",
    _CANCELLATIONS + "/request",
    "Cancel an appointment",
    "Possible until the appointment's point of no return.",
    messages.AppointmentUnwanted,
)
_READ_CANCELLATION: Final = _looking(
    "readAppointmentCancellation",
    _FOUND_AT[TaskKind.CANCEL],
    "Read the result of a cancellation",
    messages.AppointmentCancellation,
)
_READ_APPOINTMENT: Final = Operation(
    name="readAppointment",
    method="GET",
    path=APPOINTMENTS + "/{id}",
    summary="Read an appointment",
    description="Ours: not part of the published contract.",
    permission=Permission.READ,
    parameters=(parameter("id", "path", "The appointment's id", {"type": "integer", "format": "int64"}), VERSION),
    replies=replies({200: Reply(when="The appointment", message=messages.Appointment)}),
)
_LIST_APPOINTMENTS: Final = Operation(
    name="listAppointments",
    method="GET",
    path=ORDER + "/appointments",
    summary="List the appointments of an order",
    description="Ours: not part of the published contract. Includes past appointments; the oldest comes first.",
    permission=Permission.READ,
    parameters=(ID, VERSION),
    replies=replies({200: Reply(when="The appointments", message=messages.Appointments)}),
)
