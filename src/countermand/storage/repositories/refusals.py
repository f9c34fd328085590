"""Reads refusals in the order of their instants, and fills in the codes that an older version left out."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, bindparam, literal, select, tuple_, update

from countermand.actions.cancelling.command_ids import CommandId
from countermand.actions.cancelling.ports import PolicyUse, RefusalRecord
from countermand.domain.cancelling.policy import Policy, PolicyVersion
from countermand.domain.contract import ContractName
from countermand.domain.orders.order import OrderId
from countermand.storage.repositories.decisions import codes_column, refusal_of
from countermand.storage.sql_types import Row
from countermand.storage.statement_runner import StatementRunner
from countermand.storage.tables.cancelling import policies, policies_in_force, refusals
from countermand.storage.tables.columns import instant, micros
from countermand.storage.tables.progress import task_progress

_PROGRESS: Final = "codes"
_LOOKED_AT: Final = 500  # refusals around an instant, to find the last and the next of a contract
RefusalPlace = tuple[datetime, OrderId, CommandId]


def has_code(code: str) -> ColumnElement[bool]:
    """Return the condition that a refusal has this code among its codes, which have spaces between."""
    around = literal(" ") + refusals.c.codes + literal(" ")
    return around.contains(f" {code} ", autoescape=True)


class RefusalRows(StatementRunner):
    """Finds refusals and fills their codes."""

    async def refusals_after(self, after: RefusalPlace, at_most: int) -> Sequence[RefusalRecord]:
        """Return the next refusals after a place, oldest first. Reads along the index of the instants."""
        at, order_id, command_id = after
        place = refusals.c.decided_at, refusals.c.order_id, refusals.c.command_id
        following = tuple_(*place) > tuple_(micros(at), order_id, command_id)
        found = select(refusals).where(refusals.c.decided_at >= micros(at), following).order_by(*place).limit(at_most)
        return [refusal_of(row) for row in await self.rows(found)]

    async def policy_uses(self, contract: ContractName, around: datetime) -> Sequence[PolicyUse]:
        """See `PolicyUses.policy_uses`."""
        first = select(policies.c.version, policies.c.first_used_at.label("at")).where(policies.c.contract == contract)
        uses = [_use(row, is_first=True) for row in await self.rows(first)]
        at = refusals.c.decided_at
        for side, nearest in ((at <= micros(around), at.desc()), (at > micros(around), at.asc())):
            # The index has the instants of all contracts: there may be any number of others in between.
            some = select(refusals).where(side).order_by(nearest).limit(_LOOKED_AT).subquery()
            of_contract = select(some.c.policy_version.label("version"), some.c.decided_at.label("at"))
            found = await self.rows(of_contract.where(some.c.contract == contract))
            by_nearness = sorted(found, key=lambda row: abs(row["at"] - micros(around)))
            uses += [_use(row, is_first=False) for row in by_nearness[:1]]
        return uses

    async def policy_in_force(self, contract: ContractName) -> PolicyUse | None:
        """See `PolicyUses.policy_in_force`."""
        noted = select(policies_in_force.c.version, policies_in_force.c.since.label("at"))
        row = await self._one(noted.where(policies_in_force.c.contract == contract))
        return None if row is None else _use(row, is_first=True)

    async def note_in_force(self, policy: Policy, now: datetime) -> None:
        """Note that a server starts with a policy."""
        columns = {"contract": policy.contract, "version": policy.version, "since": micros(now)}
        put = self._insert(policies_in_force).values(columns)
        await self.run(put.on_conflict_do_update(index_elements=["contract"], set_=columns))

    async def codes_progress(self) -> datetime | None:
        """Return the instant up to which all refusals have their codes, if these are known; None before the start."""
        row = await self._one(select(task_progress.c.reached_at).where(task_progress.c.name == _PROGRESS))
        return None if row is None else instant(row["reached_at"])

    async def move_codes_progress(self, place: RefusalPlace) -> None:
        """Move that instant forward to a place. A node that is behind another one moves nothing."""
        at, order_id, _ = place
        first = self._insert(task_progress).values(name=_PROGRESS, reached_at=micros(at), order_id=order_id)
        it, new = task_progress.c, first.excluded
        await self.run(
            first.on_conflict_do_update(
                index_elements=[it.name],
                set_={"reached_at": new.reached_at, "order_id": new.order_id},
                where=it.reached_at < new.reached_at,
            )
        )

    async def fill_codes(self, codes: Mapping[tuple[OrderId, CommandId], Sequence[str]]) -> None:
        """Fill the codes of these refusals where they are empty. Rows are written in the order of their keys."""
        mine = refusals.c.order_id == bindparam("of_order"), refusals.c.command_id == bindparam("of_command")
        rows = [
            {"of_order": order_id, "of_command": command_id, "filled": codes_column(codes[order_id, command_id])}
            for order_id, command_id in sorted(codes)
        ]
        filled = update(refusals).where(*mine, refusals.c.codes.is_(None)).values(codes=bindparam("filled"))
        await self._execute(filled, rows)


def _use(row: Row, *, is_first: bool) -> PolicyUse:
    return PolicyUse(version=PolicyVersion(row["version"]), at=instant(row["at"]), is_first=is_first)
