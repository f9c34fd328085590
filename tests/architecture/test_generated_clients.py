"""Programs that make clients from the documents crash, drop a message or lose its type without what is checked here."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from architecture.test_openapi import MODULES

DOCUMENTS = {
    name: msgspec.json.decode(msgspec.json.encode(module.openapi("https://proxy.example/shop", "0")))
    for name, module in MODULES.items()
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_postman_and_generators_find_the_server_in_a_saved_document(name: str):
    assert DOCUMENTS[name]["servers"] == [{"url": "https://proxy.example/shop"}]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_enumeration_has_a_type_in_generated_code(name: str):
    fixed = [one for one in parts(DOCUMENTS[name]) if "enum" in one or "const" in one]

    assert [one for one in fixed if "type" not in one] == []
    assert fixed or name != "shopping"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_pattern_can_be_printed_and_sent_in_a_header(name: str):
    """Prism puts the pattern that a request breaks into a header, and ends if a header cannot have it."""
    patterns = [one["pattern"] for one in parts(DOCUMENTS[name]) if isinstance(one.get("pattern"), str)]

    assert [pattern for pattern in patterns if not (pattern.isascii() and pattern.isprintable())] == []
    assert patterns


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_field_is_null_alone_which_crashes_generators(name: str):
    for message, schema in DOCUMENTS[name]["components"]["schemas"].items():
        for field, one in schema.get("properties", {}).items():
            assert one.get("type") != "null", (message, field)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_and_embedded_resources_have_named_types(name: str):
    schemas = DOCUMENTS[name]["components"]["schemas"]
    for message, schema in schemas.items():
        for field in ("_links", "_embedded"):
            one = schema.get("properties", {}).get(field)
            if one is not None:
                refs = [part["$ref"].rpartition("/")[2] for part in (one, *one.get("anyOf", ())) if "$ref" in part]
                assert len(refs) == 1, (message, field)
                assert {"properties", "additionalProperties"} & schemas[refs[0]].keys(), (message, field)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_class_that_a_generator_names_after_a_field_takes_the_name_of_a_message(name: str):
    """openapi-python-client names the class of an inline object after its message and its field."""
    schemas = DOCUMENTS[name]["components"]["schemas"]
    for message, schema in schemas.items():
        for field, one in schema.get("properties", {}).items():
            if one.get("type") == "object":
                assert message + field.title().replace("_", "") not in schemas, (message, field)


def test_truths_in_queries_are_booleans():
    named = {
        parameter["name"]: parameter["schema"]
        for operation in (one["get"] for one in DOCUMENTS["shopping"]["paths"].values() if "get" in one)
        for parameter in operation["parameters"]
    }

    assert [name for name, schema in named.items() if schema.get("enum") == ["true", "false"]] == []
    assert {"type": "boolean"} in named.values()


def test_a_generated_shop_may_cancel_with_and_without_the_slash():
    paths = DOCUMENTS["shopping"]["paths"]
    operations = [paths[path]["post"] for path in ("/ordercancellation/", "/ordercancellation")]

    assert [one["operationId"] for one in operations] == ["cancelOrder", "cancelOrderWithoutSlash"]
    assert operations[0] | {"operationId": ""} == operations[1] | {"operationId": ""}


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a document."""
    if isinstance(value, dict):
        yield value
        for one in value.values():
            yield from parts(one)
    elif isinstance(value, list):
        for one in value:
            yield from parts(one)
