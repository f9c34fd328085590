"""Pages that belong to no contract: is it alive, is it ready, and how is it called? All of it works offline."""

import html
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from litestar import Request
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler

from countermand.contracts.http.answer import Answer, json_answer
from countermand.contracts.registry import Part
from countermand.telemetry.counts import Counts
from countermand.telemetry.requests import Requests
from countermand.web.pages.link_relations import RELATIONS, explanation
from countermand.web.reporting import Page, page_route

_FOLDER: Final = Path(__file__).parents[1]
_FILES: Final[Mapping[str, tuple[Path, str]]] = {
    "docs.js": (_FOLDER / "assets/docs.js", "text/javascript"),
    "docs.css": (_FOLDER / "assets/docs.css", "text/css"),
    "buyer.css": (_FOLDER / "assets/buyer.css", "text/css"),
    "favicon.svg": (_FOLDER / "assets/favicon.svg", "image/svg+xml"),
    "swagger-ui-bundle.js": (_FOLDER / "vendored/swagger-ui-dist/swagger-ui-bundle.js", "text/javascript"),
    "swagger-ui.css": (_FOLDER / "vendored/swagger-ui-dist/swagger-ui.css", "text/css"),
}
_SAFE: Final = (
    # Swagger UI sets styles inline and draws its icons from data: addresses; scripts come from here alone.
    (
        b"content-security-policy",
        (
            b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
            b"connect-src 'self'; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


def page_routes(
    spoken: Sequence[Part],
    public_url: str,
    version: str,
    ready: Callable[[], Awaitable[str | None]],
    requests: Requests,
) -> list[HTTPRouteHandler]:
    """`/healthz`, `/readyz`, `/docs` and its documents."""
    server_path = urlsplit(public_url).path or "/"
    by_name = {part.name: part for part in spoken}

    @cache
    def document(name: str) -> Answer:
        return json_answer(200, by_name[name].openapi(server_path, version))

    async def health(_: Request[Any, Any, Any]) -> Answer:
        return json_answer(200, {"status": "ok"})

    async def readiness(_: Request[Any, Any, Any]) -> Answer:
        why_not = await ready()
        if why_not is None:
            return json_answer(200, {"status": "ready"})
        return json_answer(503, {"status": "not ready", "reason": why_not}, headers=((b"retry-after", b"1"),))

    async def index(_: Request[Any, Any, Any]) -> Answer:
        return _html(_index(spoken, version))

    async def relation(request: Request[Any, Any, Any]) -> Answer:
        name, _, ending = request.path_params["name"].partition(".")
        return _html(_explained(name)) if name in RELATIONS and ending == "html" else _no_such_page()

    async def reader(request: Request[Any, Any, Any]) -> Answer:
        part = by_name.get(request.path_params["name"])
        return _no_such_page() if part is None else _html(_reader(part))

    async def openapi(request: Request[Any, Any, Any]) -> Answer:
        return document(name) if (name := request.path_params["name"]) in by_name else _no_such_page()

    async def file(request: Request[Any, Any, Any]) -> Answer:
        found = _FILES.get(request.path_params["name"])
        return _no_such_page() if found is None else _file(*found)

    pages_by_path: dict[str, Page] = {
        "/healthz": health,
        "/readyz": readiness,
        "/docs": index,
        "/documentation/{name}": relation,
        "/docs/{name}": reader,
        "/docs/{name}/openapi.json": openapi,
        "/docs/assets/{name}": file,
    }
    return [_quiet_route(path, page, requests) for path, page in pages_by_path.items()]


def metrics_route(metrics: Counts, requests: Requests) -> HTTPRouteHandler:
    """`/metrics`, for whoever can reach the port: numbers, and nothing of any one order or client."""

    async def tell(request: Request[Any, Any, Any]) -> Answer:
        body, media_type = await metrics.page(request.headers.get("accept", ""))
        return Answer(200, ((b"content-type", media_type.encode()), (b"cache-control", b"no-store")), body)

    return _quiet_route("/metrics", tell, requests)


def _quiet_route(path: str, page: Page, requests: Requests) -> HTTPRouteHandler:
    """Machines ask for these pages all day."""
    return page_route("GET", path, page, requests.route("GET", path, quiet=True))


def _no_such_page() -> NoReturn:
    """There is no such page."""
    raise NotFoundException


@cache
def _file(path: Path, media_type: str) -> Answer:
    cached = (b"cache-control", b"public, max-age=3600")
    return Answer(200, (*_SAFE, cached, (b"content-type", media_type.encode())), path.read_bytes())


def _html(text: str) -> Answer:
    return Answer(200, (*_SAFE, (b"content-type", b"text/html; charset=utf-8")), text.encode())


_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="/docs/assets/favicon.svg" type="image/svg+xml">
{head}
</head>
<body>
{body}
</body>
</html>
"""


def _index(spoken: Sequence[Part], version: str) -> str:
    entries = "\n".join(_entry(part) for part in spoken)
    title = f"<h1>Countermand {html.escape(version)}</h1>"
    body = f"<main>\n{title}\n<p>The calls, by contract:</p>\n<ul>\n{entries}\n</ul>\n</main>"
    head = '<link rel="stylesheet" href="/docs/assets/docs.css">'
    return _PAGE.format(title="Countermand: the calls", head=head, body=body)


def _explained(name: str) -> str:
    title, body = explanation(name)
    head = '<link rel="stylesheet" href="/docs/assets/docs.css">'
    return _PAGE.format(title=html.escape(f"{title}: shopping"), head=head, body=body)


def _entry(part: Part) -> str:
    about = html.escape(part.about.replace("`", ""))
    document = f'<a href="/docs/{part.name}/openapi.json">OpenAPI 3.1 document</a>'
    return f'<li><a href="/docs/{part.name}">{html.escape(part.title)}</a><p>{about}</p>{document}</li>'


def _reader(part: Part) -> str:
    head = '<link rel="stylesheet" href="/docs/assets/swagger-ui.css">'
    body = (
        f'<div id="calls" data-document="/docs/{part.name}/openapi.json"></div>\n'
        '<script src="/docs/assets/swagger-ui-bundle.js"></script>\n<script src="/docs/assets/docs.js"></script>'
    )
    return _PAGE.format(title=html.escape(part.title), head=head, body=body)
