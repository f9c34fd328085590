"""What do the bodies of the operator's API look like? Ours throughout; amounts in requests are decimal numbers."""

from datetime import date, datetime
from typing import Annotated, Final, Literal, get_args

from msgspec import Meta, Struct

from countermand.actions.appointments.load_calendar import AREA_PATTERN, CAPACITY_CAP, SLOT_ID_PATTERN
from countermand.contracts.http.answer import JsonObject
from countermand.contracts.http.body import Number
from countermand.domain.orders.order_state import Transition

PROBLEM_JSON: Final = "application/problem+json"

MoveName = Literal["accept", "start", "pass_no_return", "hold", "reject", "activate", "complete", "expire", "fail"]
assert set(get_args(MoveName)) == {move.value for move in Transition} - {Transition.CANCEL.value}


class PaymentGiven(Struct, kw_only=True):
    """Money that a provider reports. A repeat of its reference is the same payment."""

    reference: Annotated[str, Meta(min_length=1, max_length=255)]
    amount: Annotated[Number, Meta(extra_json_schema={"type": "number", "minimum": 0, "multipleOf": 0.01})]
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)", examples=["EUR"])]


class AppointmentGiven(Struct, kw_only=True):
    """When the visit is."""

    starts_at: Annotated[datetime, Meta(tz=True)]
    ends_at: Annotated[datetime, Meta(tz=True)]


class MoveGiven(Struct, kw_only=True):
    """What happened to the order."""

    move: MoveName


class CancelGiven(Struct, kw_only=True):
    """Why the operator cancels."""

    reason: Annotated[str, Meta(min_length=1, max_length=2000)]


class Appointment(Struct, kw_only=True):
    """A visit. One that was booked has the `slot_id` it was booked in."""

    id: int
    state: str
    starts_at: datetime
    ends_at: datetime
    cancelled_at: datetime | None
    slot_id: str | None
    remote_id: str | None


class AppointmentStateGiven(Struct, kw_only=True):
    """How the visit goes. One that is completed or incomplete no longer stands."""

    state: Literal["in_progress", "completed", "incomplete"]


_SlotId = Annotated[str, Meta(pattern=f"^{SLOT_ID_PATTERN}$(?!\\n)", examples=["2026-12-01-AM"])]
_Local = Annotated[
    datetime, Meta(tz=True, description="With the customer's offset from UTC", examples=["2026-12-01T08:00:00+11:00"])
]


class OfferedSlot(Struct, kw_only=True):
    """A slot that the operator's system offers. Without a `slot_type` it is AM if it begins before noon there."""

    id: _SlotId
    starts_at: _Local
    ends_at: _Local
    slot_type: Literal["AM", "PM"] | None = None


class CalendarSlot(Struct, kw_only=True):
    """A slot of the calendar, for places whose location id begins with `area`: an empty one is for all."""

    id: _SlotId
    starts_at: _Local
    ends_at: _Local
    capacity: Annotated[int, Meta(ge=0, le=CAPACITY_CAP)]
    slot_type: Literal["AM", "PM"] | None = None
    area: Annotated[str, Meta(pattern=f"^{AREA_PATTERN}$(?!\\n)", examples=["LOC3801"])] = ""


class CalendarGiven(Struct, kw_only=True):
    """Slots to be loaded."""

    slots: Annotated[list[CalendarSlot], Meta(min_length=1, max_length=300)]


class SlotShown(Struct, kw_only=True):
    """A slot of the calendar, in which `booked` visits stand."""

    id: str
    area: str
    starts_at: datetime
    ends_at: datetime
    slot_type: str
    utc_offset_minutes: int
    capacity: int
    booked: int


class Calendar(Struct, kw_only=True):
    """A page of the calendar; `next` is what the next page comes `after`, if there is one."""

    slots: list[SlotShown]
    next: str | None


class Loaded(Struct, kw_only=True):
    """How many slots were added, changed, or the same already."""

    added: int
    changed: int
    as_they_were: int


class Yes(Struct, kw_only=True):
    """It is done. `remote_id` is what the visit is called by you, if by anything."""

    remote_id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class No(Struct, kw_only=True):
    """It cannot be done: a stable code, and a sentence for people. The client is told both."""

    code: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$(?!\n)", examples=["no_technician"])]
    message: Annotated[str, Meta(min_length=1, max_length=500)]


