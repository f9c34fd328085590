"""A pattern says what a whole text must be. In Python, `$` alone stands before a final newline, too."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

from architecture.test_null_fields import WITH_A_BODY, messages_in


def test_no_text_with_a_pattern_may_end_with_a_newline():
    found = {
        (pattern, example)
        for body in WITH_A_BODY
        for message in messages_in(body.values[0])
        for field in msgspec.structs.fields(message)
        for pattern, example in patterns_in(inspect.type_info(field.type))
    }
    assert len(found) > 15
    assert [one for one in found if not re.search(one[0], one[1])] == [], "an example that its pattern does not fit"
    assert [one for one in found if re.search(one[0], one[1] + "\n")] == [], "end the pattern with $(?!\\n)"


def patterns_in(known: inspect.Type, example: str = "jo@example.com") -> Iterator[tuple[str, str]]:
    """Yield each pattern of a type, with the example beside it. Only patterns of e-mail addresses have none."""
    match known:
        case inspect.Metadata(type=inner, extra_json_schema=schema):
            examples: Any = (schema or {}).get("examples") or [example]
            yield from patterns_in(inner, str(examples[0]))
        case inspect.UnionType(types=types):
            for one in types:
                yield from patterns_in(one, example)
        case inspect.ListType(item_type=item):
            yield from patterns_in(item)
        case inspect.DictType(key_type=key, value_type=value):
            yield from patterns_in(key)
            yield from patterns_in(value)
        case inspect.StrType(pattern=str(pattern)):
            yield pattern, example
