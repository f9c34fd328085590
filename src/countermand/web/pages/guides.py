"""Renders the guides, which are Markdown, as HTML. A service shows them without any other host.

The package has the guides in `web/guides`; in the repository these are links to `docs`. The documentation site is made
from the same pages (`docs/build_site.py`).
"""

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final, TypeAlias

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup

GUIDES: Final = Path(__file__).parents[1] / "guides"
GUIDES_PATH: Final = "/docs/guides"
_ENDING: Final = ".md"
_ANCHOR: Final = re.compile(r'<a id="([^"]+)">')
_ELSEWHERE: Final = re.compile(r"[a-z][a-z0-9+.-]*:|//")

# Returns the address of a page by its name, such as "contracts/connect", or None for a page that is not shown.
AddressOf: TypeAlias = Callable[[str], str | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A link of a guide to another file, as a path from the folder of all guides, and to a heading, if any."""

    path: str
    heading: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Guide:
    """A guide. `name` is its path without the ending; `headings` are the names that a link may lead to."""

    name: str
    title: str
    tokens: Sequence[Token] = field(repr=False)
    headings: frozenset[str] = field(repr=False)

    def links(self) -> list[Link]:
        """Return the links to other files and to headings of this guide."""
        found = [str(one.attrs["href"]) for one in _inline(self.tokens) if one.type == "link_open"]
        return [_link(self.name, href) for href in found if not _ELSEWHERE.match(href)]

    def html(self, address_of: AddressOf) -> Markup:
        """Return the guide as HTML. A link to a file that is not shown becomes plain text."""
        tokens = [_with_addresses(token, self.name, address_of) for token in self.tokens]
        return Markup(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))  # noqa: S704 - our own guides


def guides_in(folder: Path) -> Mapping[str, Guide]:
    """Return the guides of a folder by name, sorted by it."""
    files = {file.relative_to(folder).with_suffix("").as_posix(): file for file in folder.rglob(f"*{_ENDING}")}
    return {name: guide_of(name, file.read_text(encoding="utf-8")) for name, file in sorted(files.items())}


def guide_of(name: str, text: str) -> Guide:
    """Return a guide. Each heading gets the name that the usual renderers of Markdown give it."""
    tokens = _MARKDOWN.parse(text)
    headings: list[str] = []
    title = name
    for opened, content in pairwise(tokens):
        if opened.type != "heading_open":
            continue
        said = "".join(one.content for one in content.children or () if one.type in {"text", "code_inline"})
        title = said if opened.tag == "h1" and title == name else title
        heading = re.sub(r"[^\w\- ]", "", said.lower()).strip().replace(" ", "-")
        opened.attrSet("id", heading)
        headings.append(heading)
    return Guide(name=name, title=title, tokens=tokens, headings=frozenset([*headings, *_ANCHOR.findall(text)]))


def _markdown() -> MarkdownIt:
    """Return a parser with tables. A wide table scrolls by itself."""
    made = MarkdownIt("commonmark").enable("table")
    made.add_render_rule("table_open", _table_open)
    made.add_render_rule("table_close", _table_close)
    return made


def _table_open(_: RendererHTML, *__: object) -> str:
    return '<div class="scrolls" role="region" aria-label="Table" tabindex="0"><table>\n'


def _table_close(_: RendererHTML, *__: object) -> str:
    return "</table></div>\n"


_MARKDOWN: Final = _markdown()


def _inline(tokens: Sequence[Token]) -> list[Token]:
    return [one for token in tokens for one in token.children or ()]


def _link(name: str, href: str) -> Link:
    """Return a relative link of a guide, as a path from the folder of all guides."""
    path, _, heading = href.partition("#")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name + _ENDING
    return Link(path=path, heading=heading)


def _with_addresses(token: Token, name: str, address_of: AddressOf) -> Token:
    if not token.children:
        return token
    children: list[Token] = []
    is_plain = False  # links do not nest
    for one in token.children:
        if one.type == "link_open":
            address = _address(name, str(one.attrs["href"]), address_of)
            is_plain = address is None
            if address is not None:
                children.append(one.copy(attrs={**one.attrs, "href": address}))
        elif one.type != "link_close" or not is_plain:
            children.append(one)
    return token.copy(children=children)


def _address(name: str, href: str, address_of: AddressOf) -> str | None:
    """Return where a link of a guide leads on a page, or None for a file that is not shown."""
    if _ELSEWHERE.match(href) or href.startswith("#"):
        return href
    link = _link(name, href)
    address = address_of(link.path.removesuffix(_ENDING)) if link.path.endswith(_ENDING) else None
    return None if address is None else f"{address}#{link.heading}".removesuffix("#")
