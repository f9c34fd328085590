"""The statements of the cancellation path, as SQL text: one for a whole batch, and those around it.

`$1` is always the instant of the decision. Every list of rows travels as arrays, one a column.
"""

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import BigInteger, literal_column
from sqlalchemy.dialects import postgresql

from countermand.domain.appointments.appointment import ACTIVE_APPOINTMENT_STATES, AppointmentState
from countermand.domain.cancelling.policy import Policy
from countermand.domain.orders.order_events import OrderEventKind
from countermand.domain.orders.order_kind import OrderKinds, holding_tickets
from countermand.domain.orders.order_state import OrderState
from countermand.storage.policy_sql import as_text, policies_predicate
from countermand.storage.tables.orders import orders

ACTIVE: Final = ", ".join(f"'{state}'" for state in sorted(ACTIVE_APPOINTMENT_STATES))


def _written_instant(column: str) -> str:
    """Microseconds since 1970 as `domain/instants.py` writes an instant, to the letter."""
    fraction = f"(({column} % 1000000 + 1000000) % 1000000)"
    seconds = f"timestamp 'epoch' + (({column} - {fraction}) / 1000000) * interval '1 second'"
    return (
        f"to_char({seconds}, 'YYYY-MM-DD\"T\"HH24:MI:SS')"
        f" || CASE {fraction} WHEN 0 THEN '' ELSE '.' || lpad({fraction}::text, 6, '0') END || 'Z'"
    )


_VISIT_DETAILS: Final = (
    "json_build_object('appointment_id', {0}.id, "
    f"'starts_at', {_written_instant('{0}.starts_at')}, 'ends_at', {_written_instant('{0}.ends_at')})::text"
)


