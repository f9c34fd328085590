"""Explains the decision of a past instant: by the facts and the policy of then, or says that they cannot be known."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from countermand.actions.cancelling.explain import Explanation, PolicyArchive, PolicySource, explain
from countermand.actions.cancelling.policies import Policies
from countermand.actions.cancelling.ports import CancellationRecord, PolicyUse, PolicyUses, RefusalRecord
from countermand.actions.errors import ConflictError, NotFoundError
from countermand.actions.ordering.history import History
from countermand.actions.ordering.past_facts import PastFacts, past_facts
from countermand.actions.ordering.ports import OrderReading
from countermand.actions.ordering.visibility import check_known
from countermand.actions.ports import Snapshots
from countermand.domain.cancelling.decision import decide
from countermand.domain.cancelling.policy import Policy, PolicyVersion
from countermand.domain.instants import written_instant
from countermand.domain.orders.order import OrderFacts, OrderId


class PastReading(OrderReading, PolicyUses, Protocol):
    """Reads an order with its history, and which policies were in force."""


async def explain_at(
    store: Snapshots[PastReading],
    archive: PolicyArchive,
    policies: Policies,
    order_id: OrderId,
    *,
    at: datetime | None,
    now: datetime,
) -> Explanation:
    """Decide for a past instant by the facts and the policy of then, otherwise by those of now. Raises as both do."""
    if at is not None and at < now:
        return await explain_past(store, archive, policies, order_id, at=at, now=now)
    return await explain(store, policies, lambda: now, order_id, owner=None, at=at)


async def explain_past(
    store: Snapshots[PastReading],
    archive: PolicyArchive,
    policies: Policies,
    order_id: OrderId,
    *,
    at: datetime,
    now: datetime,
) -> Explanation:
    """Decide as a cancellation at the past instant `at` would have been decided.

    At the instant of a recorded decision, its record gives the facts and the policy. Raises `NotFoundError` if the
    order did not exist then, and `ConflictError` with `past_unknown` if the facts or the policy cannot be known.
    """
    async with store.snapshot() as reading:
        view = (await reading.views([order_id])).get(order_id)
        if view is None:
            raise NotFoundError("there is no such order")
        order, history = view.order, await reading.history(order_id)
        check_known(order)
        uses = await reading.policy_uses(order.contract, at)
    if at < order.created_at:
        placed = written_instant(order.created_at)
        raise NotFoundError(f"the order did not exist on {written_instant(at)}: it was placed on {placed}")
    record = _decided_at(history, at)
    if record is not None:
        facts, version = record.facts, record.policy_version
    else:
        facts = _facts(past_facts(view, history), at)
        in_force = PolicyUse(version=policies.of(order).version, at=now, is_first=False)
        version = _version([*uses, *_uses(history), in_force], at)
    policy = await _policy(archive, version, at)
    check_known(replace(order, facts=facts))
    return Explanation(order=order, at=at, decision=decide(facts, policy, at), policy_source=PolicySource.THEN)


def _decided_at(history: History, at: datetime) -> CancellationRecord | RefusalRecord | None:
    """Return a decision of this very instant. A cancellation comes first: refusals of its batch came after it."""
    found = [one for one in history.decisions if one.decided_at == at]
    return max(found, key=lambda one: isinstance(one, CancellationRecord), default=None)


def _facts(past: PastFacts, at: datetime) -> OrderFacts:
    facts = past.at(at)
    if facts is None:
        since = past.known_from
        ask = "ask about now" if since is None else f"ask about an instant from {written_instant(since)} on"
        raise _unknown(f"events of the order from before or around {written_instant(at)} are deleted; {ask}")
    return facts


def _version(uses: Iterable[PolicyUse], at: datetime) -> PolicyVersion:
    """Return the policy that was in force: the one that was used before, if the next use does not contradict that.

    The first use of another policy is the instant at which it came into force. An older policy that comes back leaves
    no such instant: in between, either may have been in force.
    """
    ordered = sorted(uses, key=lambda use: use.at)
    earlier, later = [use for use in ordered if use.at <= at], [use for use in ordered if use.at > at]
    if not earlier:
        first = written_instant(later[0].at)
        raise _unknown(f"no policy is known from before {first}; ask about an instant from then on")
    before, after = earlier[-1], later[0]
    if before.version != after.version and not after.is_first:
        between = f"{written_instant(before.at)} and {written_instant(after.at)}"
        raise _unknown(f"the policy changed between {between}, at an instant that is not known; ask about another one")
    return before.version


def _uses(history: History) -> list[PolicyUse]:
    return [PolicyUse(version=one.policy_version, at=one.decided_at, is_first=False) for one in history.decisions]


async def _policy(archive: PolicyArchive, version: PolicyVersion, at: datetime) -> Policy:
    try:
        return await archive.policy(version)
    except (NotFoundError, ValueError):
        said = f"the content of the policy {version}, which was in force on {written_instant(at)}, is not known here"
        raise _unknown(f"{said}; ask about another instant, or a newer node") from None


def _unknown(why: str) -> ConflictError:
    return ConflictError("past_unknown", f"whether the order could be cancelled then cannot be known: {why}")
