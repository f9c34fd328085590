"""Does every call say what it needs, and is that asked in one place?"""

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from countermand.bootstrap.api_modules import api_modules, connect_of, shopping_of
from countermand.contracts.http.calls import OpenCall, ServiceCall, TransactionCall, no_body
from countermand.contracts.http.contract import Deployment
from countermand.contracts.http.openapi import NoPermission, Operation
from countermand.contracts.registry import CONTRACTS as DECLARATIONS
from countermand.domain.client import Permission
from countermand.settings import Settings

CONTRACTS = Path(__file__).parents[2] / "src" / "countermand" / "contracts"
SETTINGS = Settings()
DEPLOYMENT = Deployment(
    public_url="http://shop.test", terms=(connect_of(SETTINGS), shopping_of(SETTINGS, "http://shop.test"))
)
NO_CLIENTS: Any = None  # nobody is asked who may call
NO_STAFF: Any = None
NO_TOKENS: Any = SimpleNamespace(realm="here")  # no token is given out
MODULES = api_modules(DECLARATIONS, DEPLOYMENT, NO_CLIENTS, NO_STAFF, NO_TOKENS)
CALLS = [
    pytest.param(call, id=f"{module.name} {call.operation.method} {call.operation.path}")
    for module in MODULES
    for call in module.calls
]
OPERATIONS = [
    pytest.param(module, operation, id=f"{module.name} {operation.method} {operation.path}")
    for module in MODULES
    for operation in [*(call.operation for call in module.calls), *([module.cancel[1]] if module.cancel else [])]
]
# The cancel endpoints have an order of checks of their own; `owner_for` asks whose orders a client sees.
ASK_WHAT_A_CLIENT_MAY = {
    ("http/execute.py", "_caller"),
    ("connect/cancel.py", "command"),
    ("shopping/cancelling/cancel.py", "command"),
    ("shopping/access.py", "owner_for"),
    ("manage/translate.py", "order_shown"),  # a field that only some see
    ("manage/orders.py", "_cancellation"),  # a field that only some may send
}


@pytest.mark.parametrize("operation", [pytest.param(one.values[1], id=one.id) for one in OPERATIONS])
def test_every_call_needs_a_permission_or_says_why_it_needs_none(operation: Operation):
    if isinstance(operation.permission, NoPermission):
        assert len(operation.permission.why.split()) >= 3, "a reason is more than a word"
        assert not operation.takes_key
    else:
        assert isinstance(operation.permission, Permission)


@pytest.mark.parametrize("call", CALLS)
def test_only_a_call_for_everybody_or_with_its_own_credential_leaves_the_caller_unasked(call):
    operation = call.operation
    open_for_some = isinstance(operation.permission, NoPermission) or operation.own_credential is not None

    assert isinstance(call, OpenCall) is open_for_some


def test_what_a_client_may_is_asked_in_one_place():
    asked = {
        (str(path.relative_to(CONTRACTS)), function.name)
        for path in CONTRACTS.rglob("*.py")
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and node.attr == "may"
    }

    assert asked == ASK_WHAT_A_CLIENT_MAY


@pytest.mark.parametrize("call", [one for one in CALLS if not isinstance(one.values[0], OpenCall)])
def test_a_call_describes_a_body_if_it_reads_one(call: ServiceCall | TransactionCall):
    assert (call.body is no_body) is (call.operation.request is None)


@pytest.mark.parametrize("call", [one for one in CALLS if isinstance(one.values[0], TransactionCall)])
def test_what_runs_in_a_transaction_takes_a_key_and_is_no_read(call: TransactionCall):
    assert call.operation.takes_key
    assert call.operation.method != "GET"


@pytest.mark.parametrize(("module", "operation"), OPERATIONS)
def test_the_document_has_the_permission_for_programs_and_for_people(module, operation: Operation):
    described = module.openapi("http://shop.test", "0")["paths"][operation.path][operation.method.lower()]

    if isinstance(operation.permission, NoPermission):
        assert "x-permission" not in described
        assert described["security"] == []
    else:
        assert described["x-permission"] == operation.permission.value
        assert f"the permission `{operation.permission.value}`" in described["description"]
        assert described.get("x-or-permission") == operation.or_permission
        besides = {"Acting-As": "act_as"} if operation.takes_acting_as else None
        assert described.get("x-header-permissions") == besides
        assert all(f"`{one}`" in described["description"] for one in (besides or {}).values())
    own = operation.own_credential
    assert own is None or f"`{own}`" in described["description"]
    assert ("browser" in described["description"].partition("Needs the")[2]) is operation.needs_secret
    keys = [one for one in described["parameters"] if one["name"] == "Idempotency-Key"]
    assert len(keys) == operation.takes_key
