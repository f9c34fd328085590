"""The command that cancels an order, the records of decisions, and the protocol that writes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from msgspec import Struct

from countermand.actions.cancelling.command_ids import CommandId
from countermand.actions.idempotency import Fingerprints, IdempotencyKey
from countermand.actions.ordering.ticket_order_rows import TicketOrderRows
from countermand.actions.ordering.views import OrderView
from countermand.domain.actor import Actor
from countermand.domain.cancelling.policy import PolicyVersion
from countermand.domain.client import ClientId
from countermand.domain.contract import ContractName
from countermand.domain.orders.order import Order, OrderFacts, OrderId
from countermand.domain.staff_id import StaffId

OwnedKey = tuple[ClientId, str]  # the client and the name of an Idempotency-Key
# The code of an override that does not name exactly the rules that refuse.
OVERRIDE_DIFFERS: Final = "override_differs"


class CancelOrder(Struct, frozen=True, kw_only=True, weakref=True):
    """A command to cancel an order. With `on_behalf`, an operator can cancel an order that another client placed.

    `order_name` is the order's id in log lines, such as connect-54: its number can be longer than a JSON reader holds.
    With `wants_order`, the store returns a cancelled ticket order if that takes no further statement.
    A Struct is made in a fifth of the time that a frozen dataclass takes.
    """

    command_id: CommandId
    order_id: OrderId
    actor: Actor
    on_behalf: bool = False
    reason: str | None = None
    idempotency: IdempotencyKey | None = None
    order_name: str = ""
    wants_order: bool = False

    @property
    def client_id(self) -> ClientId:
        """The client that asks."""
        return self.actor.client_id

    @property
    def kept_under(self) -> OwnedKey | None:
        """The client and the name of the command's Idempotency-Key, if it has one."""
        return None if self.idempotency is None else (self.client_id, self.idempotency.key)

    def repeats(self, first: "CancelOrder") -> bool:
        """Return whether this command is the same request as an earlier command with the same key."""
        mine, its = self.idempotency, first.idempotency
        return mine is not None and its is not None and mine.fingerprints.agree_with(its.fingerprints)


@dataclass(frozen=True, kw_only=True, slots=True)
class CancellationRecord:
    """The decision record of a cancellation. Its primary key is the order's number, so an order has at most one.

    `overridden` has the codes of the broken rules that an operator overrode, in the policy's order. `approved_by` is
    the second person, who confirmed what the actor asked for; None if the cancellation needed one person only.
    `kept_under` is the Idempotency-Key that has the answer, with its client, if the cancellation had a transaction of
    its own.
    """

    order_id: OrderId
    command_id: CommandId
    decided_at: datetime
    actor: Actor
    contract: ContractName  # the order's
    policy_version: PolicyVersion
    facts: OrderFacts
    reason: str | None
    overridden: tuple[str, ...] = ()
    approved_by: StaffId | None = None
    kept_under: OwnedKey | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class UndoneCancellation:
    """The decision record of a cancellation that was undone: who undid it, when and why.

    `order_version` is the order's version after it was restored.
    """

    record: CancellationRecord
    order_version: int
    undone_at: datetime
    actor: Actor
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusalRecord:
    """The decision record of a refusal by the policy. `codes` are those of the broken rules; None if nobody knows.

    They are only `OVERRIDE_DIFFERS` if no rule is broken, but the request overrides some.
    """

    command: CancelOrder
    contract: ContractName  # the order's
    decided_at: datetime
    policy_version: PolicyVersion
    facts: OrderFacts
    codes: tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptRefusal:
    """A refusal as an idempotency key stores it. Another decision on the same facts gives the same findings."""

    policy_version: PolicyVersion
    facts: OrderFacts
    decided_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptOutcome:
    """The outcome that a cancellation's idempotency key stands for: cancelled, or, with `refusal`, refused."""

    fingerprints: Fingerprints
    order_id: OrderId
    refusal: KeptRefusal | None


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptUndone:
    """What an idempotency key stands for once its cancellation was undone."""

    fingerprints: Fingerprints


# What an idempotency key stands for. The fingerprints alone are those of a request that is no cancellation.
Kept = KeptOutcome | KeptUndone | Fingerprints


class CancellationStore(Protocol):
    """The set-based statements of the cancellation path. No batch has two commands that could cancel one order."""

    async def cancel(
        self, commands: Sequence[CancelOrder], now: datetime, *, skip_held: bool = False
    ) -> Mapping[CommandId, TicketOrderRows | None]:
        """Cancel, in one transaction, what the policies allow at `now`; return the commands that did it.

        With each command stands the order as of this commit, or None if the order has to be read to be known.

        It waits for orders that another transaction holds, or, with `skip_held`, leaves them unchanged.

        It commits before it returns, with everything that a cancellation changes: the order's state, its cancellation,
        its appointment, tickets and stock, its events in the outbox, the idempotency keys. Raises `KeyTakenError` or
        `UnfitDataError` (nothing done), `TransientConflictError` (nothing done), `HeldError` (nothing done, because
        another transaction holds one of the orders), `UnavailableError` (certainly not done) or `OutcomeUnknownError`.
        """
        ...

    async def committed(self, commands: Sequence[CancelOrder]) -> frozenset[CommandId]:
        """Return those of these commands that have cancelled their order themselves, even if that was undone since.

        The answer is final: a command that is not among them will never cancel. Raises `OutcomeUnknownError` while it
        still may, and `UnavailableError`.
        """
        ...

    async def orders(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, Order]:
        """Return the orders with these numbers, in one read."""
        ...

    async def kept(self, keys: Sequence[tuple[ClientId, str]]) -> Mapping[tuple[ClientId, str], Kept]:
        """Return what these keys stand for."""
        ...

    async def refuse(self, refusals: Sequence[RefusalRecord]) -> None:
        """Record refusals, and their idempotency keys, in one transaction. Raises as `cancel` does."""
        ...

    async def views(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, OrderView | TicketOrderRows]:
        """Return the orders with everything that a contract shows of them, in one set of reads.

        Ticket orders are returned as rows, unless rows cannot show them.
        """
        ...


class DecisionWriting(Protocol):
    """Writes decision records. The order is locked."""

    async def cancellation(self, order_id: OrderId) -> CancellationRecord | None:
        """Return the record of the order's cancellation, or None."""
        ...

    async def undo_cancellation(self, undone: UndoneCancellation) -> None:
        """Move the record of a cancellation to those that were undone, and note it at its idempotency keys."""
        ...

    async def insert_cancellation(self, record: CancellationRecord) -> None:
        """Add the record of a cancellation."""
        ...

    async def insert_refusal(self, record: RefusalRecord) -> None:
        """Add the record of a refusal."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyUse:
    """An instant at which a policy was in force. It `is_first` if the policy came into force then."""

    version: PolicyVersion
    at: datetime
    is_first: bool


class PolicyUses(Protocol):
    """Reads which policies were in force."""

    async def policy_uses(self, contract: ContractName, around: datetime) -> Sequence[PolicyUse]:
        """Return the first use of each policy of a contract, and its last and next uses around an instant.

        The uses are those by refusals; only as many of them are looked at as a quick read allows.
        """
        ...

    async def policy_in_force(self, contract: ContractName) -> PolicyUse | None:
        """Return the policy with which a server started last, and since when. None if no server has noted that."""
        ...


class PolicyContents(Protocol):
    """Reads the policies that were ever in force."""

    async def policy_content(self, version: PolicyVersion) -> Mapping[str, object] | None:
        """Return the content of a policy that was in force at some time, or None."""
        ...
