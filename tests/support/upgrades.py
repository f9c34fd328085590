"""Migrates a shop's database as an operator does, and says how nodes are watched while they are upgraded."""

import json
from typing import Any

from support.customers import METHOD
from support.nodes import OPERATOR, Shop, environment_of
from support.processes import forked
from support.serving import Served

# On a busy machine much takes long: nobody is to hear 503 for that alone.
PATIENT = {"database_busy_limit_s": 60, "database_statement_limit_s": 60, "database_connect_limit_s": 60}


async def stock(shop: Shop) -> None:
    """Something to sell, a way to pay it, and an operator who may add clients."""
    await shop.rows("UPDATE products SET availability = 1000000, total_availability = 1000000")
    await shop.rows(
        "INSERT INTO methods (uid, kind, name, costs_minor, currency) VALUES ($1, 'payment', $2, 0, 'EUR')",
        METHOD,
        json.dumps({"en": "iDeal"}),
    )
    may = json.dumps(["administer", "cancel", "read", "record"])
    await shop.rows("UPDATE clients SET permissions = $1 WHERE id = $2", may, OPERATOR)


def migrate(shop: Shop) -> None:
    """As an operator does, with this version."""
    process = forked("migrate", environment=environment_of(shop))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err


def troubles(node: Served) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in node.log.splitlines()]
    return [line for line in lines if line["level"] in {"error", "critical"} or "exception" in line]
