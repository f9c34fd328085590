"""Explains whether an order may be cancelled, why, and until when. It changes nothing."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from countermand.actions.cancelling.policies import Policies
from countermand.actions.cancelling.ports import PolicyContents
from countermand.actions.errors import NotFoundError
from countermand.actions.ordering.ports import OrderReading
from countermand.actions.ordering.visibility import is_spoken
from countermand.actions.ports import Clock, Snapshots
from countermand.domain.cancelling.decision import Decision, decide
from countermand.domain.cancelling.policy import Policy, PolicyVersion, policy_from_content
from countermand.domain.client import ClientId
from countermand.domain.orders.order import Order, OrderId


class PolicySource(StrEnum):
    """Says which policy an explanation used, and which facts: those of now, or those of the past instant."""

    NOW = "now"
    THEN = "then"


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """The decision that a cancellation at `at` would get, or would have got if it is a past instant."""

    order: Order
    at: datetime
    decision: Decision
    policy_source: PolicySource = PolicySource.NOW


async def explain(
    store: Snapshots[OrderReading],
    policies: Policies,
    clock: Clock,
    order_id: OrderId,
    *,
    owner: ClientId | None,
    at: datetime | None = None,
) -> Explanation:
    """Decide without acting, on the present facts. With `owner`, only that client's orders are found.

    Raises `NotFoundError`. Raises `UnavailableError` for an order over which this version cannot decide.
    """
    async with store.snapshot() as reading:
        order = await reading.order(order_id)
    if order is None or owner not in {None, order.client_id} or not (owner is None or is_spoken(order)):
        raise NotFoundError("there is no such order")
    instant = at or clock()
    return Explanation(order=order, at=instant, decision=decide(order.facts, policies.of(order), instant))


@dataclass(kw_only=True)
class PolicyArchive:
    """Finds every policy that was ever in force, so that an old decision can be explained by its own rules."""

    store: Snapshots[PolicyContents]
    _known: dict[PolicyVersion, Policy] = field(default_factory=dict)

    async def policy(self, version: PolicyVersion) -> Policy:
        """Return the policy of this version. Raises `NotFoundError` if no server ever stored it."""
        if version not in self._known:
            async with self.store.snapshot() as reading:
                content = await reading.policy_content(version)
            if content is None:
                raise NotFoundError(f"no policy of version {version} was ever in force here")
            self._known[version] = policy_from_content(content)
        return self._known[version]
