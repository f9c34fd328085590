"""No parameter of any call is passed over: one that takes one value is refused if it is there twice."""

from typing import Any

import httpx
import pytest

from countermand.bootstrap.api_modules import api_modules, connect_of, shopping_of
from countermand.contracts.http.contract import Deployment
from countermand.contracts.registry import CONTRACTS
from countermand.settings import Settings
from support.database_contents import changed, contents
from support.shared_world import shared_sqlite_world
from support.world import PUBLIC_URL, World

sqlite_world = shared_sqlite_world

UID = "0" * 32
_DEPLOYMENT = Deployment(public_url=PUBLIC_URL, terms=(connect_of(Settings()), shopping_of(Settings(), PUBLIC_URL)))
_NOBODY: Any = None  # nobody is asked who may call
MODULES = api_modules(CONTRACTS, _DEPLOYMENT, _NOBODY, _NOBODY, None)
PARAMETERS = {
    f"{call.operation.method} {call.operation.path} {parameter['name']}": (module.name, call.operation.path, parameter)
    for module in MODULES
    for call in module.calls
    for parameter in call.operation.parameters
    if parameter["in"] == "query"
}


def repeats(parameter: Any) -> bool:
    return parameter["schema"].get("type") == "array" or parameter["name"].endswith("__in")


def value_of(schema: Any) -> str:
    """A value that fits a schema."""
    if "enum" in schema:
        return schema["enum"][0]
    if "examples" in schema:
        return schema["examples"][0].replace("<uid>", UID)
    if schema.get("format") == "date-time":
        return "2026-11-23T01:00:00Z"
    return {"boolean": "true", "integer": "1"}.get(schema["type"], "1")


async def headers_of(world: World, contract: str) -> dict[str, str]:
    """The headers of a new client of a contract."""
    match contract:
        case "connect":
            return world.connect_headers(await world.connect_client())
        case "shopping" | "partner":
            return world.shopping_headers(await world.shopping_client())
        case _:
            return world.manage_headers(await world.manage_client())


async def asked(world: World, path: str, query: list[tuple[str, str]], headers: dict[str, str]) -> httpx.Response:
    address = path.replace("{id}", "1").replace("{endpoint}", f"ep_{'0' * 16}")
    return await world.http.get(address, params=httpx.QueryParams(query), headers=headers)


def test_the_calls_have_parameters():
    assert {of for of, _, _ in PARAMETERS.values()} == {"connect", "shopping", "manage", "partner"}
    assert len(PARAMETERS) > 40


@pytest.mark.parametrize("which", [name for name, (*_, one) in PARAMETERS.items() if not repeats(one)])
async def test_a_parameter_that_takes_one_value_is_refused_by_name_if_it_is_there_twice(
    sqlite_world: World, which: str
):
    of, path, parameter = PARAMETERS[which]
    name, value = parameter["name"], value_of(parameter["schema"])
    headers = await headers_of(sqlite_world, of)
    before = await contents(sqlite_world)
    for second in (value, "another", ""):
        answer = await asked(sqlite_world, path, [(name, value), (name, second)], headers)
        assert answer.status_code == (400 if of == "shopping" else 422), answer.text
        field = "path" if of == "shopping" else "field"
        said = {one[field]: one["message"] for one in answer.json()["errors"]}
        assert said[name].startswith(f"{name} must be there once, not 2 times: ")
    assert not changed(before, await contents(sqlite_world))


@pytest.mark.parametrize("which", [name for name, (*_, one) in PARAMETERS.items() if repeats(one)])
async def test_a_parameter_that_takes_several_values_may_be_there_twice(sqlite_world: World, which: str):
    of, path, parameter = PARAMETERS[which]
    name, schema = parameter["name"], parameter["schema"]
    value = value_of(schema.get("items", schema))
    if name == "products":  # of the deprecated bill
        value = f"{PUBLIC_URL}/products/{UID},1"
    if name in {"event", "event__in"}:
        value = f"{PUBLIC_URL}/events/{UID}"
    if name.removesuffix("__in") in {"sale_start", "sale_end", "event_start", "event_end"}:
        value = "2026-11-23T01:00:00Z"
    if path == "/orders" and name in {"state__in", "status__in"}:
        value = "pending"
    headers = await headers_of(sqlite_world, of)
    answer = await asked(sqlite_world, path, [(name, value), (name, value)], headers)
    assert answer.status_code == (404 if name == "products" else 200), answer.text


@pytest.mark.parametrize(
    "which", [name for name, (*_, one) in PARAMETERS.items() if one["schema"].get("type") == "boolean"]
)
async def test_a_truth_is_read_alike_by_every_contract(sqlite_world: World, which: str):
    of, path, parameter = PARAMETERS[which]
    headers = await headers_of(sqlite_world, of)
    for value, status in {"true": 200, "False": 200, "TRUE": 200, "0": 200, "1": 200, "2": 0, "": 0, "yes": 0}.items():
        answer = await asked(sqlite_world, path, [(parameter["name"], value)], headers)
        assert answer.status_code == (status or (400 if of == "shopping" else 422)), (value, answer.text)


def test_the_document_says_that_a_filter_by_state_may_repeat_and_that_a_truth_is_a_boolean():
    states = PARAMETERS["GET /api/connect/orders status"][2]
    assert (states["style"], states["explode"]) == ("form", True)
    assert states["schema"]["items"]["enum"]
    assert PARAMETERS["GET /orders status"][2]["schema"]["type"] == "array"
    assert PARAMETERS["GET /orders created"][2]["schema"]["type"] == "string"
    assert PARAMETERS["GET /api/connect/orders isCancellable"][2]["schema"] == {"type": "boolean"}
    assert PARAMETERS["GET /products is_soldout"][2]["schema"] == {"type": "boolean"}
