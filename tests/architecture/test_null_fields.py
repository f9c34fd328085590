"""Null in an optional field is as if the field were left out: in every message of every call of every contract."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from architecture.test_calls import MODULES
from countermand.actions.errors import FieldsError
from countermand.contracts.http.answer import JSON, ForbiddenError
from countermand.contracts.http.body import Number, read
from countermand.contracts.http.calls import Call, DecodedBody, OpenCall
from countermand.contracts.http.given_values import SENT_EMPTY
from countermand.domain.redirects import NO_REDIRECTS

CALLER: Any = SimpleNamespace(only_event=None, in_browser=False, redirects=NO_REDIRECTS)
OPERATIONS = [
    *((module.name, call.operation, call) for module in MODULES for call in module.calls),
    *((module.name, module.cancel[1], None) for module in MODULES if module.cancel),
]
WITH_A_BODY = [
    pytest.param(operation.request, call, id=f"{name} {operation.method} {operation.path}")
    for name, operation, call in OPERATIONS
    if operation.request is not None and operation.request_media_type == JSON
]


def test_every_contract_has_messages_to_check():
    assert {one.id.split(" ")[0] for one in WITH_A_BODY} == {"connect", "manage", "partner", "shopping"}
    assert sum(1 for one in WITH_A_BODY for _ in optional_fields(one.values[0])) > 100


@pytest.mark.parametrize(("message", "call"), WITH_A_BODY)
def test_null_in_an_optional_field_is_as_if_the_field_were_left_out(message: Any, call: Call | None):
    for path, with_null, without in optional_fields(message):
        assert read(message, with_null) == read(message, without), path
        assert outcome(call, with_null) == outcome(call, without), path


@pytest.mark.parametrize(("message", "call"), WITH_A_BODY)
def test_null_has_no_meaning_of_its_own_in_any_message(message: Any, call: Call | None):  # noqa: ARG001
    for one in messages_in(message):
        for field in msgspec.structs.fields(one):
            if not field.required and takes_null(field.type):
                assert field.default is None, (one, field.name)


@pytest.mark.parametrize(("message", "call"), WITH_A_BODY)
def test_null_in_a_required_field_is_an_error_that_names_the_field(message: Any, call: Call | None):  # noqa: ARG001
    body = sample_of(message)
    for name in body:
        with pytest.raises(FieldsError) as raised:
            read(message, body | {name: None})
        assert [field for field, _ in raised.value.errors] == [name]
        assert raised.value.errors[0][1].endswith("not null")


@pytest.mark.parametrize(("message", "call"), WITH_A_BODY)
def test_an_empty_text_is_left_out_only_in_optional_fields_that_forms_send_empty(message: Any, call: Call | None):
    for path, with_null, without in optional_fields(message):
        with_empty = replaced(with_null, path, "")
        if path[-1] in SENT_EMPTY:
            assert read(message, with_empty) == read(message, without), path
            assert outcome(call, with_empty) == outcome(call, without), path
        else:
            assert as_read(message, with_empty) != read(message, without) or default_is_empty(message, path), path


Path = tuple[str | int, ...]


def optional_fields(message: Any, path: Path = ()) -> Iterator[tuple[Path, dict[str, Any], dict[str, Any]]]:
    """Every optional field at any depth: its path, the least body with null in the field, and without the field."""
    body = sample_of(message)
    for field in msgspec.structs.fields(message):
        name = field.encode_name
        if not field.required:
            yield (*path, name), body | {name: None}, body
        for inner, in_list in structs_in(inspect.type_info(field.type)):
            here = (*path, name, 0) if in_list else (*path, name)
            for there, with_null, without in optional_fields(inner, here):
                yield (
                    there,
                    body | {name: [with_null] if in_list else with_null},
                    body | {name: [without] if in_list else without},
                )


def structs_in(known: inspect.Type, *, in_list: bool = False) -> Iterator[tuple[Any, bool]]:
    match known:
        case inspect.Metadata(type=inner):
            yield from structs_in(inner, in_list=in_list)
        case inspect.UnionType(types=types):
            for one in types:
                yield from structs_in(one, in_list=in_list)
        case inspect.ListType(item_type=item):
            yield from structs_in(item, in_list=True)
        case inspect.DictType(value_type=value):
            assert not list(structs_in(value)), "this test does not look into dictionaries of messages"
        case inspect.StructType(cls=cls):
            yield cls, in_list


def messages_in(message: Any) -> Iterator[Any]:
    yield message
    for field in msgspec.structs.fields(message):
        for inner, _ in structs_in(inspect.type_info(field.type)):
            yield from messages_in(inner)


def sample_of(message: Any) -> dict[str, Any]:
    """The least body of a message: its required fields."""
    return {
        field.encode_name: value_of(inspect.type_info(field.type))
        for field in msgspec.structs.fields(message)
        if field.required
    }


def value_of(known: inspect.Type) -> Any:  # noqa: C901, PLR0911 - one line a type
    match known:
        case inspect.Metadata(type=inner, extra_json_schema=schema):
            examples = (schema or {}).get("examples")
            return examples[0] if examples else value_of(inner)
        case inspect.UnionType(types=types):
            return value_of(types[0])
        case inspect.LiteralType(values=values):
            return values[0]
        case inspect.IntType(ge=low):
            return low or 1
        case inspect.CustomType(cls=cls):
            assert cls is Number
            return 1
        case inspect.StrType(pattern=pattern):
            assert pattern is None, "a text with a pattern needs an example"
            return "x"
        case inspect.DateTimeType():
            return "2030-01-01T00:00:00Z"
        case inspect.ListType(item_type=item):
            return [value_of(item)]
        case inspect.DictType(key_type=key, value_type=value):
            return {value_of(key): value_of(value)}
        case inspect.StructType(cls=cls):
            return sample_of(cls)
        case other:
            raise NotImplementedError(f"a sample of {other}")


def outcome(call: Call | None, body: dict[str, Any]) -> Any:
    """What the call makes of a body, or the errors that it finds. None for a cancel endpoint, which has no reader."""
    if call is None:
        return None
    assert not isinstance(call, OpenCall)
    try:
        return call.body(DecodedBody(json=body, client=CALLER, version=8))  # type: ignore[attr-defined]
    except FieldsError as error:
        return error.errors
    except ForbiddenError as error:
        return str(error)


def as_read(message: Any, body: dict[str, Any]) -> Any:
    try:
        return read(message, body)
    except FieldsError as error:
        return error.errors


def takes_null(wanted: Any) -> bool:
    known = inspect.type_info(wanted)
    while isinstance(known, inspect.Metadata):
        known = known.type
    return isinstance(known, inspect.UnionType) and known.includes_none


def default_is_empty(message: Any, path: Path) -> bool:
    """Whether the field at the path has the empty text as its default, so that both are the same."""
    for one in messages_in(message):
        for field in msgspec.structs.fields(one):
            if field.encode_name == path[-1] and field.default == "":
                return True
    return False


def replaced(body: Any, path: Path, value: Any) -> Any:
    """The same body with another value at a path."""
    if not path:
        return value
    first, rest = path[0], path[1:]
    if isinstance(body, list):
        assert isinstance(first, int)
        return [*body[:first], replaced(body[first], rest, value), *body[first + 1 :]]
    return body | {first: replaced(body[first], rest, value)}
