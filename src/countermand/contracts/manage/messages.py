"""What do the bodies of the operator's API look like? All are ours. Amounts in requests are decimal numbers."""

from datetime import date, datetime
from typing import Annotated, Final, Literal, get_args

from msgspec import Meta, Struct

from countermand.actions.appointments.load_calendar import AREA_PATTERN, CAPACITY_CAP, SLOT_ID_PATTERN
from countermand.contracts.http.answer import JsonObject
from countermand.contracts.http.body import Number
from countermand.contracts.http.redirect_url import RedirectSchemes, RedirectUrl
from countermand.domain.orders.order_state import Transition

PROBLEM_JSON: Final = "application/problem+json"

MoveName = Literal["accept", "start", "pass_no_return", "hold", "reject", "activate", "complete", "expire", "fail"]
assert set(get_args(MoveName)) == {move.value for move in Transition} - {Transition.CANCEL.value}


class PaymentGiven(Struct, kw_only=True):
    """A payment that a provider reports. A repeat of its reference is the same payment."""

    reference: Annotated[str, Meta(min_length=1, max_length=255)]
    amount: Annotated[Number, Meta(extra_json_schema={"type": "number", "minimum": 0, "multipleOf": 0.01})]
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)", examples=["EUR"])]


class AppointmentGiven(Struct, kw_only=True):
    """The start and the end of the visit."""

    starts_at: Annotated[datetime, Meta(tz=True)]
    ends_at: Annotated[datetime, Meta(tz=True)]


class MoveGiven(Struct, kw_only=True):
    """The transition that happened to the order."""

    move: MoveName


class CancelGiven(Struct, kw_only=True):
    """The operator's reason for the cancellation."""

    reason: Annotated[str, Meta(min_length=1, max_length=2000)]


class Appointment(Struct, kw_only=True):
    """A visit. A visit that was booked has the `slot_id` of its slot."""

    id: int
    state: str
    starts_at: datetime
    ends_at: datetime
    cancelled_at: datetime | None
    slot_id: str | None
    remote_id: str | None


class AppointmentStateGiven(Struct, kw_only=True):
    """The new state of the visit. A visit that is completed or incomplete is no longer active."""

    state: Literal["in_progress", "completed", "incomplete"]


_SlotId = Annotated[str, Meta(pattern=f"^{SLOT_ID_PATTERN}$(?!\\n)", examples=["2026-12-01-AM"])]
_Local = Annotated[
    datetime,
    Meta(tz=True, description="With the UTC offset of the customer's location", examples=["2026-12-01T08:00:00+11:00"]),
]


class OfferedSlot(Struct, kw_only=True):
    """A slot that the operator's system offers. Without a `slot_type` it is AM if it begins before noon local time."""

    id: _SlotId
    starts_at: _Local
    ends_at: _Local
    slot_type: Literal["AM", "PM"] | None = None


class CalendarSlot(Struct, kw_only=True):
    """A slot of the calendar, for locations whose id begins with `area`; an empty `area` is for all locations."""

    id: _SlotId
    starts_at: _Local
    ends_at: _Local
    capacity: Annotated[int, Meta(ge=0, le=CAPACITY_CAP)]
    slot_type: Literal["AM", "PM"] | None = None
    area: Annotated[str, Meta(pattern=f"^{AREA_PATTERN}$(?!\\n)", examples=["LOC3801"])] = ""


class CalendarGiven(Struct, kw_only=True):
    """Slots to load."""

    slots: Annotated[list[CalendarSlot], Meta(min_length=1, max_length=300)]


class SlotShown(Struct, kw_only=True):
    """A slot of the calendar; `booked` is the number of visits in it."""

    id: str
    area: str
    starts_at: datetime
    ends_at: datetime
    slot_type: str
    utc_offset_minutes: int
    capacity: int
    booked: int


class Calendar(Struct, kw_only=True):
    """A page of the calendar; `next` is the `after` of the next page, or null on the last page."""

    slots: list[SlotShown]
    next: str | None


class Loaded(Struct, kw_only=True):
    """The numbers of slots that were added, changed, or the same already."""

    added: int
    changed: int
    as_they_were: int


