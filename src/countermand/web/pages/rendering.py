"""Renders the templates of all web pages."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from countermand.contracts.http.page_addresses import page_path

_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parents[1] / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _in_code(text: str) -> Markup:
    """Return a text of ours as HTML. What stands between backticks becomes code, as in OpenAPI documents."""
    pieces = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(one) if n % 2 else one for n, one in enumerate(pieces))


_TEMPLATES.filters["in_code"] = _in_code


@dataclass(frozen=True, kw_only=True, slots=True)
class NavigationItem:
    """A page in the navigation. A page that cannot be found lists the items that have an `about`."""

    label: str
    path: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class PageRenderer:
    """Renders pages for clients that use `public_url`, the public address without a trailing slash.

    `navigation` lists the pages of the documentation, which the pages for buyers do not show.
    """

    public_url: str
    navigation: tuple[NavigationItem, ...] = ()

    def path(self, path: str) -> str:
        """Return the path at which clients find a page. `path` is its path in this service."""
        return page_path(self.public_url, path)

    def rendered(self, template: str, *, here: str = "", **values: object) -> str:
        """Return a page as HTML. `here` is the page's path in this service, for the navigation.

        Besides `values`, the template gets `own`, which is the method `path`.
        """
        made = _TEMPLATES.get_template(template)
        return made.render(own=self.path, navigation=self.navigation, here=here, **values)
