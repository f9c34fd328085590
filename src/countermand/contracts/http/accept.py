"""Reads from `Accept` whether a person in a browser asks, or a program."""

from typing import Final

from litestar.datastructures.headers import Accept

from countermand.contracts.http.answer import HAL, JSON

PAGE: Final = "text/html"


def prefers_page(accept: bytes) -> bool:
    """Return whether the caller prefers a page over JSON.

    Programs may accept pages, too, but with a lower priority. A caller that accepts everything alike is a program.
    """
    wanted = Accept(accept.decode("latin-1")) if accept else None
    return wanted is not None and wanted.best_match([HAL, JSON, PAGE]) == PAGE
