"""Takes a resource apart into its fields, for a body that has them beside others."""

from collections.abc import Sequence
from functools import cache

from msgspec import UNSET, Struct
from msgspec.structs import fields


def fields_of(resource: Struct) -> dict[str, object]:
    """Return the fields of a resource under the names that an answer has, without those that an answer leaves out."""
    assert not resource.__struct_config__.omit_defaults, "an answer leaves out more of such a resource"
    found = ((shown, getattr(resource, name)) for name, shown in _names_of(type(resource)))
    return {name: value for name, value in found if value is not UNSET}


@cache
def _names_of(kind: type[Struct]) -> Sequence[tuple[str, str]]:
    """Return each field's name in the code, and in an answer. To find out takes half a millisecond."""
    return [(one.name, one.encode_name) for one in fields(kind)]
