"""Makes the SQL of the cancellation path: one statement for a whole batch, and the statements around it.

In the statement of a batch, `$1` is the instant of the decision. Every list of rows is sent as arrays, one per column.
"""

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Final, NamedTuple

from sqlalchemy import BigInteger, literal_column
from sqlalchemy.dialects import postgresql

from countermand.actions.cancelling.ports import CancelOrder
from countermand.domain.appointments.appointment import ACTIVE_APPOINTMENT_STATES, AppointmentState
from countermand.domain.cancelling.policy import Policy
from countermand.domain.orders.order import may_have_uid
from countermand.domain.orders.order_events import OrderEventKind
from countermand.domain.orders.order_kind import OrderKinds
from countermand.domain.orders.order_state import OrderState
from countermand.domain.orders.payment_correction import CANCELLED_WITHOUT_REASON, CorrectionKind, RefundState
from countermand.storage import due_sql
from countermand.storage.policy_sql import as_text, policies_predicate
from countermand.storage.postgres.ticket_rows import RETURNING_PRODUCTS, cancelled_orders, holds_tickets
from countermand.storage.tables.orders import orders

ACTIVE: Final = ", ".join(f"'{state}'" for state in sorted(ACTIVE_APPOINTMENT_STATES))


def _written_instant(column: str) -> str:
    """Return SQL that writes microseconds since 1970 exactly as `domain/instants.py` writes an instant."""
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


