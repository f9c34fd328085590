"""Makes the pages that a browser gets for an address without a page or call. A program gets JSON instead."""

from http import HTTPStatus
from typing import Final

from countermand.contracts.http.answer import Answer, MalformedRequestError, MethodNotAllowedError, NoSuchPathError
from countermand.web.pages.page_answer import page_answer
from countermand.web.pages.rendering import PageRenderer

_SHOWN_CAP: Final = 200  # characters of a path


def error_page(renderer: PageRenderer, path: str, error: Exception) -> Answer:
    """Return the page for an address without a page or call, or for another error of a page."""
    match error:
        case NoSuchPathError():
            return _no_such_page(renderer, path)
        case MethodNotAllowedError():
            return _other_methods(renderer, path, error)
        case MalformedRequestError():
            said = "The request could not be read. Check the address, and try again."
            return _page(renderer, HTTPStatus.BAD_REQUEST, "The address cannot be read", said, path)
    said = "This page cannot be shown because of an error of ours. Please try again."
    return _page(renderer, HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong", said, path)


def _no_such_page(renderer: PageRenderer, path: str) -> Answer:
    """Return the page for an address that leads nowhere."""
    said = "This service has no page and no call at this address. Is the address complete and spelled correctly?"
    return _page(renderer, HTTPStatus.NOT_FOUND, "There is no page here", said, path)


def _other_methods(renderer: PageRenderer, path: str, error: MethodNotAllowedError) -> Answer:
    """Return the page for a call that a browser's address line cannot make."""
    said = f"Programs call this address, with the method {error.allow}. A browser cannot open it like a page."
    answer = _page(renderer, HTTPStatus.METHOD_NOT_ALLOWED, "This address is not a page", said, path)
    return answer.with_headers((b"allow", error.allow.encode()))


def _page(renderer: PageRenderer, status: HTTPStatus, title: str, said: str, path: str) -> Answer:
    text = renderer.rendered("error.html", title=title, status=status.value, said=said, asked=path[:_SHOWN_CAP])
    return page_answer(status, text)
