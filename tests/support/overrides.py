"""Overrides refusals of the policy, through the same action as every request."""

import secrets
from typing import Final

from countermand.actions.cancelling.command_ids import CommandId
from countermand.actions.cancelling.override import OverrideOutcome, override_refusal
from countermand.actions.cancelling.ports import CancelOrder
from countermand.domain.actor import Actor
from countermand.domain.client import COMMAND_LINE
from countermand.domain.contract import MANAGE
from countermand.domain.orders.order import OrderId
from countermand.domain.staff_id import StaffId
from support.world import World

AUTHOR: Final = Actor(COMMAND_LINE, MANAGE, StaffId("author"))


async def override(world: World, order_id: OrderId, *codes: str, reason: str | None = "called off") -> OverrideOutcome:
    command = CancelOrder(
        command_id=CommandId(secrets.token_hex(16)), order_id=order_id, actor=AUTHOR, on_behalf=True, reason=reason
    )
    async with world.database.store.transaction() as tx:
        return await override_refusal(tx, world.database.policies, command, codes, world.clock())
