"""The explained no and the fast yes come from one policy: here the two ways of asking it are held together."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, ColumnElement, literal_column
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect

from countermand.contracts.registry import CONTRACTS
from countermand.domain.cancelling.decision import Granted, decide
from countermand.domain.cancelling.policy import Policy, policy_of
from countermand.domain.contract import ContractName
from countermand.domain.orders.order import OrderFacts
from countermand.domain.orders.order_state import OrderState
from countermand.storage.policy_sql import as_text, policies_predicate, policy_predicate
from countermand.storage.schema import migrate
from countermand.storage.sqlite.file import connect
from countermand.storage.tables.columns import micros
from countermand.storage.tables.orders import orders
from support.contracts import CONNECT, SHOPPING
from support.decisions import facts, instants_near, limits, policies
from support.postgres import a_database

DIALECTS: dict[str, Dialect] = {"sqlite": sqlite.dialect(), "postgres": postgresql.dialect()}
NOW = {name: literal_column(now, BigInteger) for name, now in {"sqlite": ":now", "postgres": "$1::bigint"}.items()}
DEFAULT = {one.name: policy_of(one.name, one.default_rules) for one in CONTRACTS}
VERSION, STALE = 3, ("NULL", "2", "1")
CLIENT = "INSERT INTO clients (id, door, name, permissions, created_at) VALUES (1, 'manage', 'me', '[]', 0)"


@dataclass(frozen=True)
class Asked:
    """A database that answers predicates: the statements run on one connection, in the test's own transaction."""

    name: str
    run: Callable[[str], object]
    fetch: Callable[[str, int], Sequence[Any]]

    def answers(self, predicate: Callable[[ColumnElement[Any]], ColumnElement[bool]], now: datetime) -> list[bool]:
        """The predicate's value for each order by number: true or false, never unknown."""
        written = as_text(predicate(NOW[self.name]), DIALECTS[self.name])
        rows = self.fetch(f"SELECT ({written}) AS yes FROM orders AS o ORDER BY o.id", micros(now))
        values = [row["yes"] for row in rows]
        assert set(values) <= {0, 1}
        return [bool(value) for value in values]


@contextmanager
def on_sqlite(folder: Path) -> Iterator[Asked]:
    path = folder / "orders.sqlite3"
    migrate(path)
    with closing(connect(path)) as connection:
        fetch = lambda query, now: connection.execute(query, {"now": now} if ":now" in query else {}).fetchall()  # noqa: E731
        yield Asked("sqlite", connection.execute, fetch)


@contextmanager
def on_postgres() -> Iterator[Asked]:
    with asyncio.Runner() as runner, a_database() as url:
        connection = runner.run(asyncpg.connect(url))

        def fetch(query: str, now: int) -> Any:
            return runner.run(connection.fetch(query, *([now] if "$1" in query else [])))

        yield Asked("postgres", lambda statement: runner.run(connection.execute(statement)), fetch)
        runner.run(connection.close())


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def database(tmp_path_factory, request):
    opened = on_sqlite(tmp_path_factory.mktemp("policy")) if request.param == "sqlite" else on_postgres()
    with opened as asked:
        asked.run(CLIENT)
        yield asked


@settings(deadline=None, max_examples=200)
@given(data=st.data(), policy=policies(), some=st.lists(facts, min_size=1, max_size=4))
def test_the_database_and_decide_agree_about_every_order_at_every_instant(database, data, policy, some):
    nows = [data.draw(instants_near(policy, facts)) for facts in some]
    with some_orders(database, [(policy.contract, facts) for facts in some]):
        for now in nows:
            answers = database.answers(lambda at: policy_predicate(policy, orders.alias("o"), at), now)
            assert answers == [granted(policy, facts, now) for facts in some]


@settings(deadline=None, max_examples=200)
@given(
    data=st.data(),
    connect_policy=policies(contract=CONNECT.name),
    shopping_policy=policies(contract=SHOPPING.name),
    some=st.lists(st.tuples(st.sampled_from([*DEFAULT]), facts), min_size=1, max_size=6),
)
def test_each_order_is_asked_by_its_own_contracts_policy(database, data, connect_policy, shopping_policy, some):
    of = {CONNECT.name: connect_policy, SHOPPING.name: shopping_policy}
    contract, chosen = data.draw(st.sampled_from(some))
    now = data.draw(instants_near(of[contract], chosen))
    with some_orders(database, some):
        answers = database.answers(lambda at: policies_predicate(of.values(), orders.alias("o"), at), now)
        assert answers == [granted(of[contract], facts, now) for contract, facts in some]