def as_columns(rows: Iterable[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Rows as the arrays in which they travel, one a column."""
    return list(zip(*rows, strict=True))


def order_cancelled_details(row: str) -> str:
    """Return SQL for the details of the event `order.cancelled`, from a row with the old state and the reason."""
    return f"json_build_object('from', {row}.state, 'reason', {row}.reason)::text"


def visit_details(row: str) -> str:
    """Return SQL for the details of the event that an appointment was cancelled, from the appointment's row."""
    return _VISIT_DETAILS.format(row)


def policy_predicate(policies: Iterable[Policy]) -> str:
    """Return the policies in force as a predicate on the order's row `o`, at the instant `$1`."""
    predicate = policies_predicate(policies, orders.alias("o"), literal_column("$1::bigint", BigInteger))
    return as_text(predicate, postgresql.dialect())  # type: ignore[no-untyped-call]


def policy_versions(policies: Iterable[Policy]) -> str:
    """Return SQL for the version of the policy in force, by the contract of a row `c`."""
    versions = " ".join(f"WHEN '{policy.contract}' THEN '{policy.version}'" for policy in policies)
    return f"CASE c.contract {versions} END"


# Finds the orders of a batch that hold tickets of a product that another transaction has locked. The products are
# locked before the orders here, against the usual order of locks; but the statement waits for neither, so no
# transactions can wait in a circle. Each ARRAY is complete before a row is compared with it, so that every product is
# locked, or left out, before the statement looks at an order.
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
# Finds the orders of a batch that may be cancelled. Their rows are locked in the order of their numbers, like in every
# transaction; after a wait, PostgreSQL checks the predicate again on the newest version of the locked row.
_SEEN: Final = """
seen AS (
    SELECT o.id AS order_id, o.version, o.contract, o.state, o.appointment_starts_at, o.first_payment_at,
           CASE WHEN o.refunded_version = o.version THEN true END AS refunded_in_full,
           b.command_id, b.client_id, b.door, b.reason, b.staff_id, b.acting_as, b.address
    FROM {batch} JOIN orders AS o ON o.id = b.order_id
    WHERE (b.on_behalf OR o.client_id = b.client_id) AND ({predicate}) {unless}
    ORDER BY o.id FOR NO KEY UPDATE OF o {held}
)"""
# An order that was refunded in full still is, under its new version: see `refunded_version` in tables/orders.py.
# The statement reads all other tables as they were when the statement began: an appointment that was booked since then
# would stay active. So an order that changed during the wait (its version differs from that of this snapshot) is not
# cancelled now, and its command runs again on a fresh snapshot.
_CANCELLED: Final = f"""
cancelled AS (
    UPDATE orders AS o SET state = '{OrderState.CANCELLED}', appointment_starts_at = NULL, version = o.version + 1,
        refunded_version = o.refunded_version + 1
    FROM seen WHERE o.id = seen.order_id AND o.version = seen.version
    RETURNING seen.order_id, o.version, seen.contract, seen.state, seen.appointment_starts_at, seen.first_payment_at,
              seen.refunded_in_full, seen.command_id, seen.client_id, seen.door, seen.reason, seen.staff_id,
              seen.acting_as, seen.address, o.client_id AS owner_id, o.created_at
)"""
_RECORDED: Final = """
recorded AS (
    INSERT INTO cancellations (order_id, command_id, decided_at, client_id, contract, door, policy_version,
                               state, appointment_starts_at, first_payment_at, refunded_in_full, reason, staff_id,
                               acting_as, address)
    SELECT c.order_id, c.command_id, $1::bigint, c.client_id, c.contract, c.door, {versions},
           c.state, c.appointment_starts_at, c.first_payment_at, c.refunded_in_full, c.reason, c.staff_id,
           c.acting_as, c.address
    FROM cancelled AS c
)"""
_EVENTS: Final = f"""
events AS (
    INSERT INTO outbox (order_id, order_version, kind, recorded_at, client_id, details, staff_id, acting_as, channel,
                        address)
    SELECT c.order_id, c.version, '{OrderEventKind.ORDER_CANCELLED}', $1::bigint, c.client_id,
           {order_cancelled_details("c")}, c.staff_id, c.acting_as, c.door, c.address
    FROM cancelled AS c
)"""
_VISITS: Final = f"""
visits AS (
    UPDATE appointments AS a
    SET state = '{AppointmentState.CANCELLED}', cancelled_at = $1::bigint, cancelled_from = a.state
    FROM cancelled AS c
    WHERE c.appointment_starts_at IS NOT NULL AND a.order_id = c.order_id AND a.state IN ({ACTIVE})
    RETURNING a.order_id, c.version, c.client_id, c.staff_id, c.acting_as, c.door, c.address,
              a.id, a.starts_at, a.ends_at
), visit_events AS (
    INSERT INTO outbox (order_id, order_version, kind, recorded_at, client_id, details, staff_id, acting_as, channel,
                        address)
    SELECT v.order_id, v.version, '{OrderEventKind.APPOINTMENT_CANCELLED}', $1::bigint, v.client_id,
           {visit_details("v")}, v.staff_id, v.acting_as, v.door, v.address
    FROM visits AS v
)"""
# A batch adds up the places that go back to a product, and writes the product once. Products are locked last, by uid.
_RELEASED: Final = """
released AS (
    UPDATE tickets AS t SET valid = false, released = true FROM cancelled AS c
    WHERE {holds_tickets} AND t.order_id = c.order_id AND t.valid
    RETURNING t.product_uid
), sums AS (
    SELECT r.product_uid, count(*)::integer AS places FROM released AS r GROUP BY r.product_uid
), held AS (
    SELECT p.uid, s.places FROM sums AS s JOIN products AS p ON p.uid = s.product_uid
    ORDER BY p.uid FOR NO KEY UPDATE OF p
), given_back AS (
    UPDATE products AS p SET availability = p.availability + held.places FROM held WHERE p.uid = held.uid
    {returning}
)"""
# What is kept for the cancelled orders becomes due.
_DUE: Final = f"""
due AS ({{kept_amounts}}
), refunds AS (
    INSERT INTO payment_corrections (order_id, number, kind, amount_minor, currency, state, reason, recorded_at,
                                     client_id, staff_id, acting_as, channel, address)
    SELECT d.order_id, d.last + row_number() OVER (PARTITION BY d.order_id ORDER BY d.currency),
           '{CorrectionKind.REFUND}', d.minor, d.currency, '{RefundState.DUE}',
           coalesce(c.reason, '{CANCELLED_WITHOUT_REASON}'), $1::bigint,
           c.client_id, c.staff_id, c.acting_as, c.door, c.address
    FROM due AS d JOIN cancelled AS c ON c.order_id = d.order_id
), refund_events AS (
    INSERT INTO outbox (order_id, order_version, kind, recorded_at, client_id, details, staff_id, acting_as, channel,
                        address)
    SELECT c.order_id, c.version, '{OrderEventKind.REFUND_DUE}', $1::bigint, c.client_id,
           json_build_object('amounts', a.amounts, 'reason', c.reason)::text,
           c.staff_id, c.acting_as, c.door, c.address
    FROM (
        SELECT d.order_id,
               json_agg(json_build_object('amount_minor', d.minor, 'currency', d.currency) ORDER BY d.currency)
                   AS amounts
        FROM due AS d GROUP BY d.order_id
    ) AS a JOIN cancelled AS c ON c.order_id = a.order_id
)"""
_PAID: Final = """(SELECT c.order_id FROM cancelled AS c
              WHERE c.first_payment_at IS NOT NULL AND c.contract IN ({owing})) AS b"""
# A plain insert, so that a key in use fails the batch: to skip the key would cancel another order under a used key.
_KEPT: Final = """
kept AS (
    INSERT INTO idempotency_keys (client_id, key, fingerprint, message_fingerprint, created_at, order_id, cancelled)
    SELECT c.client_id, k.key, k.request, k.message, $1::bigint, c.order_id, true
    FROM unnest($11::text[], $12::text[], $13::text[], $14::text[]) AS k (command_id, key, request, message)
    JOIN cancelled AS c ON c.command_id = k.command_id
)"""
_BATCH: Final = """unnest($2::bigint[], $3::text[], $4::integer[], $5::boolean[], $6::text[], $7::text[], $8::text[],
                       $9::text[], $10::text[])
        AS b (order_id, command_id, client_id, on_behalf, door, reason, staff_id, acting_as, address)"""


class BatchForm(NamedTuple):
    """A form of the statement of a batch. It leaves out what its batches cannot need.

    `with_keys` writes idempotency keys. `skip_held` skips orders that another transaction has locked, or whose product
    it has locked, instead of waiting for them. Without `with_tickets`, the statement cancels no order that holds
    tickets, and has no part that releases any. `with_orders` returns the cancelled ticket orders as well, in the form
    of `ticket_rows.py`.
    """

    with_keys: bool = False
    skip_held: bool = False
    with_tickets: bool = True
    with_orders: bool = False


_WHOLE: Final = BatchForm()
# Each is prepared when a connection needs it first. The form that skips looks at tickets anyway.
BATCH_FORMS: Final = [
    BatchForm(with_keys, skip_held, with_tickets, with_orders)
    for with_keys, skip_held, with_tickets, with_orders in product((False, True), repeat=4)
    if with_tickets or not (skip_held or with_orders)
]


def form_for(commands: Sequence[CancelOrder], *, skip_held: bool) -> BatchForm:
    """Return the form for a batch. Numbers tell which orders may hold tickets; their contracts are not known yet."""
    with_tickets = skip_held or any(may_have_uid(command.order_id) for command in commands)
    return BatchForm(
        with_keys=any(command.idempotency is not None for command in commands),
        skip_held=skip_held,
        with_tickets=with_tickets,
        with_orders=with_tickets and any(command.wants_order for command in commands),
    )


def cancel_batch(
    policies: Iterable[Policy], kinds: OrderKinds, form: BatchForm = _WHOLE, *, batch: str = _BATCH
) -> str:
    """Return the statement that cancels a whole batch, and returns the ids of the commands that cancelled an order.

    `kinds` has the kind of each contract's orders, which says what is released. `batch` is the SQL of the commands: a
    relation `b` with the columns order_id, command_id, client_id, on_behalf, door, reason, staff_id, acting_as,
    address.
    """
    policies = list(policies)
    owing = ", ".join(f"'{contract}'" for contract in sorted(due_sql.owing(policies, kinds)))
    parts = [
        *([_BLOCKED.format(batch=batch)] if form.skip_held else []),
        _SEEN.format(
            batch=batch,
            predicate=policy_predicate(policies),
            unless=_unless(kinds, form),
            held="SKIP LOCKED" if form.skip_held else "",
        ),
        _CANCELLED,
        _RECORDED.format(versions=policy_versions(policies)),
        _EVENTS,
        _VISITS,
        *([_released(kinds, form)] if form.with_tickets else []),
        *([_DUE.format(kept_amounts=due_sql.kept_amounts(_PAID.format(owing=owing)))] if owing else []),
        *([_KEPT] if form.with_keys else []),
    ]
    result = cancelled_orders(kinds) if form.with_orders else "SELECT c.command_id FROM cancelled AS c"
    return f"WITH {', '.join(parts)}\n{result}"


def _unless(kinds: OrderKinds, form: BatchForm) -> str:
    if form.skip_held:
        return _NOT_BLOCKED
    # The number of a ticket order shows that it may be one. If a number ever did not, its order would not be cancelled.
    return "" if form.with_tickets else f"AND NOT {holds_tickets(kinds, 'o')}"


def _released(kinds: OrderKinds, form: BatchForm) -> str:
    returning = RETURNING_PRODUCTS if form.with_orders else ""
    return _RELEASED.format(holds_tickets=holds_tickets(kinds), returning=returning)


# For a statement that waits for hardly anything: what it would wait for has kept the batch long enough already.
HARDLY_WAIT: Final = "SET LOCAL lock_timeout = '100ms'"
KEEP: Final = """
INSERT INTO idempotency_keys (client_id, key, fingerprint, message_fingerprint, created_at, order_id, cancelled,
                              policy_version, state, appointment_starts_at, first_payment_at, refunded_in_full)
SELECT * FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::boolean[],
                     $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::boolean[])"""
REFUSE: Final = """
INSERT INTO refusals (order_id, command_id, decided_at, client_id, contract, door, policy_version,
                      state, appointment_starts_at, first_payment_at, refunded_in_full, reason, codes, staff_id,
                      acting_as, address)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::integer[], $5::text[], $6::text[], $7::text[],
                     $8::text[], $9::bigint[], $10::bigint[], $11::boolean[], $12::text[], $13::text[], $14::text[],
                     $15::text[], $16::text[])"""
COMMITTED: Final = """
SELECT command_id FROM cancellations WHERE order_id = ANY($1::bigint[]) AND command_id = ANY($2::text[])
UNION ALL
SELECT command_id FROM undone_cancellations WHERE order_id = ANY($1::bigint[]) AND command_id = ANY($2::text[])"""
KEPT: Final = """
SELECT k.* FROM unnest($1::integer[], $2::text[]) AS asked (client_id, key)
JOIN idempotency_keys AS k ON k.client_id = asked.client_id AND k.key = asked.key"""
# Ends the server process of a connection that was cut off, if it still runs. False means that it did not end in time. A
# role may always end its own processes. The instant is needed, because the number may belong to a newer process by now.
END_BACKEND: Final = """
SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2"""
BACKEND: Final = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
# A commit that a synchronous standby has confirmed proves that every earlier commit is confirmed, too.
VOUCH: Final = "SELECT pg_logical_emit_message(true, 'countermand', 'settled')"
