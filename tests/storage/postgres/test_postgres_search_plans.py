"""PostgreSQL answers a question along the index of the handles, however the rows lie in the table."""

from sqlalchemy import text
from sqlalchemy.dialects import postgresql

from countermand.storage.repositories.order_search import counts_of
from support.world import World

FREQUENT = "'~anna' || i % 7"
RARE = "'~zoe' || i"


async def test_frequent_words_are_counted_along_the_index_and_not_from_the_start_of_the_table(postgres_world: World):
    """The frequent word stands at the end of the table alone, as after a busy day."""
    async with postgres_world.database.store.transaction() as tx:
        for handle, numbers in ((RARE, (1, 60_000)), (FREQUENT, (60_001, 90_000))):
            first, last = numbers
            made = f"SELECT {handle}, i FROM generate_series({first}, {last}) AS made(i)"
            await tx.run(text(f"INSERT INTO order_search (handle, order_id) {made}"))
        await tx.run(text("ANALYZE order_search"))
        counts = await tx.handle_counts(["~anna", "~zoe1", "=anna"], 1000)
        query = counts_of(["~anna", "~zoe1", "=anna"], 1000)
        sql = str(query.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))
        plan = "\n".join(str(row["QUERY PLAN"]) for row in await tx.rows(text(f"EXPLAIN {sql}")))
    assert counts == {"~anna": 1000, "~zoe1": 1000, "=anna": 0}
    assert "Seq Scan" not in plan, plan
    assert plan.count("pk_order_search") >= 3, plan
