"""The guides below `/docs/guides`: every page of `docs`, with links that lead somewhere, and nothing from elsewhere."""

import importlib.util
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from countermand.web.pages.guides import GUIDES, guide_of, guides_in
from support.html_pages import HtmlPage
from support.shared_world import shared_sqlite_world
from support.world import PUBLIC_URL, World

sqlite_world = shared_sqlite_world
ROOT = Path(__file__).parents[3]


def test_every_page_of_the_documentation_is_linked_into_the_package():
    """If this fails, `make docs` makes the links again."""
    specification = importlib.util.spec_from_file_location("link_guides", ROOT / "docs" / "link_guides.py")
    assert specification
    assert specification.loader
    links = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(links)

    assert links.present() == links.wanted()
    assert len(links.wanted()) >= 12
    assert [path for path in links.present() if not path.is_file()] == []


async def test_every_link_of_the_start_page_and_of_a_guide_leads_to_a_page_and_its_heading(sqlite_world: World):
    seen: dict[str, HtmlPage] = {}
    left = ["/docs"]
    broken = []
    while left:
        path = left.pop()
        answer = await sqlite_world.http.get(path)
        if answer.status_code != 200:
            broken.append(path)
            continue
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        seen[path] = HtmlPage(answer.text)
        found = [urlsplit(urljoin(f"{PUBLIC_URL}{path}", one)) for one in seen[path].links]
        left += {one.path for one in found if one.netloc == "shop.test"} - {*seen, *left}
    for path, page in seen.items():
        for link in page.links:
            to = urlsplit(urljoin(f"{PUBLIC_URL}{path}", link))
            if to.netloc == "shop.test" and to.fragment and to.fragment not in seen[to.path].anchors:
                broken.append(f"{path}: {link}")
    assert broken == []
    assert {f"/docs/guides/{name}" for name in guides_in(GUIDES)} <= seen.keys()
    assert [one for page in seen.values() for one in page.loads if urlsplit(one).netloc] == []


async def test_a_guide_that_does_not_exist_is_not_found(sqlite_world: World):
    for path in ("/docs/guides/nothing", "/docs/guides/contracts", "/docs/guides/../../pyproject", "/docs/guides/"):
        assert (await sqlite_world.http.get(path)).status_code == 404, path


def test_a_link_to_a_file_that_is_not_shown_becomes_plain_text():
    guide = guide_of(
        "contracts/a", "# A\n\nSee [the tests](../../tests/x.py), [b](b.md#two) and [RFC](https://rfc.test)."
    )

    html = guide.html(lambda name: f"/at/{name}" if name == "contracts/b" else None)

    assert "See the tests, " in html
    assert '<a href="/at/contracts/b#two">b</a>' in html
    assert '<a href="https://rfc.test">RFC</a>' in html


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Get a token", "get-a-token"),
        ("`GET /orders`, and more", "get-orders-and-more"),
        ("What of [this](b.md)?", "what-of-this"),
    ],
)
def test_a_heading_has_the_anchor_that_a_repository_shows(heading: str, anchor: str):
    assert guide_of("a", f"# A\n\n## {heading}\n").headings == {"a", anchor}


async def test_the_start_page_says_what_this_is_how_to_get_in_and_what_is_missing(sqlite_world: World):
    page = (await sqlite_world.http.get("/docs")).text
    for heading in ("Get a credential", "The APIs", "Guides", "Not here yet"):
        assert f">{heading}</h2>" in page
