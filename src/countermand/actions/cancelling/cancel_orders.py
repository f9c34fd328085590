"""Cancels orders: each order at most once, however many callers ask, however often, over any channel.

Most commands need only one guarded statement for a whole batch: the policy, compiled to SQL, decides on the very row
that the statement writes. One set-based read then covers all orders that the statement did not cancel; Python decides
over them, so that the answer can say why, and the refusals are recorded before they are answered.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog
from msgspec import Struct
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from countermand.actions.cancelling.batch import first_of_each, keys_of
from countermand.actions.cancelling.command_ids import CommandId
from countermand.actions.cancelling.explain import PolicyArchive
from countermand.actions.cancelling.group_commit import GO_AGAIN, GoAgain
from countermand.actions.cancelling.load import CancellingLoad
from countermand.actions.cancelling.policies import Policies
from countermand.actions.cancelling.ports import (
    CancellationStore,
    CancelOrder,
    Kept,
    KeptUndone,
    OwnedKey,
    RefusalRecord,
)
from countermand.actions.errors import (
    HeldError,
    IdempotencyKeyReusedError,
    KeyTakenError,
    NotFoundError,
    OutcomeUnknownError,
    TransientConflictError,
    UnavailableError,
    UnfitDataError,
    cancellation_undone,
    kept_by_another_version,
)
from countermand.actions.idempotency import Fingerprints
from countermand.actions.metrics import NULL_METRICS, MetricsHook
from countermand.actions.ordering.history import History
from countermand.actions.ordering.ticket_order_rows import TicketOrderRows
from countermand.actions.ordering.views import OrderView
from countermand.actions.ports import Clock
from countermand.domain.cancelling.decision import Granted, Refused, decide
from countermand.domain.orders.order import Order, OrderId

log = structlog.get_logger()


class Cancelled(Struct, frozen=True, kw_only=True):
    """The order is cancelled, and the cancellation is committed.

    `shown` is the order's new state, if it is known: as a view or, for most ticket orders, as rows.
    """

    order_id: OrderId
    shown: OrderView | TicketOrderRows | None = None

    @property
    def view(self) -> OrderView | None:
        """The order's new state as a view, if it is known."""
        return self.shown.view if isinstance(self.shown, TicketOrderRows) else self.shown


class CancelledWithHistory(Cancelled, frozen=True, kw_only=True):
    """The order is cancelled, and the cancellation is committed. It has the order's new state and its whole history."""

    shown: OrderView
    history: History

    @property
    def view(self) -> OrderView:
        """The order's new state."""
        return self.shown


@dataclass(frozen=True, kw_only=True, slots=True)
class NotCancelled:
    """The policy refused the cancellation, and the refusal is recorded."""

    order_id: OrderId
    refused: Refused


CancelOutcome = Cancelled | NotCancelled
_Answer = CancelOutcome | Exception | GoAgain
_Done = Mapping[CommandId, TicketOrderRows | None]  # what `CancellationStore.cancel` returns
_NotWritten = UnavailableError | UnfitDataError
_NOT_WRITTEN = (UnavailableError, UnfitDataError)
_USED_KEYS_AWAITED: Final = 20  # one after another, a tenth of a second each


