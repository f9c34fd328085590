"""The command that undoes a cancellation."""

from typing import TYPE_CHECKING

from countermand.bootstrap.clock import utc_now
from countermand.cli.database import CONTRACTS_IN_FORCE, SettingsFile, read_settings
from countermand.cli.option_types import check_fields
from countermand.cli.order_change import AsPerson, Change, Reason, carry_out
from countermand.cli.order_reads import OrderIdGiven
from countermand.cli.printing import AsJson
from countermand.domain.client import Permission

if TYPE_CHECKING:
    from countermand.contracts.http.store import Transaction
    from countermand.domain.actor import Actor
    from countermand.domain.orders.order import OrderId


def restore_command(
    order_id: OrderIdGiven,
    reason: Reason,
    staff: AsPerson,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Undo a cancellation, within the time that the settings give. If anything of it is gone, nothing changes."""
    from countermand.actions.cancelling.restore import restore_order
    from countermand.bootstrap.api_modules import payment_windows, undo_of
    from countermand.contracts.manage.cancel_messages import RestoreGiven

    check_fields(RestoreGiven, reason=reason)
    read = read_settings(settings)
    terms = undo_of(read, payment_windows(read, CONTRACTS_IN_FORCE.get()))

    async def restore(tx: "Transaction", actor: "Actor", number: "OrderId") -> None:
        await restore_order(tx, actor, number, reason, utc_now(), terms=terms)

    permissions = (Permission.CANCEL,)
    carry_out(settings, Change(order_id=order_id, staff=staff, permissions=permissions, make=restore), as_json=as_json)
