"""Is every no of ours known to every contract? A forgotten member is a failing test, never a silent default."""

import ast
import importlib
import pkgutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import msgspec
import pytest

import countermand
from countermand.actions import errors
from countermand.actions.errors import CountermandError
from countermand.actions.ticketing import consumers, place, rules, seat, transfer
from countermand.contracts.connect import tokens
from countermand.contracts.connect import translate as connect
from countermand.contracts.http import answer
from countermand.contracts.http.answer import Answer
from countermand.contracts.manage import translate as manage
from countermand.contracts.manage.finding_sentences import sentence_for_operator
from countermand.contracts.partner import calls as partner
from countermand.contracts.registry import CONTRACTS, accesses_of
from countermand.contracts.shopping import translate as shopping
from countermand.domain.cancelling.decision import Refused
from countermand.domain.cancelling.policy import PolicyVersion
from countermand.domain.cancelling.rules import RULES, FactName, examine
from countermand.domain.orders.order import OrderFacts
from countermand.domain.orders.order_state import TRANSITIONS, OrderState
from countermand.storage.postgres import errors as postgres
from countermand.storage.sqlite import errors as sqlite
from countermand.storage.tables.columns import metadata

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SECRET = "a sentence that is for us alone"

TABLES = {
    "connect": connect._STATUS,
    "shopping": shopping._STATUS,
    "manage": manage.STATUS,
    "partner": manage.STATUS,
    "tokens": tokens._STATUS,
}
SPOKEN: dict[str, Callable[[Exception], Answer]] = {
    "connect": connect.error_answer,
    "shopping": shopping.error_answer,
    "manage": manage.problem_answer,
    "partner": partner.error_answer,
    "tokens": tokens.error_answer,
}

# On purpose in no table: 500, and not a word about why.
_UNEXPECTED_EVERYWHERE = {
    errors.OutcomeUnknownError,  # done or not; a repeat settles it
    errors.TransientConflictError,  # run again by the actions, and then `UnavailableError`
    errors.UnfitDataError,  # what could be wrong with a value was asked before it came to the database
    errors.TakenError,  # foreseen where a key can be in use
    errors.OrderTakenError,  # another number is taken: `UnavailableError`
    errors.KeyTakenError,  # settled by the actions: the key's own answer
    errors.SchemaError,  # no server starts with it
}
# Only the APIs of the operator and of partners have a feed.
_OF_THE_FEED = {errors.CursorGoneError}
UNEXPECTED = {
    "connect": _UNEXPECTED_EVERYWHERE | _OF_THE_FEED,
    "shopping": _UNEXPECTED_EVERYWHERE
    | _OF_THE_FEED
    | {errors.ConflictError},  # told apart by its code instead, see below
    "manage": _UNEXPECTED_EVERYWHERE,
    "partner": _UNEXPECTED_EVERYWHERE,
    # Where there is nothing but a token to ask for, there are no orders, no fields in JSON and no keys of requests.
    "tokens": _UNEXPECTED_EVERYWHERE
    | _OF_THE_FEED
    | {errors.ConflictError, errors.FieldsError, errors.IdempotencyKeyReusedError, answer.ForbiddenError},
}

_UNEXPECTED_WORDS = {"unexpected", "UNKNOWN_ERROR", "server_error"}

# Those that take something else than a sentence.
MADE: dict[type[CountermandError], CountermandError] = {
    errors.KeySetUnavailableError: errors.KeySetUnavailableError(),
    errors.IdempotencyKeyReusedError: errors.IdempotencyKeyReusedError(),
    errors.ConflictError: errors.ConflictError("a_code", SECRET),
    errors.CursorGoneError: errors.CursorGoneError("a_code", SECRET, "1-0"),
    errors.FieldsError: errors.FieldsError([("a_field", SECRET)]),
    answer.MethodNotAllowedError: answer.MethodNotAllowedError("PATCH", ["GET"]),
    answer.BodyTooLargeError: answer.BodyTooLargeError(65536),
    answer.UnsupportedMediaTypeError: answer.UnsupportedMediaTypeError("text/plain"),
}

BROKEN_BY = {
    "state_allows": OrderFacts(state=OrderState.ACTIVATED),
    "not_already_cancelled": OrderFacts(state=OrderState.CANCELLED),
    "no_appointment_within": OrderFacts(state=OrderState.HELD, appointment_starts_at=NOW),
    "nothing_paid": OrderFacts(state=OrderState.COMPLETED, first_payment_at=NOW),
}
PARAMETERS = {"no_appointment_within": {"notice_h": 26}}


