"""Finds what is kept for orders that are being cancelled: it must be paid back, so it becomes due.

The statements of the cancellation path contain this only if a policy in force lets paid orders through.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from countermand.domain.cancelling.policy import Policy
from countermand.domain.contract import ContractName
from countermand.domain.money import Money
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_kind import OrderKinds
from countermand.domain.orders.payment_correction import CorrectionKind, RefundState
from countermand.storage.sql_types import Row

_GONE = ", ".join(f"'{state}'" for state in (RefundState.DUE, RefundState.DONE, RefundState.FAILED))


def owing(policies: Iterable[Policy], kinds: OrderKinds) -> frozenset[ContractName]:
    """Return the contracts whose orders have a total and may be cancelled although money is kept for them."""
    return frozenset(
        policy.contract
        for policy in policies
        if policy.lets_paid_through and policy.contract in kinds and kinds[policy.contract].has_total
    )


def kept_amounts(paid: str) -> str:
    """Return SQL for what is kept: rows (order_id, currency, minor, last), sorted, without what is not positive.

    `paid` is the SQL of a relation `b` with the column order_id. The orders have not ended, so they have no late money;
    the balance of an order gives the same. `last` is the number of the order's last correction.
    """
    return f"""
    SELECT m.order_id, m.currency, CAST(sum(m.minor) AS bigint) AS minor,
           (SELECT coalesce(max(x.number), 0) FROM payment_corrections AS x WHERE x.order_id = m.order_id) AS last
    FROM (
        SELECT p.order_id, p.currency, p.amount_minor AS minor
        FROM {paid} JOIN payments AS p ON p.order_id = b.order_id WHERE NOT p.is_late
        UNION ALL
        SELECT x.order_id, x.currency, -x.amount_minor
        FROM {paid} JOIN payment_corrections AS x ON x.order_id = b.order_id
        WHERE x.kind = '{CorrectionKind.CHARGEBACK}' OR x.state IN ({_GONE})
    ) AS m
    GROUP BY m.order_id, m.currency HAVING sum(m.minor) > 0
    ORDER BY m.order_id, m.currency"""


def numbered(rows: Iterable[Row]) -> Mapping[OrderId, Sequence[tuple[int, Money]]]:
    """Return the rows of `kept_amounts` by order: the number of each new refund, and its amount."""
    found: dict[OrderId, list[tuple[int, Money]]] = defaultdict(list)
    for row in rows:
        of_order = found[OrderId(row["order_id"])]
        money = Money(minor=row["minor"], currency=row["currency"])
        of_order.append((row["last"] + len(of_order) + 1, money))
    return found
