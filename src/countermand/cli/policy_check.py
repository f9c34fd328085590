"""Refuses to decide on the command line by a policy that is not the policy of the servers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from countermand.cli.errors import CommandError
from countermand.cli.printing import said

if TYPE_CHECKING:
    from countermand.actions.cancelling.ports import PolicyUse
    from countermand.bootstrap.database import Database
    from countermand.domain.orders.order import Order


async def check_policy(database: "Database", order: "Order", not_done: str) -> None:
    """Raise `CommandError` if the servers' last policy of the order's contract is not the policy of this command.

    The servers' policy is the one with which a server started last. If no server has noted that, it is the one that
    was used last, by a server's first start with it or by a refusal. `not_done` ends the sentence of the error.
    """
    from countermand.bootstrap.clock import utc_now

    own = database.policies.of(order).version
    async with database.store.snapshot() as reading:
        theirs = await reading.policy_in_force(order.contract)
        if theirs is None:
            theirs = _last(await reading.policy_uses(order.contract, utc_now()))
    if theirs is not None and theirs.version != own:
        raise CommandError(
            f"the servers decide about {order.contract} orders by the policy {theirs.version}, since "
            f"{said(theirs.at)} or before, and the settings of this command have the policy {own}: give the servers' "
            f"settings with --settings; {not_done}",
            status=409,
            code="policy_differs",
        )


def _last(uses: "Sequence[PolicyUse]") -> "PolicyUse | None":
    return max(uses, key=lambda use: use.at, default=None)