@pytest.mark.parametrize("past_active", ["blocks", "ignored"])
@pytest.mark.parametrize("notice_h", [0, 1, 26, 8784])
@pytest.mark.parametrize("state", OrderState)
def test_the_database_and_decide_agree_at_every_limit(database, state, notice_h, past_active):
    rules = [
        {"name": "state_allows"},
        {"name": "no_appointment_within", "notice_h": notice_h, "past_active": past_active},
    ]
    policy = policy_of(CONNECT.name, rules)
    given = OrderFacts(state=state, appointment_starts_at=datetime.fromisoformat("2026-11-23T01:00:00Z"))
    with some_orders(database, [(CONNECT.name, given)]):
        for now in limits(policy, given):
            answers = database.answers(lambda at: policy_predicate(policy, orders.alias("o"), at), now)
            assert answers == [granted(policy, given, now)]


@pytest.mark.parametrize(
    ("refunded", "version", "refunded_version", "is_granted"),
    [
        ("blocks", 3, None, False),
        ("blocks", 3, 3, False),
        ("ignored", 3, None, False),
        ("ignored", 3, 2, False),  # an older node has changed the order since
        ("ignored", 3, 3, True),
        ("ignored", 4, 3, False),
        ("ignored", 1, 3, False),
    ],
)
def test_a_refund_in_full_counts_for_just_the_version_that_it_names(
    database, refunded, version, refunded_version, is_granted
):
    policy = policy_of(SHOPPING.name, [{"name": "state_allows"}, {"name": "nothing_paid", "refunded": refunded}])
    now = datetime.fromisoformat("2026-11-23T01:00:00Z")
    paid = OrderFacts(state=OrderState.COMPLETED, first_payment_at=now)
    with some_orders(database, [(SHOPPING.name, paid)]):
        written = "NULL" if refunded_version is None else refunded_version
        database.run(f"UPDATE orders SET version = {version}, refunded_version = {written}")
        assert database.answers(lambda at: policy_predicate(policy, orders.alias("o"), at), now) == [is_granted]


@pytest.mark.parametrize("name", DIALECTS)
def test_the_default_policies_ask_the_same_of_the_database_as_before_refunds(name):
    at = NOW[name]
    asked = [as_text(policy_predicate(DEFAULT[one], orders.alias("o"), at), DIALECTS[name]) for one in DEFAULT]
    assert [text for text in asked if "refunded" in text] == []
    assert any(text.endswith("AND o.first_payment_at IS NULL") for text in asked)


def test_an_order_of_a_contract_that_has_no_policy_here_is_never_granted(database):
    now = datetime.fromisoformat("2026-11-23T01:00:00Z")
    some = [
        (CONNECT.name, OrderFacts(state=OrderState.HELD)),
        (SHOPPING.name, OrderFacts(state=OrderState.PENDING)),
    ]
    with some_orders(database, some):
        only_connect = [DEFAULT[CONNECT.name]]
        answers = database.answers(lambda at: policies_predicate(only_connect, orders.alias("o"), at), now)
        assert answers == [True, False]


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("contract", DEFAULT)
def test_the_predicate_reads_as_text_with_nothing_left_to_fill_in_but_now(contract, name):
    now = str(NOW[name])
    text = as_text(policy_predicate(DEFAULT[contract], orders.alias("o"), NOW[name]), DIALECTS[name])

    for placeholder in ("?", "POSTCOMPILE", "%(", ":", "$"):
        assert placeholder not in text.replace(now, "")
    assert (now in text) == (contract == CONNECT.name)


def granted(policy: Policy, facts: OrderFacts, now: datetime) -> bool:
    return isinstance(decide(facts, policy, now), Granted)


@contextmanager
def some_orders(database: Asked, given: list[tuple[ContractName, OrderFacts]]) -> Iterator[None]:
    """Orders with these facts, numbered in this order, in the real table; gone again afterwards.

    An order that was not refunded in full has none of the versions that say so, or an old one, as an older node leaves.
    """
    rows = ", ".join(
        f"({number}, '{contract}', 1, {VERSION}, '{facts.state}', "
        f"{_written(facts.appointment_starts_at)}, {_written(facts.first_payment_at)}, 0, "
        f"{VERSION if facts.refunded_in_full else STALE[number % len(STALE)]})"
        for number, (contract, facts) in enumerate(given, start=1)
    )
    database.run("BEGIN")
    try:
        database.run(f"INSERT INTO orders VALUES {rows}")
        yield
    finally:
        database.run("ROLLBACK")


def _written(instant: datetime | None) -> str:
    return "NULL" if instant is None else str(micros(instant))
