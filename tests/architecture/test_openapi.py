import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from litestar import Litestar

from countermand.bootstrap.api_modules import api_modules, connect_of, shopping_of
from countermand.contracts.http.api_module import ApiModule
from countermand.contracts.http.contract import Deployment
from countermand.contracts.registry import CONTRACTS
from countermand.settings import Settings
from countermand.web.front import Front
from countermand.web.path_segments import KeepsEncodedSlashes
from countermand.web.reporting import NamesEveryRequest
from support.shared_world import shared_both_worlds, shared_world
from support.world import World

both_worlds = shared_both_worlds
world = shared_world

PAGES = {
    "/healthz",
    "/readyz",
    "/metrics",
    "/docs",
    "/docs/{name}",
    "/docs/{name}/openapi.json",
    "/docs/assets/{name}",
    "/docs/guides/{name}",
    "/etickets/{token}",
    "/etickets/{token}/event.ics",
    "/documentation/{name}",
}
TERMS = (connect_of(Settings()), shopping_of(Settings(), "http://shop.test"))
DEPLOYMENT = Deployment(public_url="http://shop.test", terms=TERMS)

NO_CLIENTS: Any = None  # nobody is asked who may call
NO_STAFF: Any = None
MODULES = {module.name: module for module in api_modules(CONTRACTS, DEPLOYMENT, NO_CLIENTS, NO_STAFF)}
OPERATIONS = [
    (module.name, operation.method, operation.path)
    for module in MODULES.values()
    for operation in [*(call.operation for call in module.calls), *([module.cancel[1]] if module.cancel else [])]
]
FOR_ALL = {("GET", "/"), ("GET", "/status")}


def test_every_operation_is_described_once():
    addresses = [(method, bare(path)) for _, method, path in OPERATIONS]

    assert len(addresses) == len(set(addresses))
    assert set(addresses) == {address for module in MODULES.values() for address in described(module)}


def test_a_document_lists_the_tags_of_its_operations_once_and_in_order():
    for module in MODULES.values():
        document = module.openapi("http://shop.test", "0")
        paths = [*document["paths"].values(), *document.get("webhooks", {}).values()]
        used = [tag for path in paths for operation in path.values() for tag in operation["tags"]]

        assert [tag["name"] for tag in document["tags"]] == list(dict.fromkeys(used)), module.name


async def test_every_operation_described_is_served(both_worlds: World):
    for name, method, path in OPERATIONS:
        answer = await both_worlds.http.request(method, re.sub(r"{\w+}", "1", path))

        # Nobody in particular calls, which only who serves the call can say: what is not there is 404 or 405.
        assert answer.status_code == (200 if (method, path) in FOR_ALL else 401), (method, path, answer.text)
        assert MODULES[name].prefix == "/" or path.startswith(MODULES[name].prefix)


async def test_nothing_is_served_that_is_not_described(both_worlds: World):
    rest = both_worlds.service.application
    rest = rest._rest if isinstance(rest, Front) else rest
    while isinstance(rest, KeepsEncodedSlashes | NamesEveryRequest):
        rest = rest._app
    assert isinstance(rest, Litestar)

    served = {
        (method, bare(route.path_format))
        for route in rest.routes
        for method in getattr(route, "methods", {"GET"}) - {"OPTIONS", "HEAD"}
    }

    assert served - {("GET", page) for page in map(bare, PAGES)} == {
        (method, bare(path)) for _, method, path in OPERATIONS
    }


async def test_another_method_is_told_the_methods_described(both_worlds: World):
    for path in sorted({path for _, _, path in OPERATIONS}):
        answer = await both_worlds.http.request("PATCH", re.sub(r"{\w+}", "1", path))

        assert answer.status_code == 405, path
        described = {method for _, method, other in OPERATIONS if other == path}
        assert set(answer.headers["allow"].split(", ")) == described, path


@pytest.mark.parametrize("name", MODULES)
async def test_the_document_that_is_served_is_its_modules_own(world: World, name: str):
    served = await world.http.get(f"/docs/{name}/openapi.json")

    assert served.status_code == 200
    document = served.json()
    assert document["openapi"].startswith("3.1")
    expected = MODULES[name].openapi("http://shop.test", document["info"]["version"])
    assert document["paths"].keys() == expected["paths"].keys()


@pytest.mark.parametrize("name", MODULES)
def test_a_document_names_each_operation_once_and_its_parameters_and_messages_are_there(name):
    document = msgspec.json.decode(msgspec.json.encode(MODULES[name].openapi("http://shop.test", "0")))
    operations = {
        (method, path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }

    names = [operation["operationId"] for operation in operations.values()]
    assert len(names) == len(set(names))
    for (method, path), operation in operations.items():
        in_path = [one["name"] for one in operation["parameters"] if one["in"] == "path"]
        assert sorted(in_path) == sorted(re.findall(r"{(\w+)}", path)), (method, path)
        assert any(status.startswith("2") for status in operation["responses"])
        assert {"500", "503"} <= operation["responses"].keys()
        assert ("401" in operation["responses"]) is ((method.upper(), path) not in FOR_ALL)
        assert bool(operation["security"]) is ("401" in operation["responses"])
    text = msgspec.json.encode(document).decode()
    referred = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert referred <= document["components"]["schemas"].keys()


@pytest.mark.parametrize("name", MODULES)
def test_each_example_in_a_document_fits_what_it_is_an_example_of(name):
    document = msgspec.json.decode(msgspec.json.encode(MODULES[name].openapi("http://shop.test", "0")))
    found = list(with_examples(document, ""))

    assert len(found) > (0 if name == "tokens" else 5)
    for where, schema in found:
        checked = Draft202012Validator({**schema, "components": document["components"]})
        for example in schema["examples"]:
            assert [error.message for error in checked.iter_errors(example)] == [], where


def with_examples(value: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in a document that has examples, and where it stands."""
    if isinstance(value, dict):
        if isinstance(value.get("examples"), list):
            yield where, value
        for name, inner in value.items():
            yield from with_examples(inner, f"{where}/{name}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from with_examples(inner, f"{where}/{number}")


def described(module: ApiModule) -> list[tuple[str, str]]:
    document = module.openapi("http://shop.test", "0")
    return [(method.upper(), bare(path)) for path, methods in document["paths"].items() for method in methods]


def bare(path: str) -> str:
    """Without the slash at the end, which both spellings of the shopping cancellation may or may not have."""
    return path.rstrip("/") or "/"
