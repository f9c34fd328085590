"""Serves the pages that belong to no contract: health, readiness, metrics and API documentation. All work offline."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final, NoReturn

from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler

from countermand.contracts.http.answer import Answer, json_answer
from countermand.contracts.http.api_module import ApiModule
from countermand.contracts.http.page_addresses import DOCS
from countermand.telemetry.counts import Counts
from countermand.telemetry.requests import Requests
from countermand.web.framework import FrameworkRequest
from countermand.web.pages.guides import GUIDES, GUIDES_PATH, Guide, guides_in
from countermand.web.pages.link_relations import RELATIONS, explanation
from countermand.web.pages.rendering import NavigationItem, PageRenderer
from countermand.web.pages.sample_credentials import SampleCredential, shown_at
from countermand.web.reporting import PageHandler, page_route

_FOLDER: Final = Path(__file__).parents[1]
_FILES: Final[Mapping[str, tuple[Path, str]]] = {
    "docs.js": (_FOLDER / "assets/docs.js", "text/javascript"),
    "style.css": (_FOLDER / "assets/style.css", "text/css"),
    "reader.css": (_FOLDER / "assets/reader.css", "text/css"),
    "favicon.svg": (_FOLDER / "assets/favicon.svg", "image/svg+xml"),
    "swagger-ui-bundle.js": (_FOLDER / "vendored/swagger-ui-dist/swagger-ui-bundle.js", "text/javascript"),
    "swagger-ui.css": (_FOLDER / "vendored/swagger-ui-dist/swagger-ui.css", "text/css"),
}
_TITLE: Final = "Countermand: start here"
_OF_PARTNERS: Final = "contracts/"  # guides in this folder are for those who call the APIs
_TITLES_BEGIN: Final = "Countermand: "
_SAFE: Final = (
    # Swagger UI uses inline styles and icons with data: addresses. Scripts may come only from this service.
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
    modules: Sequence[ApiModule],
    renderer: PageRenderer,
    version: str,
    ready: Callable[[], Awaitable[str | None]],
    requests: Requests,
    credentials: Sequence[SampleCredential] = (),
) -> list[HTTPRouteHandler]:
    """Return the routes of `/healthz`, `/readyz`, `/docs` and everything below it, and `/documentation/{name}`.

    The pages have the `credentials` filled in, if there are any.
    """
    by_name = {module.name: module for module in modules}

    @cache
    def document(name: str) -> Answer:
        return json_answer(200, by_name[name].openapi(renderer.public_url, version))

    async def health(_: FrameworkRequest) -> Answer:
        return json_answer(200, {"status": "ok"})

    async def readiness(_: FrameworkRequest) -> Answer:
        why_not = await ready()
        if why_not is None:
            return json_answer(200, {"status": "ready"})
        return json_answer(503, {"status": "not ready", "reason": why_not}, headers=((b"retry-after", b"1"),))

    async def relation(request: FrameworkRequest) -> Answer:
        name, _, ending = request.path_params["name"].partition(".")
        return (
            _html(explanation(name, by_name, renderer)) if name in RELATIONS and ending == "html" else _no_such_page()
        )

    async def reader(request: FrameworkRequest) -> Answer:
        module = by_name.get(request.path_params["name"])
        shown = _shown_to(request, credentials)
        return _no_such_page() if module is None else _html(_reader(module, renderer, shown))

    async def openapi(request: FrameworkRequest) -> Answer:
        return document(name) if (name := request.path_params["name"]) in by_name else _no_such_page()

    async def file(request: FrameworkRequest) -> Answer:
        found = _FILES.get(request.path_params["name"])
        return _no_such_page() if found is None else _file(*found)

    pages_by_path: dict[str, PageHandler] = {
        "/healthz": health,
        "/readyz": readiness,
        **_guide_pages(modules, renderer, version, credentials),
        "/documentation/{name}": relation,
        "/docs/{name}": reader,
        "/docs/{name}/openapi.json": openapi,
        "/docs/assets/{name}": file,
    }
    return [_quiet_route(path, page, requests) for path, page in pages_by_path.items()]


def metrics_route(metrics: Counts, requests: Requests) -> HTTPRouteHandler:
    """Return the route of `/metrics`. It needs no credential, because it has no data of a single order or client."""

    async def tell(request: FrameworkRequest) -> Answer:
        body, media_type = await metrics.page(request.headers.get("accept", ""))
        return Answer(200, ((b"content-type", media_type.encode()), (b"cache-control", b"no-store")), body)

    return _quiet_route("/metrics", tell, requests)


def _quiet_route(path: str, page: PageHandler, requests: Requests) -> HTTPRouteHandler:
    """Return a route whose requests are logged at level debug only, because programs call these pages all day."""
    return page_route("GET", path, page, requests.route("GET", path, quiet=True))


def _no_such_page() -> NoReturn:
    """Raise the framework's error for a path without a page."""
    raise NotFoundException


