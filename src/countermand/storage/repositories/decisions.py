"""Writes the decision records of cancellations that have a transaction of their own."""

from sqlalchemy import insert

from countermand.actions.cancelling.ports import CancellationRecord, RefusalRecord
from countermand.storage.repositories.facts import columns_of_decision
from countermand.storage.repositories.rows import actor_columns, codes_column
from countermand.storage.statement_runner import StatementRunner
from countermand.storage.tables.cancelling import cancellations, refusals
from countermand.storage.tables.columns import micros


class DecisionRows(StatementRunner):
    """Implements `DecisionWriting`."""

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
