"""Answers with a page that runs no script and is never cached: the pages for buyers, and the pages about errors."""

from urllib.parse import urlsplit

from countermand.contracts.http.answer import Answer


def page_answer(status: int, text: str, *headers: tuple[bytes, bytes], forms_to: str | None = None) -> Answer:
    """Return a page. Its forms go only to this service, which may redirect to the shop's origin, that of `forms_to`."""
    return Answer(status, (*guarded(forms_to), *headers, (b"content-type", b"text/html; charset=utf-8")), text.encode())


def guarded(forms_to: str | None = None) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers that keep a page to itself."""
    shop = ""
    if forms_to is not None:
        parts = urlsplit(forms_to)
        shop = f" {parts.scheme}://{parts.netloc}"
    policy = (
        "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
        f"form-action 'self'{shop}"
    )
    return (
        (b"content-security-policy", policy.encode("latin-1", "ignore")),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-store"),
    )
