"""The smallest rights of the serving role, as the page about operations grants them, suffice for everything it does."""

import asyncio
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from sqlalchemy import delete

from countermand.actions.cancelling.explain import PolicyArchive
from countermand.background import refusal_codes, search, totals
from countermand.background.refusal_codes import fill_some as fill_codes
from countermand.bootstrap.database import retention_of
from countermand.storage.retention import forget
from countermand.storage.tables.cancelling import outbox
from support.elsewhere import elsewhere
from support.examples import recorded
from support.pages import ROOT, blocks
from support.postgres import a_database, administer
from support.world import a_world

pytestmark = pytest.mark.postgres

PAGE = ROOT / "docs" / "operations.md"
ROLE = "countermand"  # as the page calls it


def grants() -> str:
    """The statements of the page, without the comments."""
    (block,) = (one for one in blocks(PAGE) if one.language == "sql" and "GRANT SELECT ON ALL TABLES" in one.text)
    return block.text


class RightsOf:
    """Makes databases in which a role has the rights of the page, and no others."""

    def __init__(self, held: ExitStack) -> None:
        self.role, self._password, self._held = f"least_{secrets.token_hex(4)}", secrets.token_hex(8), held
        administer(f"CREATE ROLE {self.role} LOGIN PASSWORD '{self._password}'")
        held.callback(administer, f"DROP ROLE {self.role}")

    def database(self) -> Mapping[str, str]:
        """The setting of a new database, as the role reaches it."""
        url = self._held.enter_context(a_database())
        elsewhere(self._grant, url)
        self._held.callback(elsewhere, self._withdraw, url)
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        return {"database_url": parts._replace(netloc=f"{self.role}:{self._password}@{host}").geturl()}

    async def _grant(self, url: str) -> None:
        await run(url, "REVOKE ALL ON SCHEMA public FROM PUBLIC; " + re.sub(rf"\b{ROLE}\b", self.role, grants()))

    async def _withdraw(self, url: str) -> None:
        await run(url, f"DROP OWNED BY {self.role}")


async def run(url: str, statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()


@pytest.fixture
def rights() -> Iterator[RightsOf]:
    with ExitStack() as held:
        yield RightsOf(held)


def test_every_call_of_every_contract_works_with_the_smallest_rights(rights: RightsOf, tmp_path: Path):
    made = asyncio.run(recorded(tmp_path, rights.database))  # fails on an answer of 500 or more
    assert {
        "findOrders",
        "explainOrder",
        "listRefusals",
        "voidPayment",
        "recordRefund",
        "failRefund",
        "addStaff",
        "rotateClient",
        "forgetPerson",
    } <= set(made["manage"])


async def test_the_background_tasks_work_with_the_smallest_rights(rights: RightsOf, tmp_path: Path):
    async with a_world(tmp_path, **rights.database()) as world:
        partner = await world.connect_client()
        await world.cancel(partner, await world.service_order(partner, appointment_in=timedelta(hours=1)))
        database, store, now = world.database, world.database.store, world.clock()
        await database.clients.write_last_uses({partner.client.id: now}, now, every=timedelta(hours=1))
        assert (await database.clients.one(partner.client.id)).last_used_at is not None
        await search.make_some(store, now)
        await totals.fill_some(store, 0)
        await fill_codes(store, PolicyArchive(store=store), refusal_codes.beginning())
        for kept in retention_of(world.settings):
            await forget(store, kept, now, at_most=10)
        feed = world.service.feed
        assert (await feed.read(None, 10)).events
        async with store.transaction() as tx:
            await tx.run(delete(outbox))
        assert await feed.forget_deleted(1)
        await feed.check()
        await feed.begin_generation()


WITH_PERSONS = (
    *("order_details", "consumers", "cancellations", "refusals", "payment_corrections", "outbox"),
    *("appointment_tasks", "idempotency_keys"),
)
FORBIDDEN = ("ALTER TABLE orders ADD x int", "DROP TABLE orders", "DELETE FROM orders", "DELETE FROM staff")


async def test_with_the_smallest_rights_a_person_is_forgotten_everywhere_and_no_table_is_altered(rights: RightsOf):
    url = rights.database()["database_url"]
    for table in WITH_PERSONS:
        await run(url, f"SELECT 1 FROM {table} FOR UPDATE")
    for statement in FORBIDDEN:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await run(url, statement)
