"""What do the links of a HAL resource look like in the shopping contract?"""

from typing import Annotated, Final, NotRequired, TypedDict

from msgspec import Meta

_LINK: Final = {"$ref": "#/components/schemas/Link"}


class Link(TypedDict):
    """Where a relation leads to. `templated` says that `href` has variables to fill in (RFC 6570)."""

    href: str
    templated: NotRequired[bool]
    type: NotRequired[str]
    name: NotRequired[str]


def _links_schema() -> dict[str, object]:
    """Return the relations that most resources have. Python's type of the links does not name them."""
    return {"properties": {"self": _LINK, "profile": _LINK, "curies": {"type": "array", "items": _LINK}}}


Links = Annotated[dict[str, Link | list[Link]], Meta(title="Links", extra_json_schema=_links_schema())]
