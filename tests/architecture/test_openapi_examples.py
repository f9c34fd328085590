"""Every field of the OpenAPI documents has a description, and every call has examples that a service gave."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from architecture.test_error_tables import TABLES
from architecture.test_openapi import MODULES
from countermand.actions.errors import ConflictError, CursorGoneError
from countermand.contracts.connect import tokens
from countermand.contracts.http.error_codes import REFUSALS
from support.examples import FILES, ROOT, recorded, written

ADDRESS = "http://shop.test"
ENDPOINT: Any = SimpleNamespace(realm="superloop")  # a description needs no more of it
ALL = {**MODULES, "tokens": tokens.api_module(ENDPOINT)}
DOCUMENTS = {
    name: msgspec.json.decode(msgspec.json.encode(module.openapi(ADDRESS, "0"))) for name, module in ALL.items()
}
WITH_OWN_CODES = {ConflictError, CursorGoneError}
CODES = re.compile(r"^\| (\d{3}) \| `(\w+)` \|", re.MULTILINE)


def test_every_field_has_a_description_that_says_more_than_its_name():
    silent = [
        f"{name}: {message}.{field}"
        for name, document in DOCUMENTS.items()
        for message, schema in document["components"]["schemas"].items()
        for field, described in schema.get("properties", {}).items()
        if len(words(described.get("description", "")) - words(field)) < 1
    ]
    assert silent == []
    assert (
        sum(len(one.get("properties", {})) for it in DOCUMENTS.values() for one in it["components"]["schemas"].values())
        > 600
    )


def test_every_parameter_has_a_description():
    silent = [
        f"{operation['operationId']}: {parameter['name']}"
        for document in DOCUMENTS.values()
        for operation in operations(document)
        for parameter in operation["parameters"]
        if len(words(parameter["description"]) - words(parameter["name"])) < 1
    ]
    assert silent == []


def test_every_call_has_an_example_of_its_request_and_of_each_kind_of_answer():
    without = [
        f"{name} {operation['operationId']}: {part}"
        for name, document in DOCUMENTS.items()
        for operation in operations(document)
        for part, content in contents(operation)
        if not content.get("examples")
    ]
    assert without == []
    assert sum(1 for document in DOCUMENTS.values() for _ in operations(document)) > 50


def test_every_example_fits_its_schema():
    wrong = []
    for name, document in DOCUMENTS.items():
        for operation in operations(document):
            for part, content in contents(operation):
                checked = Draft202012Validator({**content["schema"], "components": document["components"]})
                for code, example in content["examples"].items():
                    wrong += [
                        f"{name} {operation['operationId']} {part} {code}: {error.message}"
                        for error in checked.iter_errors(example["value"])
                    ]
    assert wrong == []


def test_every_code_of_an_example_is_explained_in_its_document():
    unexplained = set()
    for name, document in DOCUMENTS.items():
        explained = set(CODES.findall(document["info"]["description"]))
        assert explained, name
        for operation in operations(document):
            for part, content in contents(operation):
                if part >= "400" and part.isdigit():
                    unexplained |= {(name, part, code) for code in content["examples"] if (part, code) not in explained}
    # An operator's own words for what cannot be done, which the service passes on.
    assert unexplained == {("connect", "422", "no_technician")}


def test_every_code_of_a_conflict_or_a_failure_in_the_source_is_explained():
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    raised = set(re.findall(r'ConflictError\(\s*f?"(\w+)"', source))
    raised |= set(re.findall(r'(?:Failure|Rule)\([^)]*?code="(\w+)"', source))
    raised |= set(re.findall(r'^_\w+(?:: Final)? = "(order_\w+)"', source, re.MULTILINE))
    assert len(raised) > 30
    assert raised <= REFUSALS.keys()


@pytest.mark.parametrize("name", FILES)
def test_every_answer_of_the_error_table_is_explained(name: str):
    document = DOCUMENTS[name]["info"]["description"]
    explained = set(CODES.findall(document))
    answers = [answer for error, answer in TABLES[name].items() if error not in WITH_OWN_CODES]
    assert explained >= {(str(status), code) for status, code in answers}


def test_the_newest_version_is_preset():
    (version,) = (one for one in next(operations(DOCUMENTS["connect"]))["parameters"] if one["name"] == "X-API-VERSION")
    assert version["schema"]["default"] == version["schema"]["enum"][-1] == "8"


@pytest.mark.long
def test_the_examples_are_what_a_service_is_sent_and_answers(tmp_path: Path):
    """If this fails, `make examples` records them again."""
    for name, examples in asyncio.run(recorded(tmp_path)).items():
        assert written(examples) == FILES[name].read_text(encoding="utf-8"), name


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every call of a document."""
    for methods in document["paths"].values():
        yield from methods.values()


def contents(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The body of a call and of each answer that has one, with `request` or the status."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        yield "request", content
    for status, reply in operation["responses"].items():
        for content in reply.get("content", {}).values():
            yield status, content


def words(text: str) -> set[str]:
    """The words of a text or of a name, without small ones."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", text).lower()
    return set(re.findall(r"[a-z]+", spaced)) - {"the", "a", "an", "of", "its", "this", "s"}