def as_columns(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows as the arrays in which they travel, one a column."""
    return list(zip(*rows, strict=True))


def order_cancelled_details(row: str) -> str:
    """The details of the fact that an order was cancelled, as SQL, from a row with its old state and the reason."""
    return f"json_build_object('from', {row}.state, 'reason', {row}.reason)::text"


def visit_details(row: str) -> str:
    """The details of the fact that an appointment was cancelled, as SQL, from its row."""
    return _VISIT_DETAILS.format(row)


def policy_predicate(policies: Iterable[Policy]) -> str:
    """The policies in force as a predicate on the order's row `o`, at `$1`."""
    predicate = policies_predicate(policies, orders.alias("o"), literal_column("$1::bigint", BigInteger))
    return as_text(predicate, postgresql.dialect())  # type: ignore[no-untyped-call]


def policy_versions(policies: Iterable[Policy]) -> str:
    """The version of the policy in force, by the contract of a row `c`."""
    versions = " ".join(f"WHEN '{policy.contract}' THEN '{policy.version}'" for policy in policies)
    return f"CASE c.contract {versions} END"


# Which orders of a batch hold tickets of a product that another transaction has locked. The products are locked before
# the orders here, against the usual order of locks; but neither is waited for, so nobody waits in a circle. Each ARRAY
# is made whole before the rows that it is compared with, so that every product is locked, or left out, before an order
# is looked at.
_BLOCKED: Final = """
free AS MATERIALIZED (
    SELECT p.uid
    FROM (SELECT DISTINCT t.product_uid FROM {batch} JOIN tickets AS t ON t.order_id = b.order_id WHERE t.valid) AS n
    JOIN products AS p ON p.uid = n.product_uid
    ORDER BY p.uid FOR NO KEY UPDATE OF p SKIP LOCKED
), blocked AS MATERIALIZED (
    SELECT DISTINCT t.order_id FROM {batch} JOIN tickets AS t ON t.order_id = b.order_id
    WHERE t.valid AND t.product_uid <> ALL (ARRAY(SELECT free.uid FROM free))
)"""
_NOT_BLOCKED: Final = "AND o.id <> ALL (ARRAY(SELECT blocked.order_id FROM blocked))"
# Which orders of a batch may be cancelled. Their rows are locked by number, the order of every transaction; whoever
# waited for a lock is asked again on the row's newest version (PostgreSQL re-checks the row it locks).
_SEEN: Final = """
seen AS (
    SELECT o.id AS order_id, o.version, o.contract, o.state, o.appointment_starts_at, o.first_payment_at,
           b.command_id, b.client_id, b.door, b.reason
    FROM {batch} JOIN orders AS o ON o.id = b.order_id
    WHERE (b.on_behalf OR o.client_id = b.client_id) AND ({predicate}) {not_blocked}
    ORDER BY o.id FOR NO KEY UPDATE OF o {held}
)"""
# What this statement reads elsewhere, it reads as it was when the statement began: an appointment booked meanwhile
# would stay active. So a row that changed while we waited (its version is not the one that this snapshot has) is not
# cancelled now, and goes round again on a fresh snapshot.
_CANCELLED: Final = f"""
cancelled AS (
    UPDATE orders AS o SET state = '{OrderState.CANCELLED}', appointment_starts_at = NULL, version = o.version + 1
    FROM seen WHERE o.id = seen.order_id AND o.version = seen.version
    RETURNING seen.order_id, o.version, seen.contract, seen.state, seen.appointment_starts_at, seen.first_payment_at,
              seen.command_id, seen.client_id, seen.door, seen.reason
)"""
_RECORDED: Final = """
recorded AS (
    INSERT INTO cancellations (order_id, command_id, decided_at, client_id, contract, door, policy_version,
                               state, appointment_starts_at, first_payment_at, reason)
    SELECT c.order_id, c.command_id, $1::bigint, c.client_id, c.contract, c.door, {versions},
           c.state, c.appointment_starts_at, c.first_payment_at, c.reason
    FROM cancelled AS c
)"""
_EVENTS: Final = f"""
events AS (
    INSERT INTO outbox (order_id, order_version, kind, recorded_at, client_id, details)
    SELECT c.order_id, c.version, '{OrderEventKind.ORDER_CANCELLED}', $1::bigint, c.client_id,
           {order_cancelled_details("c")}
    FROM cancelled AS c
)"""
_VISITS: Final = f"""
visits AS (
    UPDATE appointments AS a SET state = '{AppointmentState.CANCELLED}', cancelled_at = $1::bigint
    FROM cancelled AS c
    WHERE c.appointment_starts_at IS NOT NULL AND a.order_id = c.order_id AND a.state IN ({ACTIVE})
    RETURNING a.order_id, c.version, c.client_id, a.id, a.starts_at, a.ends_at
), visit_events AS (
    INSERT INTO outbox (order_id, order_version, kind, recorded_at, client_id, details)
    SELECT v.order_id, v.version, '{OrderEventKind.APPOINTMENT_CANCELLED}', $1::bigint, v.client_id,
           {visit_details("v")}
    FROM visits AS v
)"""
# A batch adds up what goes back to a product and writes it once; products are locked by uid, after everything else.
_RELEASED: Final = """
released AS (
    UPDATE tickets AS t SET valid = false FROM cancelled AS c
    WHERE {holds_tickets} AND t.order_id = c.order_id AND t.valid
    RETURNING t.product_uid
), sums AS (
    SELECT r.product_uid, count(*)::integer AS places FROM released AS r GROUP BY r.product_uid
), held AS (
    SELECT p.uid, s.places FROM sums AS s JOIN products AS p ON p.uid = s.product_uid
    ORDER BY p.uid FOR NO KEY UPDATE OF p
), given_back AS (
    UPDATE products AS p SET availability = p.availability + held.places FROM held WHERE p.uid = held.uid
)"""
# A plain insert: a key in use fails the batch. Passing it over would cancel another order under a used key.
_KEPT: Final = """
kept AS (
    INSERT INTO idempotency_keys (client_id, key, fingerprint, created_at, order_id, cancelled)
    SELECT c.client_id, k.key, k.fingerprint, $1::bigint, c.order_id, true
    FROM unnest($8::text[], $9::text[], $10::text[]) AS k (command_id, key, fingerprint)
    JOIN cancelled AS c ON c.command_id = k.command_id
)"""
_BATCH: Final = """unnest($2::bigint[], $3::text[], $4::integer[], $5::boolean[], $6::text[], $7::text[])
        AS b (order_id, command_id, client_id, on_behalf, door, reason)"""


def holds_tickets(kinds: OrderKinds) -> str:
    """Whether the order of a row `c` holds tickets, as a predicate on its contract."""
    names = ", ".join(f"'{contract}'" for contract in sorted(holding_tickets(kinds)))
    return f"c.contract IN ({names})" if names else "false"


def cancel_batch(
    policies: Iterable[Policy], kinds: OrderKinds, *, batch: str = _BATCH, with_keys: bool, skip_held: bool = False
) -> str:
    """The whole cancellation of a batch, in one statement and one round trip. Gives the commands that did it.

    `kinds` has the kind of each contract's orders, which says what is released. With `skip_held`, orders that another
    transaction has locked, or a product of theirs, are left as they are instead of being waited for.
    `batch` is where the commands come from: a relation `b` with the columns order_id, command_id, client_id,
    on_behalf, door and reason.
    """
    policies = list(policies)
    parts = [
        *([_BLOCKED.format(batch=batch)] if skip_held else []),
        _SEEN.format(
            batch=batch,
            predicate=policy_predicate(policies),
            not_blocked=_NOT_BLOCKED if skip_held else "",
            held="SKIP LOCKED" if skip_held else "",
        ),
        _CANCELLED,
        _RECORDED.format(versions=policy_versions(policies)),
        _EVENTS,
        _VISITS,
        _RELEASED.format(holds_tickets=holds_tickets(kinds)),
        *([_KEPT] if with_keys else []),
    ]
    return f"WITH {', '.join(parts)}\nSELECT c.command_id FROM cancelled AS c"


# For a statement that waits for hardly anything: what it would wait for has kept the batch long enough already.
HARDLY_WAIT: Final = "SET LOCAL lock_timeout = '100ms'"
KEEP: Final = """
INSERT INTO idempotency_keys (client_id, key, fingerprint, created_at, order_id, cancelled, policy_version,
                              state, appointment_starts_at, first_payment_at)
SELECT * FROM unnest($1::integer[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::boolean[], $7::text[],
                     $8::text[], $9::bigint[], $10::bigint[])"""
REFUSE: Final = """
INSERT INTO refusals (order_id, command_id, decided_at, client_id, contract, door, policy_version,
                      state, appointment_starts_at, first_payment_at, reason)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::integer[], $5::text[], $6::text[], $7::text[],
                     $8::text[], $9::bigint[], $10::bigint[], $11::text[])"""
COMMITTED: Final = """
SELECT command_id FROM cancellations WHERE order_id = ANY($1::bigint[]) AND command_id = ANY($2::text[])"""
KEPT: Final = """
SELECT k.* FROM unnest($1::integer[], $2::text[]) AS asked (client_id, key)
JOIN idempotency_keys AS k ON k.client_id = asked.client_id AND k.key = asked.key"""
# Ends what still runs for a connection that was cut off, and says whether it is still there. Our own role's backends
# may always be ended; a process number alone may have been given to another meanwhile.
END_BACKEND: Final = """
SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2"""
BACKEND: Final = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
# A commit that waits for a synchronous standby vouches for every commit before it.
VOUCH: Final = "SELECT pg_logical_emit_message(true, 'countermand', 'settled')"
