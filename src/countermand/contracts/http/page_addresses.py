"""Builds the addresses of this service's own pages, for their templates, for redirects and for links to them."""

from typing import Final
from urllib.parse import urlsplit

DOCS: Final = "/docs"


def page_path(public_url: str, path: str) -> str:
    """Return the path at which clients find a page. `path` is its path in this service, such as `/docs`.

    `public_url` may have a path itself: behind https://proxy.example/shop, clients find `/docs` at `/shop/docs`. The
    result has no host, so that it is also right for a client that uses another name of the public address.
    """
    return urlsplit(public_url).path.rstrip("/") + path
