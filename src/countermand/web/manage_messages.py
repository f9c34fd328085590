"""What do the bodies of the operator's API look like? Ours throughout; amounts in requests are decimal numbers."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal, get_args

from msgspec import Meta, Struct

from countermand.contracts.body import Number
from countermand.domain.order_state import Move

PROBLEM_JSON: Final = "application/problem+json"

MoveName = Literal["accept", "start", "pass_no_return", "hold", "reject", "activate", "complete", "expire", "fail"]
assert set(get_args(MoveName)) == {move.value for move in Move} - {Move.CANCEL.value}


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
    """A visit."""

    id: int
    state: str
    starts_at: datetime
    ends_at: datetime
    cancelled_at: datetime | None


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


class Fact(Struct, kw_only=True):
    """Something that happened, as others are told."""

    kind: str
    order_version: int
    recorded_at: datetime
    client_id: int
    details: dict[str, Any]
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
    payments: list[Payment]
    cancellation: DecisionRecord | None
    refusals: list[DecisionRecord]
    facts: list[Fact]


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
