"""Checks a whole PostgreSQL database for conditions that must hold after any events: all rows of an order agree."""

from support.nodes import Shop

_NONE_OF = {
    "a cancelled order with an active appointment": """
        SELECT o.id FROM orders AS o WHERE o.state = 'cancelled' AND (o.appointment_starts_at IS NOT NULL OR EXISTS
        (SELECT 1 FROM appointments WHERE order_id = o.id AND state IN ('reserved', 'booked', 'in_progress')))""",
    "an appointment that the order's row does not know, or another": """
        SELECT o.id FROM orders AS o
        LEFT JOIN appointments AS a ON a.order_id = o.id AND a.state IN ('reserved', 'booked', 'in_progress')
        WHERE o.appointment_starts_at IS DISTINCT FROM a.starts_at""",
    "an appointment that ended untold, or told and not ended": """
        SELECT coalesce(a.order_id, f.order_id) FROM
        (SELECT order_id, count(*) FROM appointments WHERE state = 'cancelled' GROUP BY order_id) AS a FULL JOIN
        (SELECT order_id, count(*) FROM outbox WHERE kind = 'appointment.cancelled' GROUP BY order_id) AS f
        ON f.order_id = a.order_id AND f.count = a.count WHERE a.order_id IS NULL OR f.order_id IS NULL""",
    "a cancelled order with a valid ticket": """
        SELECT o.id FROM orders AS o JOIN tickets AS t ON t.order_id = o.id WHERE o.state = 'cancelled' AND t.valid""",
    "a living order without its tickets": """
        SELECT o.id FROM orders AS o JOIN tickets AS t ON t.order_id = o.id
        WHERE o.state IN ('pending', 'completed') AND NOT t.valid""",
    "a product whose places do not add up": """
        SELECT uid FROM products AS p WHERE p.total_availability <>
        p.availability + (SELECT count(*) FROM tickets WHERE product_uid = p.uid AND valid)""",
    "a payment on the wrong side": """
        SELECT p.reference FROM payments AS p JOIN orders AS o ON o.id = p.order_id
        WHERE p.voided_at IS NULL AND p.is_late IS DISTINCT FROM (o.state = 'cancelled')""",
    "an order that is paid and does not know it": """
        SELECT o.id FROM orders AS o WHERE (o.first_payment_at IS NOT NULL) IS DISTINCT FROM
        EXISTS (SELECT 1 FROM payments WHERE order_id = o.id AND NOT is_late AND voided_at IS NULL)""",
    "a payment untold": """
        SELECT coalesce(p.order_id, f.order_id) FROM
        (SELECT order_id, count(*) FROM payments GROUP BY order_id) AS p FULL JOIN
        (SELECT order_id, count(*) FROM outbox WHERE kind IN ('payment.recorded', 'payment.late')
        GROUP BY order_id) AS f
        ON f.order_id = p.order_id AND f.count = p.count WHERE p.order_id IS NULL OR f.order_id IS NULL""",
    "a key that says cancelled for an order that is not": """
        SELECT k.key FROM idempotency_keys AS k JOIN orders AS o ON o.id = k.order_id
        WHERE k.cancelled AND o.state <> 'cancelled'""",
}


async def check_conservation(shop: Shop) -> set[int]:
    """Check it; gives the orders that are cancelled."""
    cancelled = await shop.column("SELECT id FROM orders WHERE state = 'cancelled' ORDER BY id")
    assert await shop.column("SELECT order_id FROM cancellations ORDER BY 1") == cancelled
    assert await shop.column("SELECT order_id FROM outbox WHERE kind = 'order.cancelled' ORDER BY 1") == cancelled
    found = {name: await shop.column(query) for name, query in _NONE_OF.items()}
    assert {name: rows for name, rows in found.items() if rows} == {}
    return set(cancelled)
