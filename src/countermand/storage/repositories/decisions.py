"""Converts decision records from their rows; writes and moves those that have a transaction of their own."""

from collections.abc import Sequence

from sqlalchemy import and_, delete, insert, literal, or_, select, update

from countermand.actions.cancelling.command_ids import CommandId
from countermand.actions.cancelling.ports import CancellationRecord, CancelOrder, RefusalRecord, UndoneCancellation
from countermand.domain.cancelling.policy import PolicyVersion
from countermand.domain.client import ClientId
from countermand.domain.contract import MANAGE, ContractName
from countermand.domain.orders.order import OrderId
from countermand.storage.repositories.facts import columns_of_decision, facts_of_decision
from countermand.storage.repositories.rows import actor_columns, actor_of
from countermand.storage.sql_types import Row
from countermand.storage.statement_runner import StatementRunner
from countermand.storage.tables.cancelling import cancellations, idempotency_keys, refusals, undone_cancellations
from countermand.storage.tables.columns import instant, micros


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


def cancellation_of(row: Row) -> CancellationRecord:
    """Return the decision record of a cancellation from its row."""
    return CancellationRecord(
        order_id=OrderId(row["order_id"]),
        command_id=CommandId(row["command_id"]),
        decided_at=instant(row["decided_at"]),
        actor=actor_of(row, row["door"]),
        contract=ContractName(row["contract"]),
        policy_version=PolicyVersion(row["policy_version"]),
        facts=facts_of_decision(row),
        reason=row["reason"],
        overridden=() if row["overridden"] is None else tuple(row["overridden"].split()),
        approved_by=row["approved_by"],
        kept_under=None if row["key"] is None else (ClientId(row["key_client_id"]), row["key"]),
    )


def undone_cancellation_of(row: Row) -> UndoneCancellation:
    """Return the decision record of a cancellation that was undone from its row."""
    return UndoneCancellation(
        record=cancellation_of(row),
        order_version=row["order_version"],
        undone_at=instant(row["undone_at"]),
        actor=actor_of(row, row["undone_door"], prefix="undone_"),
        reason=row["undone_reason"],
    )


def refusal_of(row: Row) -> RefusalRecord:
    """Return the decision record of a refusal from its row."""
    return RefusalRecord(
        command=CancelOrder(
            command_id=CommandId(row["command_id"]),
            order_id=OrderId(row["order_id"]),
            actor=actor_of(row, row["door"]),
            on_behalf=row["door"] == MANAGE,
            reason=row["reason"],
        ),
        contract=ContractName(row["contract"]),
        decided_at=instant(row["decided_at"]),
        policy_version=PolicyVersion(row["policy_version"]),
        facts=facts_of_decision(row),
        codes=None if row["codes"] is None else tuple(row["codes"].split()),
    )


def codes_column(codes: Sequence[str] | None) -> str | None:
    """Return the codes of a refusal as the column has them."""
    return None if codes is None else " ".join(codes)
