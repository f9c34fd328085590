"""The links of a resource in HAL."""

from collections.abc import Sequence
from typing import Required, TypedDict


class Link(TypedDict, total=False):
    """A link object of HAL. A `templated` address has variables to fill in (RFC 6570)."""

    name: str
    href: Required[str]
    templated: bool
    type: str


class Links(dict[str, Link | Sequence[Link]]):
    """The links of a resource by relation. The OpenAPI document describes them as an object, and no more."""
