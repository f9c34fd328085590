"""Takes a resource apart into its fields, for a body that has them beside others."""

from msgspec import UNSET, Struct
from msgspec.structs import fields


def fields_of(resource: Struct) -> dict[str, object]:
    """Return the fields of a resource under the names that an answer has, without those that an answer leaves out."""
    assert not resource.__struct_config__.omit_defaults, "an answer leaves out more of such a resource"
    found = ((one.encode_name, getattr(resource, one.name)) for one in fields(resource))
    return {name: value for name, value in found if value is not UNSET}
