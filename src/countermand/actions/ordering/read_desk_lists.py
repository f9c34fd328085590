"""Reads the lists of the desk, a page at a time, each page from a consistent state of its own."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from countermand.actions.cancelling.decide_again import codes_of, policies_of
from countermand.actions.cancelling.explain import PolicyArchive
from countermand.actions.cancelling.ports import CancellationRecord, RefusalRecord
from countermand.actions.ordering.desk_lists import (
    DeskLists,
    ListedApproval,
    ListedDecision,
    ListedPayment,
    ListedRefund,
    ListPage,
    PartPaidOrder,
    ReasonCount,
    RowsWanted,
)
from countermand.actions.ports import Snapshots

COUNTED_FOR: Final = timedelta(days=7)


async def list_cancellations(
    store: Snapshots[DeskLists], wanted: RowsWanted, at_most: int
) -> ListPage[ListedDecision[CancellationRecord]]:
    """Return cancellations. Every list raises `FieldsError` if `wanted.after` is no place in it."""
    async with store.snapshot() as reading:
        return await reading.cancellations_listed(wanted, at_most)


async def list_refusals(
    store: Snapshots[DeskLists], archive: PolicyArchive, wanted: RowsWanted, at_most: int
) -> ListPage[ListedDecision[RefusalRecord]]:
    """Return refusals. Codes that are not filled in yet come from the policy and the facts, if these are known."""
    async with store.snapshot() as reading:
        page = await reading.refusals_listed(wanted, at_most)
    policies = await policies_of(archive, [one.record for one in page.items if one.record.codes is None])
    found = [replace(one, record=replace(one.record, codes=codes_of(one.record, policies))) for one in page.items]
    if wanted.code is not None:
        found = [one for one in found if wanted.code in (one.record.codes or ())]
    return ListPage(items=found, following=page.following)


async def count_reasons(
    store: Snapshots[DeskLists], wanted: RowsWanted, now: datetime
) -> tuple[Sequence[ReasonCount], datetime]:
    """Count refusals by their codes, and return from which instant on they are counted.

    That is `wanted.since` or, without it, `COUNTED_FOR` before `wanted.until` or now; or later, if there are too many.
    """
    since = wanted.since or (wanted.until or now) - COUNTED_FOR
    async with store.snapshot() as reading:
        counted = await reading.refusal_reasons(replace(wanted, since=since))
    return counted.counts, counted.since or since


async def list_late_payments(store: Snapshots[DeskLists], wanted: RowsWanted, at_most: int) -> ListPage[ListedPayment]:
    """Return payments that came after their order had ended."""
    async with store.snapshot() as reading:
        return await reading.late_payments_listed(wanted, at_most)


async def list_refunds(store: Snapshots[DeskLists], wanted: RowsWanted, at_most: int) -> ListPage[ListedRefund]:
    """Return refunds: those that are due, made, failed or withdrawn, or all."""
    async with store.snapshot() as reading:
        return await reading.refunds_listed(wanted, at_most)


async def list_approvals(
    store: Snapshots[DeskLists], wanted: RowsWanted, at_most: int, now: datetime
) -> ListPage[ListedApproval]:
    """Return approvals: those that are open at `now`, confirmed, expired, outdated or withdrawn, or all."""
    async with store.snapshot() as reading:
        return await reading.approvals_listed(wanted, at_most, now)


async def list_part_payments(store: Snapshots[DeskLists], wanted: RowsWanted, at_most: int) -> ListPage[PartPaidOrder]:
    """Return orders that are paid in part."""
    async with store.snapshot() as reading:
        return await reading.part_payments_listed(wanted, at_most)