@dataclass(frozen=True, kw_only=True)
class CancelOrders:
    """Runs batches of commands. `settle_limit_s` bounds the search for the outcome of a commit that was cut off.

    `after_events` is called after each batch, which may have committed events. `load` counts the batches.
    """

    store: CancellationStore
    policies: Policies
    archive: PolicyArchive
    clock: Clock
    settle_limit_s: float = 10.0
    metrics: MetricsHook = NULL_METRICS
    after_events: Callable[[], None] = lambda: None
    load: CancellingLoad = field(default_factory=CancellingLoad)

    async def __call__(self, batch: Sequence[CancelOrder]) -> list[_Answer]:
        """Return one answer for each command, in order: an outcome, an exception, or GO_AGAIN.

        An exception means that the order was certainly not cancelled, except `OutcomeUnknownError`.
        """
        with self.load.under_way(len(batch)):
            return await self._answered(batch)

    async def _answered(self, batch: Sequence[CancelOrder]) -> list[_Answer]:
        now = self.clock()
        first = first_of_each(batch)
        if len(first) < len(batch):
            self.metrics.absorbed(len(batch) - len(first))
        answers = await self._cancel(first, now)
        self.after_events()
        # A command that could not be written may still have an answer: a stored one, or that there is no such order.
        blocked = {one: answer for one, answer in answers.items() if isinstance(answer, _NOT_WRITTEN)}
        rest = [c for c in batch if c.command_id not in answers or c.command_id in blocked]
        if rest:
            answers |= await self._decided_apart(rest, now, blocked)
        return [answers[command.command_id] for command in batch]

    async def _cancel(
        self, commands: Sequence[CancelOrder], now: datetime, *, skip_held: bool = False
    ) -> dict[CommandId, _Answer]:
        """Run the guarded statement.

        Return answers for the commands that it cancelled or that failed, and no others.
        """
        try:
            cancelled = await self._with_retries(lambda: self.store.cancel(commands, now, skip_held=skip_held))
        except KeyTakenError:
            # A key of the batch was used before, perhaps in another process. The used keys are known by now, so their
            # commands are left out; the others cannot clash again, unless a key is used at this very moment.
            try:
                kept = await self.store.kept(keys_of(commands))
            except UnavailableError as error:
                return {command.command_id: error for command in commands}
            free = [c for c in commands if c.kept_under not in kept]
            vanished = UnavailableError(
                "another request is using this Idempotency-Key; the order was not cancelled; send the request again"
            )
            return await (
                self._one_by_one(free, now, vanished) if len(free) == len(commands) else self._cancel(free, now)
            )
        except UnfitDataError as error:
            return await self._one_by_one(commands, now, error)
        except HeldError as error:
            held: dict[CommandId, _Answer] = {command.command_id: error for command in commands}
            # Other transactions hold some of the orders, or what these give back. The batch goes on without them.
            return held | await (
                self._without_used_keys(commands, now) if skip_held else self._cancel(commands, now, skip_held=True)
            )
        except OutcomeUnknownError as error:
            return await self._settle(commands, error)
        except UnavailableError as error:
            return {command.command_id: error for command in commands}
        return {
            command.command_id: Cancelled(order_id=command.order_id, shown=cancelled[command.command_id])
            for command in commands
            if command.command_id in cancelled
        }

    async def _one_by_one(
        self, commands: Sequence[CancelOrder], now: datetime, error: _NotWritten
    ) -> dict[CommandId, _Answer]:
        """Run each command alone, so that a bad value of one does not fail the others.

        A single command gets `error`.
        """
        if len(commands) == 1:
            log.error("the database refused a cancellation", order=commands[0].order_name, reason=str(error))
            return {commands[0].command_id: error}
        answers: dict[CommandId, _Answer] = {}
        for command in commands:
            answers |= await self._cancel([command], now)
        return answers

    async def _without_used_keys(self, commands: Sequence[CancelOrder], now: datetime) -> dict[CommandId, _Answer]:
        """Without what is held, only an `Idempotency-Key` that another transaction is writing can be waited for.

        So commands without a key are run together, and the others one at a time, until too many of these were held.
        Commands that are still held have no answer here.
        """
        if len(commands) == 1:
            return {}
        answers: dict[CommandId, _Answer] = {}
        without_key = [command for command in commands if command.idempotency is None]
        if without_key and len(without_key) < len(commands):
            answers |= await self._cancel(without_key, now, skip_held=True)
        held = 0
        for command in commands:
            if command.idempotency is not None and held < _USED_KEYS_AWAITED:
                answer = await self._cancel([command], now, skip_held=True)
                held += isinstance(answer.get(command.command_id), HeldError)
                answers |= answer
        return answers

    async def _with_retries(self, run: Callable[[], Awaitable[_Done]]) -> _Done:
        """Run the whole batch again after a deadlock or a serialisation failure undid it: three times, with jitter."""
        with suppress(TransientConflictError):
            return await run()  # the usual case; the retry loop below costs more than a small batch
        self.metrics.retried()
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(TransientConflictError),
                stop=stop_after_attempt(3),
                wait=wait_random_exponential(multiplier=0.01, max=0.2),
                reraise=True,
            ):
                with attempt:
                    return await run()
        except TransientConflictError as error:
            raise UnavailableError(
                "it conflicted with other requests three times; the order was not cancelled; send the request again"
            ) from error
        raise AssertionError("unreachable: the loop returns or raises")

    async def _settle(self, commands: Sequence[CancelOrder], error: Exception) -> dict[CommandId, _Answer]:
        """Find out what became of a batch whose commit was cut off: look for its commands.

        The store's last answer is final.
        """
        found: frozenset[CommandId] = frozenset()
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type((UnavailableError, OutcomeUnknownError)),
                stop=stop_after_delay(self.settle_limit_s),
                wait=wait_random_exponential(multiplier=0.05, max=1),
                reraise=True,
            ):
                with attempt:
                    found = await self.store.committed(commands)
        except (UnavailableError, OutcomeUnknownError):
            log.warning("the outcome of a batch is unknown", commands=len(commands))
            return {command.command_id: error for command in commands}
        log.info("the outcome of a batch was found", commands=len(commands), cancelled=len(found))
        if not found:
            undone = UnavailableError("the database went away and the order was not cancelled; send the request again")
            return {command.command_id: undone for command in commands}
        # A batch commits as a whole: it did not cancel the commands that are not found. They are decided later.
        return {
            command.command_id: Cancelled(order_id=command.order_id)
            for command in commands
            if command.command_id in found
        }

    async def _decided_apart(
        self, rest: Sequence[CancelOrder], now: datetime, blocked: Mapping[CommandId, _NotWritten]
    ) -> dict[CommandId, _Answer]:
        """Decide the commands that the statement did not cancel. A failure here leaves the committed ones cancelled."""
        try:
            return await self._decide(rest, now, blocked)
        except Exception as error:
            log.exception("commands could not be decided", commands=len(rest))
            unknown = OutcomeUnknownError(f"the outcome of the cancellation is unknown: {type(error).__name__}")
            return {command.command_id: blocked.get(command.command_id, unknown) for command in rest}

    async def _decide(
        self, rest: Sequence[CancelOrder], now: datetime, blocked: Mapping[CommandId, _NotWritten]
    ) -> dict[CommandId, _Answer]:
        """Find out why orders were not cancelled: one read for all, one decision each, one insert for the refusals.

        A `blocked` command gets an answer if reading is enough for it. Otherwise its order was certainly not cancelled.
        """
        try:
            kept = await self.store.kept(keys_of(rest))
            orders = await self.store.orders(list({command.order_id for command in rest}))
        except UnavailableError as error:
            return {command.command_id: error for command in rest}
        answers: dict[CommandId, _Answer] = {}
        refused_here: dict[OwnedKey, CancelOrder] = {}  # by key, the first command of this batch with that key
        refusals: list[RefusalRecord] = []
        for command in rest:
            answer: _Answer
            key = command.kept_under
            if key is not None and key in kept:
                self.metrics.absorbed(1)
                answer = await self._answer_again(command, kept[key])
            elif key is not None and key in refused_here:
                first = refused_here[key]
                answer = answers[first.command_id] if command.repeats(first) else IdempotencyKeyReusedError()
            else:
                order = orders.get(command.order_id)
                answer = self._judged(command, order, now)
                blocked_by = blocked.get(command.command_id)
                # A blocked command's refusal can be written only if another transaction holds the order.
                blockable = GoAgain if isinstance(blocked_by, HeldError) else (GoAgain, NotCancelled)
                if blocked_by is not None and isinstance(answer, blockable):
                    answer = blocked_by
                elif isinstance(answer, NotCancelled) and order is not None:
                    refusals.append(_refusal(command, order, answer, now))
                    if key is not None:
                        refused_here[key] = command
            answers[command.command_id] = answer
        return answers | await self._refuse(refusals, answers)

    async def _refuse(
        self, refusals: Sequence[RefusalRecord], answers: Mapping[CommandId, _Answer]
    ) -> dict[CommandId, _Answer]:
        """Record refusals before they are answered. Return other answers for those that could not be recorded."""
        if not refusals:
            return {}
        try:
            await self.store.refuse(refusals)
        except (KeyTakenError, TransientConflictError):
            # Another request used a key after it was looked up here. The next round finds that request's answer.
            instead: _Answer = GO_AGAIN
        except (UnfitDataError, HeldError) as error:
            if len(refusals) > 1:  # one refusal's bad value, or a row that is held, must not fail the others
                others: dict[CommandId, _Answer] = {}
                for refusal in refusals:
                    others |= await self._refuse([refusal], answers)
                return others
            log.warning("a refusal could not be recorded", reason=str(error))
            instead = error
        except (UnavailableError, OutcomeUnknownError) as error:
            log.warning("refusals could not be recorded", reason=str(error))
            instead = UnavailableError(
                "the refusal could not be recorded; the order was not cancelled; send the request again"
            )  # whether the refusal is recorded or not, nothing was cancelled
        else:
            return {}
        # Commands with one key share one answer object, so none of them may get an answer that was not recorded.
        unrecorded = {id(answers[refusal.command.command_id]) for refusal in refusals}
        return {one: instead for one, answer in answers.items() if id(answer) in unrecorded}

    def _judged(self, command: CancelOrder, order: Order | None, now: datetime) -> _Answer:
        """Return Python's decision. If it is yes, the order changed since the statement: the command must go again."""
        if order is None or not (command.on_behalf or order.client_id == command.client_id):
            return NotFoundError("there is no such order")
        try:
            policy = self.policies.of(order)
        except UnavailableError as error:
            return error
        match decide(order.facts, policy, now):
            case Granted():
                return GO_AGAIN
            case Refused() as refused:
                return NotCancelled(order_id=order.id, refused=refused)

    async def _answer_again(self, command: CancelOrder, kept: Kept) -> CancelOutcome | Exception:
        """Return the stored answer for a repeat of the same request. Another request with the key gets an error."""
        fingerprints = kept if isinstance(kept, Fingerprints) else kept.fingerprints
        if command.idempotency is None or not fingerprints.agree_with(command.idempotency.fingerprints):
            return IdempotencyKeyReusedError()
        if isinstance(kept, Fingerprints):
            return kept_by_another_version()
        if isinstance(kept, KeptUndone):
            return cancellation_undone()
        if kept.refusal is None:
            return Cancelled(order_id=kept.order_id)
        try:
            policy = await self.archive.policy(kept.refusal.policy_version)
        except (NotFoundError, ValueError) as error:
            log.warning("a kept refusal cannot be explained", policy_version=kept.refusal.policy_version)
            return OutcomeUnknownError(str(error)) if isinstance(error, NotFoundError) else kept_by_another_version()
        except UnavailableError as error:
            return error
        match decide(kept.refusal.facts, policy, kept.refusal.decided_at):
            case Refused() as refused:
                return NotCancelled(order_id=kept.order_id, refused=refused)
            case Granted():
                log.error("a policy no longer refuses what it refused", policy_version=policy.version)
                return OutcomeUnknownError(f"policy {policy.version} no longer refuses what it refused")


def _refusal(command: CancelOrder, order: Order, answer: NotCancelled, now: datetime) -> RefusalRecord:
    return RefusalRecord(
        command=command,
        contract=order.contract,
        decided_at=now,
        policy_version=answer.refused.policy_version,
        facts=order.facts,
        codes=answer.refused.codes,
    )
