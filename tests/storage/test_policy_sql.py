"""The explained no and the fast yes come from one policy: here the two ways of asking it are held together."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, literal_column
from sqlalchemy.dialects import sqlite

from countermand.domain.cancellation import Granted, decide
from countermand.domain.contract import Contract
from countermand.domain.order import OrderFacts
from countermand.domain.order_state import OrderState
from countermand.domain.policy import DEFAULT_RULES, Policy, policy_of
from countermand.storage.hot_sqlite import connect
from countermand.storage.policy_sql import as_text, policies_predicate, policy_predicate
from countermand.storage.schema import migrate
from countermand.storage.tables import micros, orders
from support.decisions import facts, instants_near, limits, policies

NOW = literal_column(":now", BigInteger)
DEFAULT = {contract: policy_of(contract, rules) for contract, rules in DEFAULT_RULES.items()}


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("policy") / "orders.sqlite3"
    migrate(path)
    with closing(connect(path)) as connection:
        connection.execute(
            "INSERT INTO clients (id, door, name, permissions, created_at) VALUES (1, 'manage', 'me', '[]', 0)"
        )
        yield connection


@settings(deadline=None, max_examples=200)
@given(data=st.data(), policy=policies(), some=st.lists(facts, min_size=1, max_size=4))
def test_the_database_and_decide_agree_about_every_order_at_every_instant(database, data, policy, some):
    nows = [data.draw(instants_near(policy, facts)) for facts in some]
    with some_orders(database, [(policy.contract, facts) for facts in some]):
        for now in nows:
            asked = as_text(policy_predicate(policy, orders.alias("o"), NOW), sqlite.dialect())
            assert answers(database, asked, now) == [granted(policy, facts, now) for facts in some]


@settings(deadline=None, max_examples=200)
@given(
    data=st.data(),
    connect_policy=policies(contract=Contract.CONNECT),
    shopping_policy=policies(contract=Contract.SHOPPING),
    some=st.lists(st.tuples(st.sampled_from(Contract), facts), min_size=1, max_size=6),
)
def test_each_order_is_asked_by_its_own_contracts_policy(database, data, connect_policy, shopping_policy, some):
    of = {Contract.CONNECT: connect_policy, Contract.SHOPPING: shopping_policy}
    contract, chosen = data.draw(st.sampled_from(some))
    now = data.draw(instants_near(of[contract], chosen))
    with some_orders(database, some):
        asked = as_text(policies_predicate(of.values(), orders.alias("o"), NOW), sqlite.dialect())
        assert answers(database, asked, now) == [granted(of[contract], facts, now) for contract, facts in some]


@pytest.mark.parametrize("past_active", ["blocks", "ignored"])
@pytest.mark.parametrize("notice_h", [0, 1, 26, 8784])
@pytest.mark.parametrize("state", OrderState)
def test_the_database_and_decide_agree_at_every_limit(database, state, notice_h, past_active):
    rules = [
        {"name": "state_allows"},
        {"name": "no_appointment_within", "notice_h": notice_h, "past_active": past_active},
    ]
    policy = policy_of(Contract.CONNECT, rules)
    given = OrderFacts(state=state, appointment_starts_at=datetime.fromisoformat("2026-11-23T01:00:00Z"))
    with some_orders(database, [(Contract.CONNECT, given)]):
        asked = as_text(policy_predicate(policy, orders.alias("o"), NOW), sqlite.dialect())
        for now in limits(policy, given):
            assert answers(database, asked, now) == [granted(policy, given, now)]


def test_an_order_of_a_contract_that_has_no_policy_here_is_never_granted(database):
    now = datetime.fromisoformat("2026-11-23T01:00:00Z")
    asked = as_text(policies_predicate([DEFAULT[Contract.CONNECT]], orders.alias("o"), NOW), sqlite.dialect())
    with some_orders(
        database,
        [
            (Contract.CONNECT, OrderFacts(state=OrderState.HELD)),
            (Contract.SHOPPING, OrderFacts(state=OrderState.PENDING)),
        ],
    ):
        assert answers(database, asked, now) == [True, False]


@pytest.mark.parametrize("contract", Contract)
def test_the_predicate_reads_as_text_with_nothing_left_to_fill_in_but_now(contract):
    text = as_text(policy_predicate(DEFAULT[contract], orders.alias("o"), NOW), sqlite.dialect())

    assert "?" not in text
    assert "POSTCOMPILE" not in text
    assert text.replace(":now", "").count(":") == 0
    assert (":now" in text) == (contract is Contract.CONNECT)


def granted(policy: Policy, facts: OrderFacts, now: datetime) -> bool:
    return isinstance(decide(facts, policy, now), Granted)


def answers(database: sqlite3.Connection, predicate: str, now: datetime) -> list[bool]:
    """The predicate's value for each order by number: true or false, never unknown."""
    rows = database.execute(f"SELECT ({predicate}) AS yes FROM orders AS o ORDER BY o.id", {"now": micros(now)})
    values = [row["yes"] for row in rows]
    assert set(values) <= {0, 1}
    return [bool(value) for value in values]


@contextmanager
def some_orders(database: sqlite3.Connection, given: list[tuple[Contract, OrderFacts]]) -> Iterator[None]:
    """Orders with these facts, numbered in this order, in the real table; gone again afterwards."""
    rows = [
        {
            "id": number,
            "contract": contract,
            "state": facts.state,
            "appointment_starts_at": facts.appointment_starts_at and micros(facts.appointment_starts_at),
            "first_payment_at": facts.first_payment_at and micros(facts.first_payment_at),
        }
        for number, (contract, facts) in enumerate(given, start=1)
    ]
    database.execute("BEGIN")
    try:
        database.executemany(
            "INSERT INTO orders VALUES (:id, :contract, 1, 1, :state, :appointment_starts_at, :first_payment_at, 0)",
            rows,
        )
        yield
    finally:
        database.rollback()