class Yes(Struct, kw_only=True):
    """The task is done. `remote_id` is the visit's id in your system, if it has one."""

    remote_id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class No(Struct, kw_only=True):
    """The task cannot be done. `code` is stable, and `message` is a sentence for people. The client sees both."""

    code: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$(?!\n)", examples=["no_technician"])]
    message: Annotated[str, Meta(min_length=1, max_length=500)]


class TaskAnswer(Struct, kw_only=True):
    """Exactly one of: `slots` for a request of slots, `accepted` for a booking or a cancellation, or `refused`."""

    slots: Annotated[list[OfferedSlot], Meta(max_length=300)] | None = None
    accepted: Yes | None = None
    refused: No | None = None


class AppointmentTask(Struct, kw_only=True):
    """A client's request about an appointment. Its kind decides which fields it has."""

    id: int
    order_id: str
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
    """The tasks that wait for an answer, sorted by id."""

    tasks: list[AppointmentTask]


class Payment(Struct, kw_only=True):
    """A payment. Money that arrived after the order had ended is `late`."""

    reference: str
    amount_minor: int
    currency: str
    recorded_at: datetime
    late: bool


class State(Struct, kw_only=True):
    """The current state of an order."""

    state: str
    version: int


DefaultRedirectUrl = Annotated[
    RedirectUrl, Meta(description="Where the buyer of an order that names no redirect_url is led back to")
]


class ClientGiven(Struct, kw_only=True):
    """The name of a new client, and its contract. Without permissions it gets the contract's default permissions.

    Clients of the shopping contract may not cancel by default.
    """

    contract: str
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    permissions: list[Literal["create", "read", "read_all", "cancel", "record", "administer"]] = []
    redirect_url: DefaultRedirectUrl | None = None
    redirect_schemes: RedirectSchemes = []


class RedirectsGiven(Struct, kw_only=True):
    """Where the buyers of a client may be led back to. A field that is left out is emptied."""

    redirect_url: DefaultRedirectUrl | None = None
    redirect_schemes: RedirectSchemes = []


class Client(Struct, kw_only=True):
    """A client and the credential that identifies it: a key, or an identity (issuer and name)."""

    id: int
    contract: str
    name: str
    permissions: list[str]
    key: str | None
    identity: list[str] | None
    created_at: datetime
    revoked_at: datetime | None
    redirect_url: str | None
    redirect_schemes: list[str]


class Clients(Struct, kw_only=True):
    """All clients, including revoked ones."""

    clients: list[Client]


class KeyedClient(Struct, kw_only=True):
    """A client with its secret. `token` joins key and secret for a client of this API."""

    client: Client
    key: str
    secret: str
    token: str | None


class Finding(Struct, kw_only=True):
    """The finding of one rule. `changes_at` is the first instant at which its finding will differ."""

    rule: str
    code: str
    passed: bool
    fact: str
    value: str | None
    message: str
    changes_at: datetime | None


class Decision(Struct, kw_only=True):
    """The decision that a cancellation would get.

    `cancellable_until` is the first instant at which the order can no longer be cancelled.
    """

    order_id: str
    cancellable: bool
    cancellable_until: datetime | None
    at: datetime
    policy_version: str
    findings: list[Finding]


class OrderEvent(Struct, kw_only=True):
    """Something that happened to the order, as its event reports it."""

    kind: str
    order_version: int
    recorded_at: datetime
    client_id: int
    details: JsonObject
    delivered_at: datetime | None


class DecisionRecord(Struct, kw_only=True):
    """The record of a cancellation or a refusal: when, for which client, over which channel, by which policy, why."""

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
    """One ticket."""

    uid: str
    product_uid: str
    valid: bool


class Order(Struct, kw_only=True):
    """An order with its whole history, oldest first."""

    id: str
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
    order_token: str | None  # for the link in the mail to the buyer; everybody with this token can read the order
    payments: list[Payment]
    cancellation: DecisionRecord | None
    refusals: list[DecisionRecord]
    facts: list[OrderEvent]


class Wrong(Struct, kw_only=True):
    """One invalid field, or one rule that refused."""

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
