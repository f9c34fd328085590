"""A process that places orders and cancels them on SQLite, and says what it has committed and when it checkpoints.

It ends only with a signal. Usage: python -m support.checkpointing DATABASE
"""

import asyncio
import secrets
import sys
from pathlib import Path

from countermand.actions.cancelling.command_ids import CommandId
from countermand.actions.cancelling.ports import CancelOrder
from countermand.actions.ordering.place_service_orders import place_service_order
from countermand.bootstrap.clock import utc_now
from countermand.bootstrap.database import open_database
from countermand.domain.actor import Actor
from countermand.domain.orders.order_details import ServiceOrderDetails
from countermand.settings import read_settings
from countermand.storage.sqlite.checkpoints import Checkpoints
from support.contracts import CONNECT

BEGINS, ENDS = "checkpoint begins", "checkpoint ends"
_ORDERS_AT_ONCE = 100


def say(*words: object) -> None:
    """Write a line at once."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


class Telling(Checkpoints):
    """Says when a checkpoint begins and ends."""

    def _checkpoint_here(self, mode: str) -> tuple[int, int]:
        say(BEGINS)
        done = super()._checkpoint_here(mode)
        say(ENDS)
        return done


async def main(path: Path) -> None:
    """Place orders and cancel them, for ever; each line but those about checkpoints has the numbers of a batch."""
    database = await open_database(read_settings(database_path=path))
    database.store._checkpoints.__class__ = Telling  # type: ignore[attr-defined]
    (client,) = await database.clients.all()
    details = ServiceOrderDetails(location_id="LOC380100009114", plan_name="Home Fast 100/20")
    while True:
        async with database.store.transaction() as tx:
            placed = [
                (await place_service_order(tx, client.id, details, utc_now(), contract=CONNECT.name)).order.id
                for _ in range(_ORDERS_AT_ONCE)
            ]
        actor = Actor(client.id, client.channel)
        commands = [
            CancelOrder(command_id=CommandId(secrets.token_hex(16)), order_id=order_id, actor=actor)
            for order_id in placed
        ]
        assert len(await database.cancellations.cancel(commands, utc_now())) == len(placed)
        say(*placed)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