@pytest.mark.parametrize("name", TABLES)
def test_every_error_of_ours_has_a_status_or_is_named_as_unexpected(name):
    known = set(TABLES[name])

    assert known | UNEXPECTED[name] == set(all_errors())
    assert known & UNEXPECTED[name] == set()


@pytest.mark.parametrize("name", TABLES)
def test_every_error_is_answered_with_its_status_and_explained(name):
    for kind, (status, code) in TABLES[name].items():
        said = SPOKEN[name](MADE.get(kind) or kind(SECRET))

        assert said.status == status, kind
        assert (MADE[kind].code if kind in {errors.ConflictError, errors.CursorGoneError} else code) in words(said), (
            kind
        )
        assert _UNEXPECTED_WORDS & words(said) == set(), kind


@pytest.mark.parametrize("name", TABLES)
def test_what_is_unexpected_is_500_and_says_nothing_about_itself(name):
    for error in [*(MADE.get(kind) or kind(SECRET) for kind in UNEXPECTED[name]), ZeroDivisionError(SECRET)]:
        said = SPOKEN[name](error)

        assert said.status == 500, error
        assert _UNEXPECTED_WORDS & words(said), error
        assert SECRET.encode() not in said.body, error


def test_shopping_knows_every_conflict_that_placing_or_cancelling_an_order_can_meet():
    modules = (place, seat, rules, transfer, consumers)
    codes = set().union(*map(conflict_codes, modules)) | {errors.cancellation_undone().code}
    assert codes == set(shopping._CONFLICTS)


@pytest.mark.parametrize("code", shopping._CONFLICTS)
def test_shopping_answers_each_conflict_in_its_own_words(code):
    said = shopping.error_answer(errors.ConflictError(code, SECRET))

    status, kind = shopping._CONFLICTS[code]
    assert (said.status, msgspec.json.decode(said.body)["type"]) == (status, kind)
    assert msgspec.json.decode(said.body)["message"] == SECRET


@pytest.mark.parametrize("rule", RULES)
def test_every_rules_refusal_has_its_code_in_every_contract(rule):
    finding = examine(RULES[rule](**PARAMETERS.get(rule, {})), BROKEN_BY[rule], NOW)
    assert not finding.passed
    refused = Refused(policy_version=PolicyVersion("0" * 16), findings=(finding,))

    assert connect.refusal_answer(refused).status == 422
    assert {finding.code, finding.sentence} <= words(connect.refusal_answer(refused))
    assert manage.refusal_answer(refused).status == 409
    assert {finding.code, sentence_for_operator(finding)} <= words(manage.refusal_answer(refused))
    said = shopping.refusal_answer(refused)
    if finding.code == shopping._ALREADY:
        assert (said.status, msgspec.json.decode(said.body)["type"]) == (409, "ORDER_ALREADY_CANCELED")
    else:
        assert (said.status, msgspec.json.decode(said.body)["type"]) == (403, "FORBIDDEN")
        assert {finding.code.upper(), finding.sentence} <= words(said)


def test_a_rule_has_the_name_it_is_called_by_and_a_code_of_its_own():
    made = {name: RULES[name](**PARAMETERS.get(name, {})) for name in RULES}

    assert {name: rule.name for name, rule in made.items()} == {name: name for name in RULES}
    assert len({rule.code for rule in made.values()}) == len(made)
    assert shopping._ALREADY in {rule.code for rule in made.values()}


def test_every_state_has_its_row_of_moves():
    assert TRANSITIONS.keys() == set(OrderState)


def test_every_channel_has_words_for_errors():
    assert {access.channel for access in accesses_of(CONTRACTS)} == set(TABLES) - {"partner", "tokens"}


