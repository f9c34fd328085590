"""Overrides that need two persons: one person asks, and within an hour another one confirms or the first withdraws.

An approval is bound to the terms that the asker saw: the order's version, the codes that are overridden, and the money
that becomes due. Each action locks the order's row first. The confirmation and the cancellation are one transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol

from countermand.actions.cancelling.approval_ports import ApprovalReading, ApprovalWriting
from countermand.actions.cancelling.cancel_orders import NotCancelled
from countermand.actions.cancelling.command_ids import CommandId
from countermand.actions.cancelling.override import (
    Overridable,
    OverrideDiffers,
    OverrideOutcome,
    OverrideTransaction,
    broken_codes,
    cancel_overridden,
    overridable,
)
from countermand.actions.cancelling.policies import Policies
from countermand.actions.cancelling.ports import CancelOrder
from countermand.actions.errors import ConflictError, NotFoundError, UnavailableError, cancellation_undone
from countermand.actions.idempotency import IdempotencyKey
from countermand.actions.ordering.account import account_of
from countermand.actions.ordering.lock_order import locked
from countermand.domain.actor import Actor
from countermand.domain.cancelling.approval import (
    APPROVAL_LASTS,
    Approval,
    ApprovalId,
    ApprovalState,
    Difference,
    Terms,
    not_independent_of,
)
from countermand.domain.cancelling.decision import Refused, decide
from countermand.domain.cancelling.rules import NEVER_OVERRIDDEN
from countermand.domain.known import Unknown
from countermand.domain.money import Money
from countermand.domain.orders.order import Order, OrderId
from countermand.domain.orders.order_state import OrderState
from countermand.domain.staff_id import StaffId

# The code of a confirmation for which the terms of the approval do not hold any more.
APPROVAL_DIFFERS: Final = "approval_differs"


class ApprovalTransaction(OverrideTransaction, ApprovalWriting, Protocol):
    """Implemented by a transaction in which an approval can be asked for, confirmed and withdrawn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmed:
    """The order was cancelled by the confirmation, or, if `repeated`, by an earlier one of the same person."""

    approval: Approval
    repeated: bool

    @property
    def order_id(self) -> OrderId:
        """The order."""
        return self.approval.order_id


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalDiffers:
    """The terms had changed. The approval has ended, and nothing was cancelled."""

    approval: Approval
    found: Terms

    @property
    def sentences(self) -> dict[Difference, str]:
        """What differs, each with a sentence that has both values."""
        asked, found = self.approval.terms, self.found
        said = {
            Difference.VERSION: (
                f"the order has version {found.order_version}, but the approval is for version {asked.order_version}"
            ),
            Difference.CODES: (
                f"the rules that refuse are {_listed(found.codes)}, but the approval is for {_listed(asked.codes)}"
            ),
            Difference.AMOUNT: (
                f"{_amounts(found.due)} would become due, but the approval is for {_amounts(asked.due)}"
            ),
        }
        return {one: said[one] for one in asked.differences(found)}

    @property
    def sentence(self) -> str:
        """Everything that differs, and what to do next."""
        can_be_asked = NEVER_OVERRIDDEN.isdisjoint(self.found.codes) and self.found.codes
        what_next = "ask again" if can_be_asked else "look at the order"
        return f"{'; '.join(self.sentences.values())}; nothing was cancelled, and the approval has ended; {what_next}"


# What becomes of a request to override a refusal, and of a confirmation.
TwoPersonsOutcome = OverrideOutcome | Approval | ApprovalDiffers


async def ask_to_override(
    tx: ApprovalTransaction, policies: Policies, command: CancelOrder, codes: Sequence[str], now: datetime
) -> Approval | NotCancelled | OverrideDiffers:
    """Store an approval if `codes` are exactly those of the rules that refuse; else record the refusal.

    Nothing is cancelled. Raises `ConflictError` with `approval_needs_person`, and as `override_refusal`.
    """
    _person(command.actor, "nothing was asked for")
    found = await overridable(tx, policies, command, codes, now)
    if not isinstance(found, Overridable):
        return found
    approval = Approval(
        id=ApprovalId(command.command_id),
        order_id=found.order.id,
        terms=found.terms,
        reason=command.reason,
        asker=command.actor,
        asked_at=now,
        last_change=await tx.last_staff_change(),
    )
    await tx.insert_approval(approval)
    return approval


async def confirm(
    tx: ApprovalTransaction,
    policies: Policies,
    approval_id: ApprovalId,
    actor: Actor,
    command_id: CommandId,
    now: datetime,
    *,
    key: IdempotencyKey | None = None,
) -> Confirmed | ApprovalDiffers:
    """Cancel the order of an approval, if its terms still hold; else end the approval. A repeat changes nothing.

    `key` is that of the confirmation. Raises `NotFoundError`, or `ConflictError` with `approval_needs_person`,
    `approval_used`, `approval_expired`, `approval_same_person`, `approval_not_independent` or `cancellation_undone`.
    """
    person = _person(actor, "nothing was confirmed")
    order, approval = await _locked(tx, approval_id)
    if approval.state is ApprovalState.CONFIRMED and approval.ended_by == person:
        await _check_not_undone(tx, order, approval)
        return Confirmed(approval=approval, repeated=True)
    _check_open(approval, now)
    await _check_independent(tx, approval, person)
    account = await account_of(tx, order.id)
    decision = decide(order.facts, policies.of(order), now)
    found = Terms(order_version=order.version, codes=broken_codes(decision), due=tuple(account.kept))
    if differences := approval.terms.differences(found):
        ended = replace(approval, state=ApprovalState.OUTDATED, ended_at=now, ended_by=person, differed=differences)
        await tx.end_approval(ended)
        return ApprovalDiffers(approval=ended, found=found)
    assert isinstance(decision, Refused)
    command = CancelOrder(
        command_id=command_id,
        order_id=order.id,
        actor=approval.asker,
        on_behalf=True,
        reason=approval.reason,
    )
    overridden = Overridable(order=order, decision=decision, account=account)
    kept_under = None if key is None else (actor.client_id, key.key)
    await cancel_overridden(tx, command, overridden, now, approved_by=person, kept_under=kept_under)
    confirmed = replace(approval, state=ApprovalState.CONFIRMED, ended_at=now, ended_by=person)
    await tx.end_approval(confirmed)
    return Confirmed(approval=confirmed, repeated=False)


