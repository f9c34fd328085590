"""Makes tables of fields from the types of messages: name, type, whether it is always there, and meaning."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import msgspec

from countermand.contracts.http.openapi import schema_of_own_type

Schema = Mapping[str, object]

_BOUNDS: Final[Mapping[str, str]] = {
    "minLength": "At least {} characters",
    "maxLength": "At most {} characters",
    "minimum": "At least {}",
    "maximum": "At most {}",
    "minItems": "At least {} items",
    "maxItems": "At most {} items",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldType:
    """One of the types of a field. `table` is the name of the table that explains it, if there is one."""

    text: str
    before: str = ""
    table: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldRow:
    """A field or parameter."""

    name: str
    types: Sequence[FieldType]
    is_required: bool
    meaning: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldTable:
    """The fields of an object. `first` and `required` are the headings of two columns."""

    name: str
    title: str
    about: str
    first: str
    required: str
    fields: Sequence[FieldRow]


def field_tables(messages: Mapping[type[msgspec.Struct], str], *, is_sent: bool) -> Iterator[FieldTable]:
    """Yield a table for each message, under its title, and for each object inside. `is_sent` is true of requests."""
    _, described = msgspec.json.schema_components(list(messages), schema_hook=schema_of_own_type, ref_template="{name}")
    components = cast("Mapping[str, Schema]", described)
    titles = {message.__name__: title for message, title in messages.items()}
    for name in [*titles, *sorted(components.keys() - titles.keys())]:
        schema = components[name]
        properties = cast("Mapping[str, Schema]", schema.get("properties", {}))
        always = cast("Sequence[str]", schema.get("required", ()))
        if properties:
            yield FieldTable(
                name=name,
                title=titles.get(name, name),
                about=str(schema.get("description", "")),
                first="Field",
                required="Required" if is_sent else "Always there",
                fields=[_row(field, one, components, required=field in always) for field, one in properties.items()],
            )


def parameter_table(name: str, title: str, parameters: Sequence[Schema]) -> FieldTable:
    """Return a table of OpenAPI parameter objects."""
    rows = [
        FieldRow(
            name=str(one["name"]),
            types=_types(cast("Schema", one["schema"])),
            is_required=bool(one["required"]),
            meaning=_sentences([str(one["description"])]),
        )
        for one in parameters
    ]
    return FieldTable(name=name, title=title, about="", first="Parameter", required="Required", fields=rows)


def _row(name: str, schema: Schema, components: Mapping[str, Schema], *, required: bool) -> FieldRow:
    meanings = list(dict.fromkeys([*_meanings(schema), *_bounds(schema)])) or list(_of_objects(schema, components))
    return FieldRow(name=name, types=_types(schema), is_required=required, meaning=_sentences(meanings))


def _types(schema: Schema) -> Sequence[FieldType]:
    return list(dict.fromkeys(_each_type(schema)))


def _each_type(schema: Schema) -> Iterator[FieldType]:
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        yield FieldType(text=name, table=name)
        return
    alternatives = _alternatives(schema)
    for one in alternatives:
        yield from _each_type(one)
    if alternatives:
        return
    kind = schema.get("type")
    if "enum" in schema:
        yield from (FieldType(text=str(value)) for value in cast("Sequence[object]", schema["enum"]))
    elif kind == "array" and isinstance(schema.get("items"), dict):
        inner = _types(cast("Schema", schema["items"]))
        yield from (FieldType(before=f"list of {one.before}", text=one.text, table=one.table) for one in inner)
    elif kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        inner = _types(cast("Schema", schema["additionalProperties"]))
        yield from (FieldType(before=f"object of {one.before}", text=one.text, table=one.table) for one in inner)
    elif kind is not None:
        yield FieldType(text=f"{kind} ({schema['format']})" if "format" in schema else str(kind))


def _meanings(schema: Schema) -> Iterator[str]:
    if "description" in schema:
        yield str(schema["description"])
    for one in _alternatives(schema):
        yield from _meanings(one)


def _bounds(schema: Schema) -> Iterator[str]:
    yield from (said.format(schema[name]) for name, said in _BOUNDS.items() if name in schema)
    if "examples" in schema:
        yield f"Example: {cast('Sequence[object]', schema['examples'])[0]}"
    for one in _alternatives(schema):
        yield from _bounds(one)


def _of_objects(schema: Schema, components: Mapping[str, Schema]) -> Iterator[str]:
    """Yield what the objects of a field say about themselves, for a field that says nothing."""
    for one in _types(schema):
        if one.table is not None and "description" in components[one.table]:
            yield str(components[one.table]["description"])


def _alternatives(schema: Schema) -> Sequence[Schema]:
    return [one for name in ("anyOf", "oneOf", "allOf") for one in cast("Sequence[Schema]", schema.get(name, ()))]


def _sentences(said: Sequence[str]) -> str:
    return " ".join(f"{one.rstrip('.')}." for one in said)
