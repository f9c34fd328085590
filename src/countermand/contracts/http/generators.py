"""Rewrites schemas for programs that generate clients: they need more than JSON Schema requires."""

from collections.abc import Mapping
from typing import Final

_TYPES: Final[Mapping[type, str]] = {str: "string", bool: "boolean", int: "integer", float: "number"}


def generators_schema(schema: object, named: dict[str, object]) -> object:
    """Return the schema, changed where generators fail or lose the type.

    An `enum` or `const` gets its type. A field that is always null may also be a string, because there is no type for
    null alone in most languages. A schema with a title inside another schema moves to `named` under its title. The
    description of a field that may be null moves from the choice of types to the field, where all readers look for it.
    """
    if isinstance(schema, list):
        return [generators_schema(one, named) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made: dict[str, object] = {
        key: generators_schema(value, named) for key, value in schema.items() if key != "properties"
    }
    if "properties" in schema:
        made["properties"] = {name: _property(one, named) for name, one in schema["properties"].items()}
    return _with_type(made)


def _property(schema: object, named: dict[str, object]) -> object:
    if isinstance(schema, dict) and schema.get("type") == "null":
        return {**schema, "type": ["string", "null"]}
    made = generators_schema(schema, named)
    if not isinstance(made, dict):
        return made
    if "title" not in made:
        return _described(made)
    name = str(made.pop("title"))
    named[name] = {"title": name, **made}
    return {"$ref": f"#/components/schemas/{name}", "description": made["description"]}


def _described(field: dict[str, object]) -> dict[str, object]:
    choices = field.get("anyOf")
    if "description" in field or not isinstance(choices, list):
        return field
    described = [one for one in choices if "description" in one]
    if len(described) != 1:
        return field
    (one,) = described
    plain = {key: value for key, value in one.items() if key != "description"}
    return {
        **field,
        "description": one["description"],
        "anyOf": [plain if choice is one else choice for choice in choices],
    }


def _with_type(schema: dict[str, object]) -> dict[str, object]:
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    assert isinstance(values, list), "JSON Schema has a list here"
    types = {_TYPES[type(value)] for value in values if type(value) in _TYPES}
    return {"type": types.pop(), **schema} if len(types) == 1 and "type" not in schema else schema