async def withdraw(tx: ApprovalTransaction, approval_id: ApprovalId, actor: Actor, now: datetime) -> Approval:
    """End an approval that nobody confirmed, for the person who asked. A repeat changes nothing.

    Raises `NotFoundError`, or `ConflictError` with `approval_needs_person`, `approval_of_another`, `approval_used` or
    `approval_expired`.
    """
    person = _person(actor, "nothing was withdrawn")
    _, approval = await _locked(tx, approval_id)
    if approval.asker.staff_id != person:
        raise ConflictError(
            "approval_of_another",
            f"{approval.asker.staff_id} asked for the approval {approval.id}, so {person} cannot withdraw it; nothing "
            f"was withdrawn; do not confirm it, and it ends by itself",
        )
    if approval.state is ApprovalState.WITHDRAWN:
        return approval
    _check_open(approval, now)
    withdrawn = replace(approval, state=ApprovalState.WITHDRAWN, ended_at=now, ended_by=person)
    await tx.end_approval(withdrawn)
    return withdrawn


async def approval_named(reading: ApprovalReading, approval_id: ApprovalId) -> Approval:
    """Return an approval. Raises `NotFoundError`."""
    approval = await reading.approval(approval_id)
    if approval is None:
        raise NotFoundError(f"there is no approval {approval_id}")
    return approval


async def _locked(tx: ApprovalTransaction, approval_id: ApprovalId) -> tuple[Order, Approval]:
    """Lock the order of an approval, and return it with the approval as it is then."""
    order = await locked(tx, (await approval_named(tx, approval_id)).order_id)
    return order, await approval_named(tx, approval_id)


async def _check_not_undone(tx: ApprovalTransaction, order: Order, approval: Approval) -> None:
    """Raise `ConflictError` if the cancellation that the approval led to was undone. Its record may be deleted."""
    record = await tx.cancellation(order.id)
    is_its_own = record is None or record.decided_at == approval.ended_at
    if order.state is not OrderState.CANCELLED or not is_its_own:
        raise cancellation_undone()


def _person(actor: Actor, said: str) -> StaffId:
    """Return the person of the token. Raises `ConflictError` if there is none: a claim in `Acting-As` is no person."""
    if actor.staff_id is None:
        raise ConflictError(
            "approval_needs_person",
            f"an override needs two persons here, and the token is a client's own; {said}; send a person's token",
        )
    return actor.staff_id


def _check_open(approval: Approval, now: datetime) -> None:
    state = approval.state_at(now)
    if isinstance(state, Unknown):
        raise UnavailableError(
            "a newer version than this node's wrote the state of the approval; nothing was done; send the request "
            "again, or to another node"
        )
    if state is ApprovalState.EXPIRED:
        minutes = APPROVAL_LASTS.seconds // 60
        raise ConflictError(
            "approval_expired",
            f"the approval {approval.id} expired, because nobody confirmed it within {minutes} minutes; nothing was "
            f"done; ask again",
        )
    if state is ApprovalState.OUTDATED:
        differed = ", ".join(approval.differed)
        raise ConflictError(
            "approval_used",
            f"the approval {approval.id} has ended, because this had changed when {approval.ended_by} confirmed it: "
            f"{differed}; nothing was done; look at the order, and ask again if it is still to be cancelled",
        )
    if state is not ApprovalState.OPEN:
        by = "" if approval.ended_by is None else f" by {approval.ended_by}"
        raise ConflictError(
            "approval_used",
            f"the approval {approval.id} was {state}{by}, and counts only once; nothing was done; look at the order",
        )


async def _check_independent(tx: ApprovalTransaction, approval: Approval, person: StaffId) -> None:
    asker = approval.asker.staff_id
    if asker is None or person == asker:
        raise ConflictError(
            "approval_same_person",
            f"{person} asked for the approval {approval.id}, so another person has to confirm it; nothing was done",
        )
    changes = await tx.staff_changes_after(approval.last_change)
    if person in not_independent_of(asker, changes):
        raise ConflictError(
            "approval_not_independent",
            f"{person} was added or changed after {asker} had asked: by {asker}, by a person whom {asker} had "
            "changed, or by nobody who is known; nothing was done; let a person confirm it who was not changed since",
        )


def _listed(codes: tuple[str, ...]) -> str:
    return ", ".join(codes) or "none"


def _amounts(due: tuple[Money, ...]) -> str:
    return " and ".join(f"{one} {one.currency}" for one in due) or "nothing"