@cache
def _file(path: Path, media_type: str) -> Answer:
    cached = (b"cache-control", b"public, max-age=3600")
    return Answer(200, (*_SAFE, cached, (b"content-type", media_type.encode())), path.read_bytes())


def _html(text: str) -> Answer:
    return Answer(200, (*_SAFE, (b"content-type", b"text/html; charset=utf-8")), text.encode())


def _shown_to(request: FrameworkRequest, credentials: Sequence[SampleCredential]) -> Sequence[SampleCredential]:
    return shown_at(request.headers.get("host", ""), credentials)


def _guide_pages(
    modules: Sequence[ApiModule], renderer: PageRenderer, version: str, credentials: Sequence[SampleCredential]
) -> Mapping[str, PageHandler]:
    """Return the start page and the guides by their paths."""
    guides = guides_in(GUIDES)

    async def start(request: FrameworkRequest) -> Answer:
        return _html(_start(modules, guides, renderer, version, _shown_to(request, credentials)))

    async def guide(request: FrameworkRequest) -> Answer:
        found = guides.get(request.path_params["name"].strip("/"))
        return _no_such_page() if found is None else _html(_guide(found, guides, renderer))

    return {DOCS: start, GUIDES_PATH + "/{name:path}": guide}


def _start(
    modules: Sequence[ApiModule],
    guides: Mapping[str, Guide],
    renderer: PageRenderer,
    version: str,
    credentials: Sequence[SampleCredential],
) -> str:
    """Return the page on which a partner begins: what this is, how to get in, the APIs and the guides."""
    partners = [one for one in guides.values() if one.name.startswith(_OF_PARTNERS)]
    others = [one for one in guides.values() if not one.name.startswith(_OF_PARTNERS)]
    return renderer.rendered(
        "docs_index.html",
        here=DOCS,
        title=_TITLE,
        version=version,
        modules=modules,
        guides=[("For partners", partners), ("For operators and developers", others)],
        guides_path=GUIDES_PATH,
        credentials=credentials,
    )


def _guide(guide: Guide, guides: Mapping[str, Guide], renderer: PageRenderer) -> str:
    path = f"{GUIDES_PATH}/{guide.name}"
    content = guide.html(lambda name: renderer.path(f"{GUIDES_PATH}/{name}") if name in guides else None)
    return renderer.rendered("docs_guide.html", here=path, title=f"{guide.title}: Countermand", content=content)


def _reader(module: ApiModule, renderer: PageRenderer, credentials: Sequence[SampleCredential]) -> str:
    own = next((one for one in credentials if one.api == module.name), None)
    return renderer.rendered(
        "docs_reader.html", here=_page_of(module), title=module.title, name=module.name, credential=own
    )


def docs_renderer(modules: Sequence[ApiModule], public_url: str) -> PageRenderer:
    """Return the renderer of the pages about the service. Its navigation leads to the page of each API."""
    start = NavigationItem(label="Start", path=DOCS)
    pages = [
        NavigationItem(
            label=module.name.capitalize(), path=_page_of(module), about=module.title.removeprefix(_TITLES_BEGIN)
        )
        for module in modules
    ]
    return PageRenderer(public_url, (start, *pages))


def _page_of(module: ApiModule) -> str:
    return f"{DOCS}/{module.name}"
