"""Measures the database itself, one order at a time: pgbench runs the product's own statement for a single order.

It makes the same writes and releases in one prepared statement per order, over the same kind of socket, and no order
twice. The statement is derived from the product's (`storage/postgres/statements.py`), with a row of the turns' table in
place of the batch. The look-up of that row reads only an index; without it, pgbench could not use a shuffled order. Its
connections pin the plans as the product's do, except for the statement written by hand, whose plan the server chooses:
two tries each under other load, at 32 clients, gave 5.7k and 7.3k with pins, 5.8k and 6.1k without; by hand 15k and 18k
with pins, 22k and 25k without.
"""

import os
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from countermand.contracts.registry import CONTRACTS, kinds_of
from countermand.domain.cancelling.policy import policy_of
from countermand.domain.orders.order_events import OrderEventKind
from countermand.domain.orders.order_state import OrderState
from countermand.storage.postgres import statements
from countermand.storage.postgres.cancellations import PLANS
from databases import PostgresOrders
from made_orders import turns_table
from sample import BARE_ALONE, Turns

_PATIENCE_S: Final = 60
# Each client begins at its own number and takes every n-th turn, where n is the number of clients.
_SCRIPT: Final = """\\set turn :first + :taken * :clients + :client_id
\\set taken :taken + 1
{statement};
"""
_TURN: Final = """(
    SELECT t.*, false AS on_behalf, NULL::text AS staff_id, NULL::text AS acting_as, NULL::text AS address
    FROM {turns} AS t WHERE t.turn = :turn) AS b"""
# A statement written by hand for an order that holds nothing: it releases nothing and takes no lock before the update.
_BY_HAND: Final = f"""
WITH cancelled AS (
    UPDATE orders AS o SET state = '{OrderState.CANCELLED}', appointment_starts_at = NULL, version = o.version + 1
    FROM {{batch}} WHERE o.id = b.order_id AND o.client_id = b.client_id AND ({{predicate}})
    RETURNING b.order_id, o.version, o.contract, old.state, old.appointment_starts_at, old.first_payment_at,
              b.command_id, b.client_id, b.door, b.reason
), recorded AS (
    INSERT INTO cancellations (order_id, command_id, decided_at, client_id, contract, door, policy_version,
                               state, appointment_starts_at, first_payment_at, reason)
    SELECT c.order_id, c.command_id, $1::bigint, c.client_id, c.contract, c.door, {{versions}},
           c.state, c.appointment_starts_at, c.first_payment_at, c.reason
    FROM cancelled AS c
), told AS (
    INSERT INTO outbox (order_id, order_version, kind, recorded_at, client_id, details)
    SELECT c.order_id, c.version, '{OrderEventKind.ORDER_CANCELLED}', $1::bigint, c.client_id, {{details}}
    FROM cancelled AS c
)
SELECT c.command_id FROM cancelled AS c"""


class PgbenchError(Exception):
    """Raised if pgbench or some of its transactions failed."""


@dataclass(frozen=True, kw_only=True)
class PgbenchLoad:
    """The results of pgbench: one transaction is one order."""

    processed: int
    cancels_a_second: float
    average_ms: float


def statement(turns: Turns) -> str:
    """Return the statement for one order, whose turn is `:turn`, at the instant `:now`."""
    policies = [policy_of(contract.name, contract.default_rules) for contract in CONTRACTS]
    batch = _TURN.format(turns=turns_table(turns.name))
    if turns.name == BARE_ALONE:
        text = _BY_HAND.format(
            batch=batch,
            predicate=statements.policy_predicate(policies),
            versions=statements.policy_versions(policies),
            details=statements.order_cancelled_details("c"),
        )
    else:
        text = statements.cancel_batch(policies, kinds_of(CONTRACTS), batch=batch)
    # Even within a text, pgbench takes a colon before a letter for one of its variables.
    texts = re.sub(r"'[^']*'", lambda found: re.sub(r":(?=\w)", "' || chr(58) || '", found[0]), text)
    return texts.replace("$1", ":now")


def pgbench(database: PostgresOrders, turns: Turns, *, first: int, clients: int, seconds: int) -> PgbenchLoad:
    """Cancel orders one at a time for `seconds` seconds, from the turn `first` on. Raises `PgbenchError`."""
    server = database.server
    pinned = {} if turns.name == BARE_ALONE else PLANS
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(_SCRIPT.format(statement=statement(turns)))
        script.flush()
        variables = {"first": first, "taken": 0, "clients": clients, "now": time.time_ns() // 1000}
        command: list[str | Path] = [server.programs / "pgbench", "--no-vacuum", "--protocol=prepared"]
        command += [f"--client={clients}", f"--jobs={min(clients, os.cpu_count() or 1)}", f"--time={seconds}"]
        command += [f"--file={script.name}", *(f"--define={name}={value}" for name, value in variables.items())]
        try:
            done = subprocess.run(
                [*command, server.url(database.name)],
                capture_output=True,
                text=True,
                check=True,
                timeout=seconds + _PATIENCE_S,
                env={**os.environ, "PGOPTIONS": " ".join(f"-c {name}={value}" for name, value in pinned.items())},
            )
        except subprocess.CalledProcessError as error:
            raise PgbenchError(f"pgbench failed: {(error.stdout + error.stderr)[-1000:]}") from error
    said = done.stdout
    if int(_number(r"number of failed transactions: (\d+)", said)):
        raise PgbenchError(f"transactions failed: {said}")
    return PgbenchLoad(
        processed=int(_number(r"transactions actually processed: (\d+)", said)),
        cancels_a_second=_number(r"tps = ([\d.]+)", said),
        average_ms=_number(r"latency average = ([\d.]+) ms", said),
    )


def next_turn(database: PostgresOrders, turns: Turns) -> int:
    """Return the first turn after all used turns: some clients of pgbench are faster than others."""
    table = turns_table(turns.name)
    (after,) = database.row(f"SELECT coalesce(max(turn) + 1, 0) FROM {table} JOIN cancellations USING (order_id)")
    return after


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        raise PgbenchError(f"pgbench said nothing like {pattern}: {text}")
    return float(found[1])
