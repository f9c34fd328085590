"""What do the links of a HAL resource look like in the shopping contract?"""

from typing import Annotated, Final, NotRequired, TypedDict

from msgspec import Meta

_LINK: Final = {"$ref": "#/components/schemas/Link"}
_RELATIONS: Final = {
    "self": {**_LINK, "description": "The address of the resource itself"},
    "profile": {**_LINK, "description": "The page that explains the resource"},
    "curies": {
        "type": "array",
        "items": _LINK,
        "description": "The pages that explain the relations whose names begin with shop:",
    },
}


class Link(TypedDict):
    """Where a relation leads to. `templated` says that `href` has variables to fill in (RFC 6570)."""

    href: Annotated[str, Meta(description="The address, or a template of addresses")]
    templated: NotRequired[Annotated[bool, Meta(description="Whether href has variables to fill in (RFC 6570)")]]
    type: NotRequired[Annotated[str, Meta(description="The media type that the address answers with")]]
    name: NotRequired[Annotated[str, Meta(description="The name of a curie, which is the prefix of relations")]]


def _links_schema() -> dict[str, object]:
    """Return the relations that most resources have. Python's type of the links does not name them."""
    return {"properties": _RELATIONS}


Links = Annotated[
    dict[str, Link | list[Link]],
    Meta(title="Links", description="Where the resource leads to, by link relation", extra_json_schema=_links_schema()),
]
