"""The commands about orders."""

from typing import TYPE_CHECKING, Annotated

import typer

from countermand.actions.errors import OutcomeUnknownError, UnavailableError
from countermand.bootstrap.clock import utc_now
from countermand.cli.approvals import confirm_command, say_asked, withdraw_command
from countermand.cli.database import SettingsFile, read_settings, with_database
from countermand.cli.errors import NotCancelledError, OverrideDiffersError, named_as_options
from countermand.cli.option_types import check_fields
from countermand.cli.order_change import AsPerson, Reason
from countermand.cli.order_money import (
    assign_command,
    chargeback_command,
    pay_command,
    refund_command,
    refund_failed_command,
    void_command,
)
from countermand.cli.order_reads import (
    OrderIdGiven,
    find_command,
    order_given,
    order_message,
    order_with_history,
    show_command,
    why_command,
)
from countermand.cli.order_restore import restore_command
from countermand.cli.policy_check import check_policy
from countermand.cli.printing import AsJson, print_json, say
from countermand.cli.staff import check_permitted, person_id
from countermand.cli.whole_help import WholeHelpGroup
from countermand.domain.actor import Actor
from countermand.domain.client import COMMAND_LINE, Permission
from countermand.domain.contract import MANAGE
from countermand.domain.orders.order import Order
from countermand.domain.staff_id import StaffId

if TYPE_CHECKING:
    from countermand.actions.cancelling.cancel_orders import CancelOutcome
    from countermand.actions.cancelling.override import OverrideDiffers
    from countermand.actions.cancelling.ports import CancelOrder
    from countermand.bootstrap.database import Database
    from countermand.contracts.manage import messages
    from countermand.domain.cancelling.approval import Approval
    from countermand.settings import Settings

Override = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CODE",
        help="A rule that refuses, to be overridden, like payment_recorded; repeat the option for several.",
    ),
]

order = typer.Typer(
    help="Find, show and explain orders; cancel them and put their money right with a person's name on it.",
    no_args_is_help=True,
    cls=WholeHelpGroup,
)
order.command("find")(find_command)
order.command("show")(show_command)
order.command("why")(why_command)
order.command("pay")(pay_command)
order.command("void")(void_command)
order.command("assign")(assign_command)
order.command("refund")(refund_command)
order.command("refund-failed")(refund_failed_command)
order.command("chargeback")(chargeback_command)
order.command("restore")(restore_command)
order.command("confirm")(confirm_command)
order.command("withdraw")(withdraw_command)


@order.command("cancel")
def cancel_order(
    order_id: OrderIdGiven,
    reason: Reason,
    staff: AsPerson,
    override: Override = None,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Cancel an order on the customer's behalf, under the same policy as everybody. The record names the person.

    If the settings ask for two persons (OVERRIDE_NEEDS_TWO), an override is only asked for: `order confirm` makes it.
    The policy is that of the settings. If the servers have another one, nothing is cancelled: give their settings.
    """
    from countermand.contracts.manage.cancel_messages import CancelGiven

    staff_id, read = person_id(staff, "--as"), read_settings(settings)
    check_fields(CancelGiven, reason=reason)
    with named_as_options():
        named, outcome, shown = with_database(
            read, lambda database: _cancel(read, database, order_id, reason, staff_id, override or [])
        )
    _say(named, outcome, staff_id, shown, as_json=as_json)


async def _cancel(
    read: "Settings", database: "Database", given: str, reason: str, staff_id: StaffId, codes: list[str]
) -> "tuple[Order, CancelOutcome | OverrideDiffers | Approval, messages.Order | None]":
    """Return the order, the outcome, and the cancelled order with its history, if it could be read."""
    from countermand.actions.cancelling.approvals import ask_to_override
    from countermand.actions.cancelling.cancel_orders import Cancelled, CancelledWithHistory
    from countermand.actions.cancelling.command_ids import CommandIds
    from countermand.actions.cancelling.override import override_refusal
    from countermand.actions.cancelling.ports import CancelOrder
    from countermand.contracts.manage.order_ids import order_id_text

    await check_permitted(database, staff_id, Permission.CANCEL)
    if codes:
        await check_permitted(database, staff_id, Permission.OVERRIDE)
    named = await order_given(database, given)
    await check_policy(database, named, "nothing was cancelled")
    # A refusal's record names its policy, which a server stores when it starts.
    await database.store.keep_policies(list(database.policies.by_contract.values()), utc_now())
    command = CancelOrder(
        command_id=CommandIds().next(),
        order_id=named.id,
        order_name=order_id_text(named),
        actor=Actor(COMMAND_LINE, MANAGE, staff_id),
        on_behalf=True,
        reason=reason,
    )
    if codes:
        override = ask_to_override if read.override_needs_two else override_refusal
        async with database.store.transaction() as tx:
            overridden = await override(tx, database.policies, command, codes, utc_now())
        if not isinstance(overridden, Cancelled):
            return named, overridden, None
        try:
            return named, overridden, await order_with_history(read, database, named.id)
        except UnavailableError:  # the order is cancelled all the same
            return named, overridden, None
    outcome = await _cancel_by_policy(read, database, command)
    if not isinstance(outcome, CancelledWithHistory):
        return named, outcome, None
    try:
        return named, outcome, await order_message(read, database, outcome.view, outcome.history)
    except UnavailableError:  # the order is cancelled all the same
        return named, outcome, None


async def _cancel_by_policy(read: "Settings", database: "Database", command: "CancelOrder") -> "CancelOutcome":
    from countermand.actions.cancelling.explain import PolicyArchive
    from countermand.bootstrap.service import cancelling_in

    cancelling = cancelling_in(read, database, PolicyArchive(store=database.store), utc_now)
    try:
        return await cancelling.submit_and_show_history(command)
    finally:
        await cancelling.close()


def _say(
    named: Order,
    outcome: "CancelOutcome | OverrideDiffers | Approval",
    staff_id: StaffId,
    shown: "messages.Order | None",
    *,
    as_json: bool,
) -> None:
    """Print what became of the request. Raises `NotCancelledError` or `OverrideDiffersError`.

    Raises `OutcomeUnknownError` if the order is cancelled, but could not be read, and JSON is wanted.
    """
    from countermand.actions.cancelling.cancel_orders import NotCancelled
    from countermand.actions.cancelling.override import OverrideDiffers
    from countermand.contracts.manage.approval_output import approval_asked
    from countermand.contracts.manage.finding_sentences import sentence_for_operator
    from countermand.contracts.manage.order_ids import order_id_text
    from countermand.domain.cancelling.approval import Approval

    name = order_id_text(named)
    if isinstance(outcome, Approval):
        asked = approval_asked(outcome, named)
        if as_json:
            print_json(asked)
        else:
            say_asked(asked)
        return
    if isinstance(outcome, OverrideDiffers):
        raise OverrideDiffersError(f"{name} was not cancelled: {outcome.sentence}", outcome)
    if isinstance(outcome, NotCancelled):
        why = "; ".join(sentence_for_operator(one) for one in outcome.refused.broken)
        raise NotCancelledError(f"{name} was not cancelled: {why}", outcome.refused)
    if not as_json:
        say(f"Cancelled {name}; the record names {staff_id}")
        return
    if shown is None:
        raise OutcomeUnknownError(f"{name} is cancelled, but could not be read")
    print_json(shown)
