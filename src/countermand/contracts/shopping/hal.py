"""How does a resource of the shopping contract look in HAL? This module has the parts that all resources share.

Documented: the media type, `self`, `profile` and `curies` on every resource, templated links, absolute addresses,
amounts with two decimals, instants in UTC to the second, texts as objects of languages.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from countermand.contracts.http.answer import HAL, Answer, json_answer
from countermand.contracts.http.lists import Item, Message, list_answer
from countermand.contracts.shopping.addresses import Addresses
from countermand.contracts.shopping.links import Link, Links
from countermand.contracts.shopping.list_query import Asked, FilterType, search

LANGUAGES: Final = ("en", "nl", "de", "fr", "es", "pt", "tr", "ru")


def hal_answer(content: object, status: int = 200) -> Answer:
    """Return an answer in HAL."""
    return json_answer(status, content, media_type=HAL)


async def hal_list_answer(
    items: Iterable[Item], shown: Callable[[Item], Message], page: Callable[[list[Message]], object]
) -> Answer:
    """Return a page of a list in HAL, which is encoded in slices."""
    return await list_answer(items, shown, page, media_type=HAL)


def resource_links(addresses: Addresses, href: str, page: str, **more: Link) -> Links:
    """Return the links of a resource at `href`; the documentation's `page` explains it.

    `more` has further link relations, with `shop_` for `shop:`.
    """
    return {
        "curies": addresses.curies(),
        "self": {"href": href},
        "profile": addresses.profile(page),
        **{rel.replace("shop_", "shop:", 1): link for rel, link in more.items()},
    }


def list_links(
    addresses: Addresses, address: str, page: str, asked: Asked, item_count: int, filters: Mapping[str, FilterType]
) -> Links:
    """Return the links of a page of a list: itself, the other pages, and the search template."""
    pages = asked.links(address, item_count)
    return {
        "curies": addresses.curies(),
        "self": pages.pop("self"),
        "profile": addresses.profile(page),
        "search": search(address, filters),
        **pages,
    }


def templated(href: str) -> Link:
    """Return a link with variables to fill in (RFC 6570)."""
    return {"href": href, "templated": True}


def in_all_languages(text: Mapping[str, str] | None) -> dict[str, str]:
    """Return a text in every language of the published examples; a missing language is empty."""
    return dict.fromkeys(LANGUAGES, "") | dict(text or {})


def date_time(instant: datetime) -> str:
    """Write an instant in ISO 8601 and UTC, to the second."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