class TaskAnswer(Struct, kw_only=True):
    """Just one of these: `slots` where slots are wanted, `accepted` for a booking or a cancellation, `refused`."""

    slots: Annotated[list[OfferedSlot], Meta(max_length=300)] | None = None
    accepted: Yes | None = None
    refused: No | None = None


class AppointmentTask(Struct, kw_only=True):
    """What a client asked about an appointment. Which fields are there depends on its kind."""

    id: int
    order_id: int
    client_id: int
    kind: str
    state: str
    asked_at: datetime
    from_date: date | None
    slot_id: str | None
    starts_at: datetime | None
    ends_at: datetime | None
    appointment_id: int | None
    failure: No | None


class AppointmentTasks(Struct, kw_only=True):
    """What waits for an answer, by id."""

    tasks: list[AppointmentTask]


class Payment(Struct, kw_only=True):
    """Money that came in; `late` money came after the order had ended."""

    reference: str
    amount_minor: int
    currency: str
    recorded_at: datetime
    late: bool


class State(Struct, kw_only=True):
    """Where an order stands now."""

    state: str
    version: int


class ClientGiven(Struct, kw_only=True):
    """Who is to call, and where. Without permissions, what is usual there: never to cancel tickets."""

    contract: str
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    permissions: list[Literal["create", "read", "read_all", "cancel", "record", "administer"]] = []


class Client(Struct, kw_only=True):
    """Somebody who may call, with what it is known by: a key, or an identity (issuer and name)."""

    id: int
    contract: str
    name: str
    permissions: list[str]
    key: str | None
    identity: list[str] | None
    created_at: datetime
    revoked_at: datetime | None


class Clients(Struct, kw_only=True):
    """Everybody who may, or might, call."""

    clients: list[Client]


class KeyedClient(Struct, kw_only=True):
    """A client with its secret. `token` is both in one, for a client of this API."""

    client: Client
    key: str
    secret: str
    token: str | None


class Finding(Struct, kw_only=True):
    """What one rule found. `changes_at` is the first instant at which it would find otherwise."""

    rule: str
    code: str
    passed: bool
    fact: str
    value: str | None
    message: str
    changes_at: datetime | None


class Decision(Struct, kw_only=True):
    """The decision a cancellation would meet. `cancellable_until` is the first instant of no."""

    order_id: int
    cancellable: bool
    cancellable_until: datetime | None
    at: datetime
    policy_version: str
    findings: list[Finding]


class OrderEvent(Struct, kw_only=True):
    """Something that happened, as others are told."""

    kind: str
    order_version: int
    recorded_at: datetime
    client_id: int
    details: JsonObject
    delivered_at: datetime | None


class DecisionRecord(Struct, kw_only=True):
    """A cancellation, or a refusal: who, when, through which door, under which policy, on which facts, and why."""

    command_id: str
    decided_at: datetime
    client_id: int
    contract: str
    door: str
    policy_version: str
    state: str
    appointment_starts_at: datetime | None
    first_payment_at: datetime | None
    reason: str | None


class Ticket(Struct, kw_only=True):
    """One place."""

    uid: str
    product_uid: str
    valid: bool


class Order(Struct, kw_only=True):
    """An order with everything that happened to it, oldest first."""

    id: int
    uid: str | None
    contract: str
    reference: str
    client_id: int
    state: str
    version: int
    created_at: datetime
    appointment_starts_at: datetime | None
    first_payment_at: datetime | None
    appointments: list[Appointment]
    tickets: list[Ticket]
    order_token: str | None  # for the link that is mailed to the buyer; whoever has it can read the order
    payments: list[Payment]
    cancellation: DecisionRecord | None
    refusals: list[DecisionRecord]
    facts: list[OrderEvent]


class Wrong(Struct, kw_only=True):
    """One field that does not hold, or one rule that refuses."""

    code: str
    field: str | None
    message: str


class Problem(Struct, kw_only=True, omit_defaults=True):
    """Problem details (RFC 9457). `code` is stable."""

    title: str
    status: int
    code: str
    detail: str
    errors: list[Wrong] = []
