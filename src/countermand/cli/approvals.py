"""The commands about approvals: confirm a cancellation that another person asked for, or withdraw your own."""

from typing import TYPE_CHECKING, Annotated

import typer

from countermand.actions.errors import OutcomeUnknownError, UnavailableError
from countermand.bootstrap.clock import utc_now
from countermand.cli.database import SettingsFile, read_settings, with_database
from countermand.cli.errors import ApprovalDiffersError
from countermand.cli.option_types import TEXT
from countermand.cli.order_change import AsPerson
from countermand.cli.order_reads import order_with_history
from countermand.cli.policy_check import check_policy
from countermand.cli.printing import AsJson, print_json, said, say
from countermand.cli.staff import check_permitted, person_id
from countermand.domain.actor import Actor
from countermand.domain.client import COMMAND_LINE, Permission
from countermand.domain.contract import MANAGE
from countermand.domain.staff_id import StaffId

if TYPE_CHECKING:
    from countermand.bootstrap.database import Database
    from countermand.contracts.manage import approval_messages, messages
    from countermand.domain.cancelling.approval import Approval
    from countermand.domain.orders.order import Order
    from countermand.settings import Settings

ApprovalGiven = Annotated[
    str,
    typer.Argument(
        help="The approval's id, which `countermand order cancel` printed.", **TEXT | {"metavar": "APPROVAL"}
    ),
]


def confirm_command(
    approval: ApprovalGiven,
    staff: AsPerson,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Confirm a cancellation that another person asked for. It is carried out at once; the record names both persons.

    The policy is that of the settings. If the servers have another one, nothing is cancelled: give their settings.
    """
    staff_id, read = person_id(staff, "--as"), read_settings(settings)
    shown = with_database(read, lambda database: _confirm(read, database, approval, staff_id))
    if as_json:
        print_json(shown)
        return
    record = shown.cancellation
    asker = None if record is None else record.staff_id
    say(f"Cancelled {shown.id}; the record names {asker}, who asked, and {staff_id}, who confirmed")


async def _confirm(read: "Settings", database: "Database", given: str, staff_id: StaffId) -> "messages.Order":
    from countermand.actions.cancelling.approvals import ApprovalDiffers, confirm
    from countermand.actions.cancelling.command_ids import CommandIds

    await check_permitted(database, staff_id, Permission.OVERRIDE)
    approval, order = await _approval_given(database, given)
    await check_policy(database, order, "nothing was cancelled")
    actor, command_id = Actor(COMMAND_LINE, MANAGE, staff_id), CommandIds().next()
    async with database.store.transaction() as tx:
        outcome = await confirm(tx, database.policies, approval.id, actor, command_id, utc_now())
    if isinstance(outcome, ApprovalDiffers):
        raise ApprovalDiffersError(outcome.sentence, outcome)
    try:
        return await order_with_history(read, database, order.id)
    except UnavailableError as error:  # the cancellation is committed, so "nothing was done" would be wrong
        raise OutcomeUnknownError("the order is cancelled, but could not be read; a repeat changes nothing") from error


def withdraw_command(
    approval: ApprovalGiven,
    staff: AsPerson,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Withdraw what you asked for, before another person confirms it."""
    staff_id = person_id(staff, "--as")
    shown = with_database(read_settings(settings), lambda database: _withdraw(database, approval, staff_id))
    if as_json:
        print_json(shown)
        return
    say(f"Withdrew the approval {shown.id} of {shown.order_id}")


async def _withdraw(database: "Database", given: str, staff_id: StaffId) -> "approval_messages.Approval":
    from countermand.actions.cancelling.approvals import withdraw
    from countermand.contracts.manage.approval_output import approval_shown

    await check_permitted(database, staff_id, Permission.OVERRIDE)
    approval, order = await _approval_given(database, given)
    now = utc_now()
    async with database.store.transaction() as tx:
        withdrawn = await withdraw(tx, approval.id, Actor(COMMAND_LINE, MANAGE, staff_id), now)
    return approval_shown(withdrawn, order, now)


async def _approval_given(database: "Database", given: str) -> "tuple[Approval, Order]":
    """Return an approval and its order. Raises `NotFoundError`."""
    from countermand.actions.cancelling.approvals import approval_named
    from countermand.contracts.manage.approvals import approval_id_from

    async with database.store.snapshot() as reading:
        approval = await approval_named(reading, approval_id_from(given))
        order = await reading.order(approval.order_id)
    assert order is not None, "orders are never deleted"
    return approval, order


def say_asked(asked: "approval_messages.ApprovalAsked") -> None:
    """Print what was asked for, and how another person confirms it."""
    due = " and ".join(map(str, asked.due)) or "nothing"
    say(
        f"Asked to cancel {asked.order_id}, overriding {', '.join(asked.override)}; {due} would become due",
        f"Another person confirms it before {said(asked.until)}: countermand order confirm {asked.approval} --as NAME",
    )
