"""Asks for approvals, confirms and withdraws them, through the same actions as every request."""

import secrets
from typing import Final

from countermand.actions.cancelling.approvals import ApprovalDiffers, Confirmed, ask_to_override, confirm, withdraw
from countermand.actions.cancelling.cancel_orders import NotCancelled
from countermand.actions.cancelling.command_ids import CommandId
from countermand.actions.cancelling.override import OverrideDiffers
from countermand.actions.cancelling.ports import CancelOrder
from countermand.domain.actor import Actor
from countermand.domain.cancelling.approval import Approval
from countermand.domain.client import COMMAND_LINE
from countermand.domain.contract import MANAGE
from countermand.domain.orders.order import OrderId
from countermand.domain.staff import Role
from countermand.domain.staff_id import StaffId
from support.world import World

ASKER: Final = "author"
CONFIRMER: Final = "approver"


def as_person(person: str | None) -> Actor:
    return Actor(COMMAND_LINE, MANAGE, None if person is None else StaffId(person), address="192.0.2.1")


async def added(world: World, person: str, *, by: str | None = None) -> None:
    given = None if by is None else StaffId(by)
    roles = frozenset({Role.APPROVER})
    await world.database.staff.add(StaffId(person), name=person, roles=roles, now=world.clock(), by=given)


async def changed_by(world: World, person: str, by: str | None) -> None:
    given = None if by is None else StaffId(by)
    await world.database.staff.change(StaffId(person), name="Another", roles=None, now=world.clock(), by=given)


async def ask(
    world: World, order_id: OrderId, *codes: str, person: str | None = ASKER
) -> Approval | NotCancelled | OverrideDiffers:
    command = CancelOrder(
        command_id=CommandId(secrets.token_hex(16)),
        order_id=order_id,
        actor=as_person(person),
        on_behalf=True,
        reason="called off",
    )
    async with world.database.store.transaction() as tx:
        return await ask_to_override(tx, world.database.policies, command, codes, world.clock())


async def asked(world: World, order_id: OrderId, *codes: str, person: str = ASKER) -> Approval:
    approval = await ask(world, order_id, *codes, person=person)
    assert isinstance(approval, Approval)
    return approval


async def confirmed(world: World, approval: Approval, person: str | None = CONFIRMER) -> Confirmed | ApprovalDiffers:
    command_id = CommandId(secrets.token_hex(16))
    async with world.database.store.transaction() as tx:
        return await confirm(tx, world.database.policies, approval.id, as_person(person), command_id, world.clock())


async def withdrawn(world: World, approval: Approval, person: str | None = ASKER) -> Approval:
    async with world.database.store.transaction() as tx:
        return await withdraw(tx, approval.id, as_person(person), world.clock())
