"""Writes and moves the decision records of cancellations that have a transaction of their own."""

from sqlalchemy import and_, delete, insert, literal, or_, select, update

from countermand.actions.cancelling.ports import CancellationRecord, RefusalRecord, UndoneCancellation
from countermand.domain.orders.order import OrderId
from countermand.storage.repositories.facts import columns_of_decision
from countermand.storage.repositories.rows import actor_columns, cancellation_of, codes_column
from countermand.storage.statement_runner import StatementRunner
from countermand.storage.tables.cancelling import cancellations, idempotency_keys, refusals, undone_cancellations
from countermand.storage.tables.columns import micros


class DecisionRows(StatementRunner):
    """Implements `DecisionWriting`."""

    async def cancellation(self, order_id: OrderId) -> CancellationRecord | None:
        """See `DecisionWriting.cancellation`."""
        row = await self._one(select(cancellations).where(cancellations.c.order_id == order_id))
        return None if row is None else cancellation_of(row)

    async def undo_cancellation(self, undone: UndoneCancellation) -> None:
        """See `DecisionWriting.undo_cancellation`.

        The key of a cancellation by the guarded statement has the instant of the decision, and an index on that.
        """
        record = undone.record
        noted = {
            "order_version": undone.order_version,
            "undone_at": micros(undone.undone_at),
            "undone_reason": undone.reason,
            **actor_columns(undone.actor, "door", prefix="undone_"),
        }
        moved = select(*cancellations.c, *(literal(value) for value in noted.values())).where(
            cancellations.c.order_id == record.order_id
        )
        await self._execute(
            insert(undone_cancellations).from_select([one.name for one in cancellations.c] + list(noted), moved)
        )
        await self._execute(delete(cancellations).where(cancellations.c.order_id == record.order_id))
        kept = idempotency_keys.c
        of_batch = and_(kept.created_at == micros(record.decided_at), kept.order_id == record.order_id, kept.cancelled)
        client_id, key = record.kept_under or (None, None)
        of_answer = and_(kept.client_id == client_id, kept.key == key)
        await self._execute(
            update(idempotency_keys)
            .where(of_batch if key is None else or_(of_batch, of_answer))
            .values(order_id=None, cancelled=None, answer=None, undone_at=micros(undone.undone_at))
        )

    async def insert_cancellation(self, record: CancellationRecord) -> None:
        """See `DecisionWriting.insert_cancellation`."""
        await self._execute(
            insert(cancellations).values(
                order_id=record.order_id,
                command_id=record.command_id,
                decided_at=micros(record.decided_at),
                contract=record.contract,
                policy_version=record.policy_version,
                reason=record.reason,
                overridden=codes_column(record.overridden or None),
                key_client_id=None if record.kept_under is None else record.kept_under[0],
                key=None if record.kept_under is None else record.kept_under[1],
                approved_by=record.approved_by,
                **columns_of_decision(record.facts),
                **actor_columns(record.actor, "door"),
            )
        )

    async def insert_refusal(self, record: RefusalRecord) -> None:
        """See `DecisionWriting.insert_refusal`."""
        command = record.command
        await self._execute(
            insert(refusals).values(
                order_id=command.order_id,
                command_id=command.command_id,
                decided_at=micros(record.decided_at),
                contract=record.contract,
                policy_version=record.policy_version,
                reason=command.reason,
                codes=codes_column(record.codes),
                **columns_of_decision(record.facts),
                **actor_columns(command.actor, "door"),
            )
        )