@pytest.mark.parametrize("table", ["orders", "cancellations", "refusals", "idempotency_keys"])
def test_every_fact_that_decisions_look_at_is_a_column_wherever_decisions_are_kept(table):
    kept = {field.name for field in fields(OrderFacts)}
    paid = OrderFacts(state=OrderState.COMPLETED, first_payment_at=NOW)

    # Each fact is a field, but for one, which two fields give.
    assert {fact.value for fact in FactName} - kept == {FactName.UNREFUNDED_PAYMENT_AT}
    assert kept - {fact.value for fact in FactName} == {"refunded_in_full"}
    assert (paid.unrefunded_payment_at, replace(paid, refunded_in_full=True).unrefunded_payment_at) == (NOW, None)
    names = {"refunded_in_full": "refunded_version"} if table == "orders" else {}
    assert {names.get(one, one) for one in kept} <= set(metadata.tables[table].c.keys())


# the page


@pytest.fixture(scope="module")
def page() -> str:
    docs = Path(__file__).parents[2] / "docs"
    spec = spec_from_file_location("draw_errors", docs / "draw_errors.py")
    assert spec is not None
    assert spec.loader is not None
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    drawn = script.page()
    assert (docs / "errors.md").read_text(encoding="utf-8") == drawn, "draw it again: make docs"
    return str(drawn)


def test_every_error_of_ours_stands_on_the_page_with_its_answer_in_every_contract(page: str):
    head, *lines = [cells for cells in rows(page) if len(cells) == len(SPOKEN) + 2]
    assert head == ["error", *SPOKEN, "Retry-After"]
    shown = {cells[0]: cells[1:] for cells in lines if cells[0] != "---"}
    assert set(shown) == {kind.__name__ for kind in all_errors()}
    for kind in all_errors():
        *told, retry_after = shown[kind.__name__]
        for said, speak in zip(told, SPOKEN.values(), strict=True):
            answered = speak(MADE.get(kind) or kind(SECRET))
            if said == "by its code":  # of a conflict, in the shop's own words
                continue
            status, _, code = said.replace("`", "").partition(" ")
            assert answered.status == int(status)
            assert code == "its own" or code in words(answered)
            assert (b"retry-after" in dict(answered.headers)) == (retry_after == "yes")
            # Whoever is told to come again is told that nothing was done, and nobody else is.
            assert (answered.status == 503) == (retry_after == "yes")


@pytest.mark.parametrize(("title", "meanings"), [("PostgreSQL", postgres.MEANINGS), ("SQLite", sqlite.MEANINGS)])
def test_every_code_of_a_database_stands_on_the_page_with_its_name_and_what_it_is_to_us(
    page: str, title: str, meanings: Mapping[str | int, type[CountermandError] | None]
):
    _, _, part = page.partition(f"## {title}\n")
    (_, *_, is_to_us), _, *lines = rows(part.partition("## ")[0])
    assert is_to_us == "is to us"
    shown = {cells[0]: cells[1:] for cells in lines}
    assert set(shown) == {str(code) for code in meanings}
    for code, meaning in meanings.items():
        name, is_to_us = shown[str(code)]
        assert is_to_us == ("bug" if meaning is None else meaning.__name__)
        assert name if isinstance(code, str) else getattr(sqlite3, name) == code


def rows(page: str) -> list[list[str]]:
    return [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("|")]


def all_errors() -> Iterator[type[CountermandError]]:
    """Every error of ours, wherever in the package; none that a test made."""
    for module in pkgutil.walk_packages(countermand.__path__, "countermand."):
        if not module.name.endswith("__main__") and ".migrations" not in module.name:
            importlib.import_module(module.name)
    waiting = [CountermandError]
    for kind in waiting:
        waiting += [one for one in kind.__subclasses__() if one.__module__.startswith("countermand.")]
    yield from waiting[1:]


def words(said: Answer) -> set[str]:
    """Every string in an answer's body."""

    def strings(value: Any) -> Iterator[str]:
        match value:
            case str():
                yield value
            case list():
                for one in value:
                    yield from strings(one)
            case dict():
                yield from strings(list(value.values()))

    return set(strings(msgspec.json.decode(said.body)))


def conflict_codes(module: Any) -> set[str]:
    """The codes of every `ConflictError` raised in a module; where a kind of method is filled in, one for each kind."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    raised = [
        node.args[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "ConflictError"
    ]
    codes = {code.value for code in raised if isinstance(code, ast.Constant)}
    filled_in = [ast.unparse(code) for code in raised if not isinstance(code, ast.Constant)]
    assert set(filled_in) <= {"f'{kind}_method_not_applicable'"}
    return codes | {f"{kind}_method_not_applicable" for kind in ("payment", "shipping") if filled_in}
